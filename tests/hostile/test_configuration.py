"""Whatever stands in a configuration, it loads or ends in a ConfigError that says where: no traceback, no code run.

An operator's own configuration may name the operator's own code (``factory: my_module:build``): that is its purpose.
What a journal or a checkpoint names is admitted by package (``allow=``): see the last tests.
"""

import copy
import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from stream.build import ADMITTED
from stream.build_fold import build_fold, lineage
from stream.cli.main import main
from stream.config import Config, load
from stream.errors import ConfigError
from stream.parts import build_detector, build_learner, construct

PLAIN = {
    "name": "fraud",
    "problem": "binary",
    "events": {
        "topic": "transactions", "id": "id", "key": "card", "time": {"field": "at", "zone": "UTC", "unit": "ms"},
        "features": ["amount", {"mcc": {"type": "text", "required": False}}],
    },
    "labels": {
        "topic": "labels", "id": "id", "value": "y", "time": "at", "assume": {"value": False, "after": "7d"}, "wait": "30d", "park": "1d",
        "park_max": 10, "waiting_max": 1000, "conflict": "first",
    },
    "predictions": {"topic": "scores", "threshold": 0.5},
    "learners": {
        "logistic": ["river.preprocessing.StandardScaler", {"river.linear_model.LogisticRegression": {"l2": 1e-4}}],
        "own": {"factory": "tests.unit.stream.pipeline.estimators:gauss", "parameters": {}},
    },
    "champion": "logistic",
    "detectors": [{"signal": "error", "detector": {"adwin": {"delta": 0.002}}, "response": "alarm", "learners": ["champion"]}],
    "metrics": {"window": 100},
    "limits": {"magnitude": 1e9},
    "time_jump_max": "1d",
    "checkpoints": {"store": "./checkpoints", "every": "1000 events", "keep": 3},
    "kafka": {"bootstrap.servers": "127.0.0.1:1"},
    "batch": {"records": 100, "wait": "1s"},
    "serve": False,
}  # fmt: skip

KEYS = (
    "name",
    "events",
    "labels",
    "id",
    "topic",
    "file",
    "features",
    "store",
    "factory",
    "extends",
    "env",
    "kafka",
    "wait",
    "adwin",
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-2, 70_000) | st.floats() | st.text(max_size=20)
    | st.sampled_from(
        ["", " ", "7d", "-1d", "1e400", "NaN", "../x", "\x00", "a.b", "os:system", "os.system", "redis://u:p@h:1/0", "redis://[", "embedded",
         "UTC", "/etc/passwd", "x" * 5000, "tests.nothing", "river.linear_model.LogisticRegression", "é", "\u202e", "100 events", "0 events",
         "9" * 400 + "d", "999999999999999999999 events", "river.datasets.Phishing", "builtins.exit", "../../../../etc", "C:\\x"]
    )
)  # fmt: skip
names = st.sampled_from(KEYS) | st.text(max_size=6) | st.integers(-1, 3) | st.none() | st.booleans()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)


def places(value, at=()):
    """Every key and element of a configuration."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key)
        yield from places(inner, (*at, key))


@st.composite
def mutated(draw):
    """A configuration that is right but for one to four things."""
    told = copy.deepcopy(PLAIN)
    for _ in range(draw(st.integers(1, 4))):
        everywhere = list(places(told))
        if not everywhere:
            break
        *around, key = draw(st.sampled_from(everywhere))
        target = told
        for step in around:
            target = target[step]
        change = draw(st.sampled_from(["drop", "replace", "replace", "misspell", "add", "wrap"]))
        if change == "drop":
            del target[key]
        elif change == "replace":
            target[key] = draw(values)
        elif change == "wrap":
            target[key] = draw(st.sampled_from([[target[key]], {"x": target[key]}, [target[key]] * 3]))
        elif isinstance(target, dict):
            name = draw(names) if change == "add" or not isinstance(key, str) else key[:-1] + key[-1:] * 2
            target[name] = draw(values) if change == "add" else target.pop(key)
    return told


def written(told: object, path: Path) -> bool:
    """As YAML; False where YAML cannot say it."""
    try:
        with path.open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(told, file)
    except Exception:  # noqa: BLE001 - a lone surrogate or so: then there is no such file
        return False
    return True


def loads(path: Path, environment=None) -> str:
    """The message of the ConfigError, or nothing where it loads; anything else is raised."""
    try:
        config = load(path, environment or {})
    except ConfigError as error:
        return str(error) or "an error without a message"
    assert isinstance(config, Config)
    str(config), repr(config), config.answers()
    return ""


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(told=mutated())
def test_a_mutated_configuration_loads_or_says_where_it_is_wrong(tmp_path_factory, told):
    """A ConfigError names the file; and what loads builds, or is refused by a ConfigError too."""
    path = tmp_path_factory.mktemp("configuration") / "fraud.yaml"
    if not written(told, path):
        return
    message = loads(path)
    if message:
        assert "fraud.yaml" in message
        return
    with suppress(ConfigError):
        build_fold(lineage(load(path, {}), {}), (), allow=(*ADMITTED, "tests"))


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(text=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
@example(text=b"&a [*a]")
@example(text=b"a: &a {b: *a}")
@example(text=b"? [a]\n: b")
@example(text=b"? {a: b}\n: c")
@example(text=b"<<: *nothing")
@example(text=b"a: !!timestamp 99999-99-99")
@example(text=b"a: !!int x")
@example(text=b"a: !!float x")
@example(text=b"a: !!binary '%'")
@example(text=b"a: 2018-13-45")
@example(text=b"a: 0o9")
@example(text=b'extends: "a\\0b"')
@example(text=b"extends: .")
@example(text=b"extends: [a]")
@example(text=b"\xff\xfe")
@example(text=b"---\na: 1\n---\nb: 2")
@example(text=b"%YAML 9.9\n---\na: 1")
@example(text=b"%TAG ! x\n---\na: 1")
@example(text=b"- " * 3000)
@example(text=b"[" * 300)
@example(text=b"{a: " * 2000)
@example(text=b"a: 1\na: 2")
@example(text=b"kafka: {a: {env: [1]}}")
@example(text=b'kafka: {a: {file: "\\0"}}')
@example(text=b"learners: {a: {factory: 'a:b', parameters: &a {b: *a}}}\nname: x")
def test_any_bytes_are_a_configuration_or_a_mistake(tmp_path_factory, text):
    """Also not YAML, not UTF-8, recursion, several documents."""
    path = tmp_path_factory.mktemp("configuration") / "fraud.yaml"
    path.write_bytes(text)
    assert "fraud.yaml" in loads(path)


TAGS = (
    "!!python/object/apply:os.system ['touch sprung']", "!!python/object/new:os.system ['touch sprung']", "!!python/name:os.system",
    "!!python/module:os", "!!python/object:os.system {}", "!!python/tuple [1]", "!<tag:yaml.org,2002:python/object/apply:os.system> [x]",
    "!include /etc/passwd", "!env HOME", "!!map {a: 1}", "!!set {a}", "!!omap [a: 1]",
)  # fmt: skip


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize(
    "where", ["name: {}", "learners: {{a: {}}}", "{}", "kafka: {{sasl.password: {}}}", "extends: {}"]
)
def test_tags_construct_nothing(tag, where, tmp_path, monkeypatch):
    """YAML's way to call Python is not taken."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "fraud.yaml"
    path.write_text(where.format(tag) + "\n")
    assert "fraud.yaml" in loads(path)
    assert [one.name for one in tmp_path.iterdir()] == ["fraud.yaml"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("levels", [12, 40])
def test_a_bomb_of_aliases_does_not_swell(levels, tmp_path):
    """Nine times nine times nine ... elements in a few hundred bytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    for text in ("\n".join(lines), "\n".join([*lines, f"learners: *a{levels - 1}", "name: x"])):
        path = tmp_path / "fraud.yaml"
        path.write_text(text)
        assert "fraud.yaml" in loads(path)


@pytest.mark.timeout(120)
def test_a_huge_file_is_a_mistake_too(tmp_path):
    """Twenty thousand unknown keys are told in one message."""
    path = tmp_path / "fraud.yaml"
    path.write_text("\n".join(f"key{n}: {n}" for n in range(1000)))
    message = loads(path)
    assert "fraud.yaml" in message
    assert len(message) < 1_000_000


# --- the environment ------------------------------------------------------------------------------------------------

variables = st.lists(
    st.sampled_from(
        ["KAFKA", "EVENTS", "ID", "LEARNERS", "LOGISTIC", "CHAMPION", "NAME", "CHECKPOINTS", "STORE", "", "SASL_PASSWORD", "0", "DETECTORS", "é", "SERVE"]
    ),
    min_size=1, max_size=4,
).map(lambda levels: "HEADRACE_" + "__".join(levels))  # fmt: skip
texts = st.text(max_size=20).filter(lambda text: "\x00" not in text) | st.sampled_from(
    [
        "",
        "{",
        "[",
        "&a [*a]",
        "!!python/name:os.system",
        "{a: {b: c}}",
        "true",
        "null",
        "1e999",
        "- a",
        "? [a]",
        "{env: X}",
        "{file: /etc/passwd}",
    ]
)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(environment=st.dictionaries(variables, texts, max_size=3))
def test_any_environment_is_heeded_or_a_mistake(tmp_path_factory, environment):
    """An override of anything by anything."""
    path = tmp_path_factory.mktemp("configuration") / "fraud.yaml"
    written(PLAIN, path)
    message = loads(path, environment)
    if message:
        assert "HEADRACE_" in message or "fraud.yaml" in message


# --- the command ----------------------------------------------------------------------------------------------------


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(told=mutated())
def test_check_ends_with_a_code_and_no_traceback(tmp_path_factory, told):
    """``headrace check`` on a broken configuration: 2 and one message."""
    path = tmp_path_factory.mktemp("configuration") / "fraud.yaml"
    if not written(told, path) or not loads(path):
        return
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["check", "--offline", str(path)])
    assert code == 2
    assert err.getvalue().startswith("headrace: ")
    assert "Traceback" not in out.getvalue() + err.getvalue()


# --- what is constructed --------------------------------------------------------------------------------------------

PATHS = (
    "os.system", "os.getpid", "subprocess.Popen", "builtins.exec", "importlib.import_module", "posix.system", "stream.parts.construct",
    "numpy.load", "pickle.loads", "tests.harness.Service", "", ".", "..", "os.", ".os", "river..x", "river.linear_model.", "a b.c", "\x00.x",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_journal_cannot_name_other_packages(path, monkeypatch, tmp_path):
    """What comes from the log constructs parts of River, of ours, and of what the configuration names itself."""
    monkeypatch.chdir(tmp_path)
    for spec in (path, {path: ["touch sprung"]}, {path: {"command": "touch sprung"}}, {path: None}):
        with pytest.raises(ConfigError):
            construct(spec, allow=ADMITTED)
        with pytest.raises(ConfigError):
            build_learner([spec], "binary", allow=ADMITTED)
        with pytest.raises(ConfigError):
            build_learner(
                {"river.linear_model.LogisticRegression": {"optimizer": {"os.getpid": spec}}}, "binary", allow=ADMITTED
            )
        with pytest.raises(ConfigError):
            build_detector(spec, allow=ADMITTED)
    with pytest.raises(ConfigError):
        build_learner(
            {"factory": f"{path}:system", "parameters": {"command": "touch sprung"}}, "binary", allow=ADMITTED
        )
    assert not list(tmp_path.iterdir())


INNER = (
    "river.base.base.inspect.os.system", "river.linear_model.base.os.system", "learners.river.importlib.import_module",
    "river.utils.pretty.textwrap.dedent", "river.stream.iter_csv", "river.datasets.Phishing", "detectors.names.make",
    "river.datasets.base.abc.ABC", "learners.conformance.hashlib.new", "learners.conformance.os.system",
)  # fmt: skip


@pytest.mark.parametrize("path", INNER)
def test_an_admitted_package_is_no_way_to_another(path, monkeypatch, tmp_path):
    """A dotted path through an admitted module must not end outside of it, and what it constructs must be a learner."""
    monkeypatch.chdir(tmp_path)
    for spec in (path, {path: ["touch sprung"]}, {path: {}}):
        with pytest.raises(ConfigError):
            build_learner(spec, "binary", allow=ADMITTED)
    module, _, function = path.rpartition(".")
    with pytest.raises(ConfigError):
        build_learner({"factory": f"{module}:{function}", "parameters": {}}, "binary", allow=ADMITTED)
    assert not list(tmp_path.iterdir())


def test_the_suites_own_environment_is_not_read():
    """Otherwise these tests would say something else on another machine."""
    assert not [
        name
        for name in os.environ
        if name.startswith("HEADRACE_") and name != "HEADRACE_CHECKPOINT_KEY" and "__" in name
    ]
    assert "stream.config" in sys.modules
