"""Kafka's own promises, on a real broker: who owns a task, and how it is told that it no longer does."""

import time

import pytest

from stream.errors import Fenced, InDoubt
from stream.transport.kafka import KafkaLog
from tests.integration.kafka_tasks import Factory, fenced, scores
from tests.kafka_place import own

pytestmark = pytest.mark.kafka


def test_two_workers_share_tasks_and_one_takes_over(kafka_log_factory: Factory) -> None:
    """Tasks move one by one: the first worker loses half to the second, and gets them back when that one leaves."""
    place = kafka_log_factory(partitions=4)
    first, second = place.log(), place.log()
    own(first, 0, 1, 2, 3)
    gained: set[int] = set()
    lost: set[int] = set()
    deadline = time.monotonic() + 30
    while len(gained) < 2 and time.monotonic() < deadline:
        lost |= set(first.assignment(0.05).lost)
        gained |= set(second.assignment(0.05).gained)
    assert len(gained) == 2
    assert gained == lost
    second.close()
    own(first, *gained)


def test_a_lost_task_cannot_be_fenced(kafka_log_factory: Factory) -> None:
    """Who is not assigned writes nothing, not even a claim."""
    place = kafka_log_factory()
    log = place.log()
    with pytest.raises(Fenced):
        log.open(0).fence()


def test_the_successors_fence_ends_the_predecessor(kafka_log_factory: Factory) -> None:
    """A zombie's commit raises Fenced, and nothing of it is ever seen."""
    place = kafka_log_factory()
    zombie = fenced(place.log())
    zombie.commit(b"mine", scores(0, 2), (0, 0))
    heir = place.log(group=f"headrace-{place.name}", kind=Usurper)
    task = fenced(heir)
    with pytest.raises(Fenced):
        zombie.commit(b"void", scores(2, 2), (0, 0))
    assert [item.value for item in task.entries(-1)] == [b"mine"]
    assert place.outputs("predictions") == [(0, b"0" * 10), (1, b"0" * 9 + b"1")]


class Usurper(KafkaLog):
    """Has the same transactional ids out of another group: what an owner outside the group looks like."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._theirs, self.group = self.group, f"{self.group}-other"

    def transactional_id(self, task: int) -> str:
        return f"{self._theirs}-{task}"


def test_a_worker_that_is_out_of_the_group_is_told_and_writes_nothing(kafka_log_factory: Factory) -> None:
    """The callbacks say that the task is lost; from then on its commits are refused before they reach Kafka."""
    place = kafka_log_factory()
    log = place.log(session_timeout_ms=1500)
    task = fenced(log)
    member = log._member
    assert member is not None
    member.unsubscribe()
    lost: set[int] = set()
    deadline = time.monotonic() + 10
    while not lost and time.monotonic() < deadline:
        lost |= set(log.assignment(0.1).lost)
    assert lost == {0}
    with pytest.raises(Fenced):
        task.commit(b"late", {}, (0, 0))


def test_the_operators_session_timeout_is_heeded(kafka_log_factory: Factory) -> None:
    """``session.timeout.ms`` under ``kafka:`` says how long a silent worker keeps its tasks; ten seconds without it."""
    place = kafka_log_factory()
    assert place.log(settings={"session.timeout.ms": "1500"})._session_timeout_ms == 1500
    assert place.log()._session_timeout_ms == 10_000


def test_a_rebalance_costs_a_kept_task_nothing_or_a_recovery(kafka_log_factory: Factory) -> None:
    """While another worker joins and leaves, commits of a task that stays go through; a refused one is in doubt, never lost."""
    place = kafka_log_factory(partitions=4)
    first = place.log()
    own(first, 0, 1, 2, 3)
    tasks = {number: first.open(number) for number in range(4)}
    for task in tasks.values():
        task.fence()
    second = place.log()
    counts = dict.fromkeys(tasks, 0)
    kept = set(tasks)
    refused = 0
    void: set[int] = set()
    deadline = time.monotonic() + 30
    gained: set[int] = set()
    while (len(gained) < 2 or min(counts[number] for number in kept) < 20) and time.monotonic() < deadline:
        kept -= set(first.assignment(0).lost)
        gained |= set(second.assignment(0).gained)
        for number in list(kept):
            try:
                if number in void:
                    tasks[number].fence()
                    void.remove(number)
                    counts[number] = sum(1 for _ in tasks[number].entries(-1))
                tasks[number].commit(b"%d" % counts[number], {}, (0, 0))
                counts[number] += 1
            except (Fenced, InDoubt):
                refused += number not in void
                void.add(number)
    assert len(kept) == 2
    assert refused <= 4, "at most one a task"
    for number in kept:
        assert [int(item.value) for item in tasks[number].entries(-1)] == list(range(counts[number]))
