"""Kafka's own promises, on a broker that asks for a password, goes away, comes back, or freezes."""

import time
from collections.abc import Iterator

import pytest

from stream.errors import Fenced, InDoubt, LogMisfit, LogUnavailable
from stream.transport.base import TaskLog
from stream.transport.kafka import KafkaLog
from tests.integration.kafka_tasks import Factory, fenced, poll_until, scores
from tests.kafka_place import KafkaPlace
from tests.servers import SASL_PASSWORD, SASL_USER, KafkaServer

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    """A broker of this module's own, to be mistreated."""
    with KafkaServer() as own_server:
        yield own_server


def test_wrong_password_says_where_and_how_never_the_secret(server: KafkaServer) -> None:
    """Endpoint and mechanism; a wrong password stops the worker at once."""
    place = KafkaPlace(server.bootstrap)
    login = {
        "bootstrap.servers": server.bootstrap_sasl,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": SASL_USER,
        "sasl.password": "hunter2",
    }
    with pytest.raises(LogMisfit) as raised:
        place.log(settings=login)
    assert server.bootstrap_sasl in str(raised.value)
    assert "PLAIN" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_the_right_password_works(server: KafkaServer) -> None:
    """SASL settings reach every client."""
    place = KafkaPlace(server.bootstrap)
    login = {
        "bootstrap.servers": server.bootstrap_sasl,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": SASL_USER,
        "sasl.password": SASL_PASSWORD,
    }
    task = fenced(place.log(settings=login))
    task.commit(b"one", scores(0, 1), (0, 0))
    assert task.last_seq()["predictions"] == 0
    place.close()


def test_a_broker_that_is_gone_and_comes_back(server: KafkaServer) -> None:
    """Commits fail with a reason, polls say that nobody answers; after a fence everything goes on by itself."""
    place = KafkaPlace(server.bootstrap)
    log = place.log(commit_deadline_s=3.0)
    task = fenced(log)
    task.commit(b"before", scores(0, 2), (0, 0))
    server.kill()
    with pytest.raises((LogUnavailable, InDoubt)):
        task.commit(b"during", scores(2, 2), (0, 0))
    with pytest.raises(LogUnavailable):
        poll_until(task, lambda _: False)
    server.start()
    place.append(place.topics.events, [b"after"])
    assert poll_until(task, lambda taken: len(taken[0]) == 1, patient=True)[0].values == [b"after"]
    fence_at_last(log, task)
    entries = [item.value for item in task.entries(-1)]
    assert entries == [b"before"]
    task.commit(b"after", scores(2, 1), (1, 0))
    assert [seq for seq, _ in place.outputs("predictions")] == [0, 1, 2]
    place.close()


def test_a_broker_frozen_at_the_commit(server: KafkaServer) -> None:
    """The answer is lost: afterwards the journal and the outputs agree on whether the batch is there."""
    place = KafkaPlace(server.bootstrap)
    log = place.log(commit_deadline_s=2.0)
    task = fenced(log)
    task.commit(b"before", scores(0, 2), (0, 0))
    server.freeze()
    try:
        with pytest.raises((LogUnavailable, InDoubt)):
            task.commit(b"during", scores(2, 2), (0, 0))
    finally:
        server.thaw()
    fence_at_last(log, task)
    there = [item.value for item in task.entries(-1)][1:] == [b"during"]
    assert task.last_seq()["predictions"] == (3 if there else 1)
    place.close()


def fence_at_last(log: KafkaLog, task: TaskLog) -> None:
    """As the runtime does: back off and try again while the log does not answer or the task is not ours yet."""
    deadline = time.monotonic() + 60
    while True:
        log.assignment(0.2)
        try:
            task.fence()
        except (Fenced, LogUnavailable):
            assert time.monotonic() < deadline
        else:
            return


def test_nobody_there_is_unavailable(kafka_log_factory: Factory) -> None:
    """A wrong address is said within the question's time, as something that may pass."""
    place = kafka_log_factory()
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1 "):
        place.log(settings={"bootstrap.servers": "127.0.0.1:1"}, request_timeout_s=1.0)
