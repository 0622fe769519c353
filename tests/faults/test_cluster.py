"""Faults 28 to 30: a broker that freezes at a commit, that refuses us, that goes away. It is the tests' own."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.scene import Growing
from tests.integration.running import Run
from tests.servers import SASL_PASSWORD, SASL_USER, KafkaServer, free_port

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]
GONE_S = 20
SECRET = "hidden-secret"


class TlsKafka(KafkaServer):
    """With one more listener: TLS, and a certificate that nobody has signed."""

    def _defaults(self) -> dict[str, str]:
        if not hasattr(self, "tls_port"):
            self.tls_port = free_port()
        defaults = super()._defaults()
        for name in ("listeners", "advertised.listeners"):
            defaults[name] += f",TLS://127.0.0.1:{self.tls_port}"
        defaults["listener.security.protocol.map"] += ",TLS:SSL"
        store = str(self.directory / "broker.p12")
        return defaults | {
            "listener.name.tls.ssl.keystore.location": store,
            "listener.name.tls.ssl.keystore.password": SECRET,
            "listener.name.tls.ssl.keystore.type": "PKCS12",
        }

    def _prepare(self) -> None:
        keytool = shutil.which("keytool")
        assert keytool is not None, "a Java without keytool"
        subprocess.run(
            [
                keytool, "-genkeypair", "-alias", "broker", "-keyalg", "EC", "-dname", "CN=127.0.0.1", "-storetype", "PKCS12",
                "-keystore", str(self.directory / "broker.p12"), "-storepass", SECRET, "-validity", "2",
            ],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        super()._prepare()


@pytest.fixture(scope="module")
def broker() -> Iterator[TlsKafka]:
    with TlsKafka() as server:
        yield server


@pytest.fixture
def growing(broker: TlsKafka, tmp_path: Path, redis_url: str) -> Growing:
    return Growing(broker.bootstrap, tmp_path, redis_url)


def test_fault_28_a_commit_in_doubt_is_resolved_by_the_journal(
    broker: TlsKafka, growing: Growing, redis_url: str
) -> None:
    """Counted; the journal says whether it was committed, which is logged; nothing is said twice and nothing is missing."""
    patient = {"bootstrap.servers": broker.bootstrap}  # the group is not to notice
    made = growing.pipeline(redis_url, batch={"records": 5}, commit_deadline="1s", kafka=patient)
    run = Run(made.path)
    growing.grow(10)
    growing.folded(run)
    for _ in range(20):
        if "commit in doubt" in run.log:
            break
        growing.grow(200)
        had = run.metric("records_total")
        run.wait_until(lambda had=had: run.metric("records_total") > had)
        broker.freeze()
        time.sleep(3)
        broker.thaw()
        run.wait_until(run.ready)
        growing.folded(run)
    assert run.metric("in_doubt_total") >= 1
    run.wait_until(lambda: "commit in doubt, asking the journal: " in run.log)
    told = run.log.partition("commit in doubt, asking the journal: ")[2]
    assert "committed" in told.partition("entry ")[2]
    run.stop()
    growing.check(made)


LOGIN = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": SASL_USER}


def test_fault_29_refused_credentials_or_tls_stop_the_worker(
    broker: TlsKafka, growing: Growing, redis_url: str
) -> None:
    """A wrong password, one that nobody asks for, a certificate that nobody signed: exit 2.

    The endpoint and the mechanism are told, the secret never: not in the log, not by `status`, not in /metrics.
    """
    growing.grow()
    made = growing.pipeline(redis_url)

    def refused(endpoint: str, told: str, **settings: str) -> str:
        made.change(kafka={"bootstrap.servers": endpoint, **settings})
        run = Run(made.path)
        assert run.end() == 2, run.log
        assert f"Kafka at {endpoint} ({told}) refuses us" in run.log
        return run.log

    tls = f"127.0.0.1:{broker.tls_port}"
    said = refused(broker.bootstrap, "sasl_plaintext, PLAIN", **LOGIN, **{"sasl.password": SECRET})
    said += refused(tls, "ssl", **{"security.protocol": "SSL", "ssl.key.password": SECRET})
    said += refused(broker.bootstrap_sasl, "sasl_plaintext, PLAIN", **LOGIN, **{"sasl.password": SECRET})
    said += made.headrace("status", code=None)
    assert SECRET not in said

    made.change(kafka={"bootstrap.servers": broker.bootstrap_sasl, **LOGIN, "sasl.password": SASL_PASSWORD})
    run = Run(made.path)
    growing.folded(run)
    said = run.page("/metrics")[1] + made.headrace("status")
    run.stop()
    assert SASL_PASSWORD not in run.log + said


def test_fault_30_kafka_gone_is_waited_for(broker: TlsKafka, growing: Growing, redis_url: str) -> None:
    """Not ready meanwhile, healthy, asked again with back-off; on by itself, with the outputs of an uninterrupted run."""
    made = growing.pipeline(redis_url, batch={"records": 5})
    run = Run(made.path)
    growing.grow(500)
    run.folded(50)
    assert run.ready()
    broker.kill()
    run.wait_until(lambda: not run.ready())
    deadline = time.monotonic() + GONE_S
    while time.monotonic() < deadline:
        assert run.page("/healthz")[0] == 200
        assert run.page("/readyz")[0] == 503
        time.sleep(0.5)
    assert run.process.poll() is None
    broker.start()
    run.wait_until(run.ready)
    growing.grow()
    growing.folded(run)
    run.stop()
    assert "is the log there?" in run.log or "the log does not answer" in run.log
    assert len(run.log.splitlines()) < 5 * GONE_S, "it asked in a hurry"
    growing.check(made)
