"""Secrets planted in every setting that may hold one are in nothing that anybody can read: see ``leaks``.

Servers that refuse stand in for those that would be given the secrets: nothing listens on the port that is named.
"""

import base64
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from stream.build import open_log, signing_key, task_settings
from stream.build_fold import lineage
from stream.checkpoints.redis import RedisStore
from stream.checkpoints.signing import Signer
from stream.cli.main import main
from stream.config import Config, load
from stream.config_values import StoreAddress
from stream.errors import ConfigError, HeadraceError

SECRETS = {
    "sasl": "Tr0ub4dor-sasl-Zq81xW",
    "key": "Hors3Batt-sslkey-Kp27yV",
    "redis": "St4ple-redis-Jm63uR+w",
    "signing": "c0ffee11d00dfeed" * 4,
    "override": "Corr3ct-override-Lt55oE",
}
CONFIG = f"""
extends: base.yaml
name: secretive
events: {{topic: events, id: id, time: time, features: [a]}}
labels: {{topic: labels, id: id, value: y, time: time}}
learners: {{logistic: river.linear_model.LogisticRegression}}
checkpoints: {{store: "redis://user:{quote(SECRETS["redis"], safe="")}@127.0.0.1:1/0", key_file: signing.key}}
serve: false
"""
BASE = f"""
kafka:
  bootstrap.servers: 127.0.0.1:1
  security.protocol: sasl_plaintext
  sasl.mechanism: PLAIN
  sasl.username: somebody
  sasl.password: {SECRETS["sasl"]}
  ssl.key.password: {{env: KEY_PASSWORD}}
"""


def _forms(secret: str) -> Iterator[str]:
    """As it is, as it is written elsewhere, backwards, its halves, and its halves the other way round."""
    half = len(secret) // 2
    yield from (secret, secret[::-1], secret[:half], secret[half:], secret[half:] + secret[:half], secret.upper())
    yield from (
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        secret.encode().hex(),
    )
    for shift in range(3):  # base64 of a longer text shows it in three ways
        text = base64.b64encode(b"x" * shift + secret.encode()).decode().rstrip("=")
        yield text[4:-4]


def leaks(text: str) -> list[str]:
    """The secrets that a text gives away, in one form or another."""
    return [f"{name} as {form!r}" for name, secret in SECRETS.items() for form in _forms(secret) if form in text]


@pytest.fixture
def environment(monkeypatch):
    told = {"KEY_PASSWORD": SECRETS["key"], "HEADRACE_KAFKA__SASL_OAUTHBEARER_CLIENT_SECRET": SECRETS["override"]}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return told


@pytest.fixture
def path(tmp_path, environment):
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "signing.key").write_text(SECRETS["signing"])
    (tmp_path / "fraud.yaml").write_text(CONFIG)
    return tmp_path / "fraud.yaml"


def test_the_search_finds_what_is_there():
    """Otherwise finding nothing would say nothing."""
    for secret in SECRETS.values():
        for told in (secret, f"x{base64.b64encode(b'user:' + secret.encode()).decode()}y", quote(secret), secret[::-1]):
            assert leaks(told)


def test_no_text_of_a_configuration_tells_one(path):
    """Nor of what is made of it; and the client that needs a secret gets it."""
    config = load(path, os.environ)
    settings = config.client_settings()
    assert {settings["sasl.password"], settings["ssl.key.password"]} == {SECRETS["sasl"], SECRETS["key"]}
    assert settings["sasl.oauthbearer.client.secret"] == SECRETS["override"]
    assert SECRETS["redis"] in config.checkpoints.store.location.get().replace("%2B", "+")
    signer, store = Signer(signing_key(config)), RedisStore(config.checkpoints.store.location.get())
    told = [
        repr(config), str(config), repr(config.model_dump()), config.model_dump_json(), json.dumps(config.answers()), f"{config.kafka}",
        repr(config.checkpoints), str(config.checkpoints.store), repr(config.checkpoints.store), json.dumps(lineage(config, {})),
        repr(signer), repr(store), str(vars(config)), repr(config.model_copy()), repr(task_settings(config)),
    ]  # fmt: skip
    assert not leaks("\n".join(told))
    for secret in (config, signer):
        with pytest.raises(Exception, match="secret"):
            pickle.dumps(secret)
    store.close()


def _all_of(error: BaseException) -> str:
    """What a traceback shows, with all that it is chained to."""
    return "".join(traceback.format_exception(error))


S = SECRETS["redis"]


@pytest.mark.parametrize(
    "wrong",
    [
        f"checkpoints: redis://user:{S}@h:1/0", f"checkpoints: {{stor: 'redis://user:{S}@h:1/0'}}", f"checkpoints: {{store: ['redis://u:{S}@h']}}",
        f"checkpoints: {{store: 'redis:/u:{S}@h'}}", f"checkpoints: {{store: 'http://u:{S}@h'}}", f"checkpoints: ['redis://u:{S}@h']",
        f"checkpoint: {{store: 'redis://u:{S}@h'}}", f"kafka: {S}", f"kafka: [{S}]", f"kafka: {{sasl.password: [{S}]}}",
        f"kafka: {{sasl.password: {{value: {S}}}}}", f"kafka: {{group.id: {S}}}", f"sasl.password: {S}", f"kafka: {{sasl: {{password: {S}}}}}",
        f"kafka: {{sasl.password: {{env: [{S}]}}}}", f"checkpoints: {{store: 'redis://u:{S}@h:1/0', keep: x}}",
    ],
)  # fmt: skip
def test_no_mistake_beside_a_secret_tells_it(wrong, path):
    """The message names the key and not what stands there, its traceback neither."""
    key = wrong.partition(":")[0]
    lines = [line for line in CONFIG.splitlines() if not line.startswith(f"{key}:")]
    path.write_text("\n".join([*lines, wrong]))
    with pytest.raises(ConfigError) as caught:
        load(path, os.environ)
    assert not leaks(str(caught.value) + _all_of(caught.value))


@pytest.mark.parametrize("letter", "/?#@:%[] ")
def test_a_password_that_is_not_quoted_is_not_told_either(letter):
    """Generated passwords hold such letters, and a URL ends early there."""
    password = f"Qw7x{letter}9Lm2{letter}Zp4"
    pieces = [piece for piece in password.split(letter) if piece]
    address = StoreAddress.parse(f"redis://user:{password}@redis.example:6379/0")
    told = f"{address} {address!r}"
    try:
        store = RedisStore(address.location.get(), timeout_s=0.1)
        told += f"{store!r} {store.endpoint}"
    except ConfigError as error:
        told += _all_of(error)
    assert not [piece for piece in pieces if piece in told]
    assert "redis.example" in str(address)


@pytest.mark.parametrize(
    "verb",
    [["status"], ["topics", "check"], ["checkpoints", "list"], ["check", "--json"], ["rejects", "list"], ["schema"]],
)
def test_no_verb_tells_one(verb, path, capfd, monkeypatch):
    """With servers that refuse, to a person and with a traceback: nothing on either stream."""
    monkeypatch.chdir(path.parent)
    first, *rest = verb
    try:
        main(["--debug", first, *rest, str(path)])
    except (HeadraceError, SystemExit) as error:
        print(_all_of(error), file=sys.stderr)
    out, err = capfd.readouterr()
    assert out + err
    assert not leaks(out + err)


def test_a_worker_tells_none(path):
    """Its output with librdkafka's own lines, its command line, and the files that it leaves."""
    code = "import sys; from stream.cli.main import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", code, "--debug", "run", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=path.parent,
        env={**os.environ, "HEADRACE_KAFKA__DEBUG": "security,broker", "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as worker:  # fmt: skip
        time.sleep(0.5)
        line = Path(f"/proc/{worker.pid}/cmdline").read_bytes().decode() if Path("/proc").is_dir() else ""
        try:
            out, _ = worker.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            worker.send_signal(signal.SIGTERM)
            try:
                out, _ = worker.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                worker.kill()
                out, _ = worker.communicate()
    assert not leaks(out.decode(errors="replace") + line)
    left = [
        one
        for one in path.parent.rglob("*")
        if one.is_file() and one.name not in {"base.yaml", "fraud.yaml", "signing.key"}
    ]
    assert not [one for one in left if leaks(one.read_bytes().decode(errors="replace"))]


def test_a_log_that_refuses_tells_none(path):
    """The error of the client, with all that it is chained to."""
    config: Config = load(path, os.environ)
    told = ""
    try:
        open_log(config).close()
    except HeadraceError as error:
        told = _all_of(error)
    assert not leaks(told)
