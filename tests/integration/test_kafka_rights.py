"""What a broker refuses a writer: said in words, with the endpoint, and the worker ends instead of trying for ever."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from stream.errors import LogMisfit
from stream.transport.base import TaskLog
from tests.integration.kafka_tasks import scores
from tests.kafka_place import KafkaPlace, own
from tests.servers import SASL_PASSWORD, SASL_USER, KafkaServer

pytestmark = pytest.mark.kafka

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[KafkaServer]:
    """A broker with access lists, of which only the user who logs in is subject."""
    with KafkaServer(AUTHORIZER) as server:
        yield server


@pytest.fixture
def place(guarded: KafkaServer) -> Iterator[KafkaPlace]:
    place = KafkaPlace(guarded.bootstrap)
    yield place
    for log in place.logs:
        log.close()


def opened(place: KafkaPlace, server: KafkaServer, **options: Any) -> TaskLog:
    login = {
        "bootstrap.servers": server.bootstrap_sasl, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
        "sasl.username": SASL_USER, "sasl.password": SASL_PASSWORD,
    }  # fmt: skip
    log = place.log(settings=login, **options)
    own(log, 0)
    return log.open(0)


@contextmanager
def denied(place: KafkaPlace, kind: ResourceType, name: str, operation: AclOperation) -> Iterator[None]:
    user, pattern = f"User:{SASL_USER}", ResourcePatternType.PREFIXED
    binding = AclBinding(kind, name, pattern, user, "*", operation, AclPermissionType.DENY)
    for made in place.admin.create_acls([binding]).values():
        made.result(30)
    time.sleep(0.5)  # until the broker goes by it
    try:
        yield
    finally:
        gone = AclBindingFilter(kind, name, pattern, user, "*", operation, AclPermissionType.DENY)
        for made in place.admin.delete_acls([gone]).values():
            made.result(30)
        time.sleep(0.5)


def test_without_the_right_to_the_transactional_id(guarded: KafkaServer, place: KafkaPlace) -> None:
    """A fatal error of the producer: neither a traceback nor a matter of who owns the task."""
    task = opened(place, guarded)
    with (
        denied(place, ResourceType.TRANSACTIONAL_ID, "headrace-", AclOperation.ALL),
        pytest.raises(LogMisfit, match="Transactional Id authorization failed"),
    ):
        task.fence()


def test_without_the_right_to_write_an_output(guarded: KafkaServer, place: KafkaPlace) -> None:
    """Nothing is in doubt: it would be refused again, for ever. With the right it goes on."""
    task = opened(place, guarded)
    task.fence()
    task.commit(b"one", scores(0, 1), (0, 0))
    with (
        denied(place, ResourceType.TOPIC, place.topics.predictions, AclOperation.WRITE),
        pytest.raises(LogMisfit, match="Topic authorization failed"),
    ):
        task.commit(b"two", scores(1, 1), (0, 0))
    task.fence()
    task.commit(b"two", scores(1, 1), (0, 0))
    assert len(place.committed(place.topics.predictions)) == 2


def test_without_the_right_to_the_group(guarded: KafkaServer, place: KafkaPlace) -> None:
    """As for an output."""
    task = opened(place, guarded)
    task.fence()
    with (
        denied(place, ResourceType.GROUP, "headrace-", AclOperation.READ),
        pytest.raises(LogMisfit, match="Group authorization failed"),
    ):
        task.commit(b"one", scores(0, 1), (0, 0))


def test_transactions_longer_than_the_broker_allows(guarded: KafkaServer, place: KafkaPlace) -> None:
    """15 minutes are a broker's default."""
    task = opened(place, guarded, transaction_timeout_ms=1_800_000)
    with pytest.raises(LogMisfit, match="only shorter transactions") as raised:
        task.fence()
    assert "transaction_timeout" in raised.value.hint
