"""The contract suite of all logs (tests/conformance/test_transports.py), on a real broker."""

from collections.abc import Callable

import pytest

from stream.records import OutputName
from stream.transport.base import Log
from stream.transport.kafka import KafkaLog
from stream.transport.kafka_task import KafkaTaskLog
from tests.conformance.test_transports import *  # noqa: F403 (the tests, and the fixtures but for the stand)
from tests.conformance.test_transports import EVENTS, LABELS
from tests.kafka_place import KafkaPlace, own

pytestmark = pytest.mark.kafka


class Outsider(KafkaLog):
    """Alone in a group of its own, so that it has task 0 at once; fencing is between transactional ids, as always."""

    def open(self, task: int) -> KafkaTaskLog:
        if not self.owns(task):
            own(self, task)
        return super().open(task)

    def transactional_id(self, task: int) -> str:
        return f"{self.group.rsplit('.', 1)[0]}-{task}"


class KafkaStand:
    def __init__(self, place: KafkaPlace) -> None:
        self.place = place
        place.append(place.topics.events, EVENTS)
        place.append(place.topics.labels, LABELS)

    def log(self) -> Log:
        return self.place.log(kind=Outsider, group=f"{self.place.name}.{len(self.place.logs)}")

    def outputs(self, name: OutputName) -> list[tuple[int, bytes]]:
        return self.place.outputs(name)


@pytest.fixture
def stand(kafka_log_factory: Callable[..., KafkaPlace]) -> KafkaStand:
    return KafkaStand(kafka_log_factory())


def test_a_log_gives_task_zero_once(stand: KafkaStand) -> None:  # type: ignore[no-redef]
    """As in the suite, with the time that a group takes to form."""
    log = stand.log()
    own(log, 0)
    assert [log.assignment(0.1) for _ in range(3)] == [((), ())] * 3
