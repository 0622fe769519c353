"""Fault 27: somebody else owns the task."""

import signal
from pathlib import Path

import pytest

from tests.faults.scene import Growing
from tests.integration.running import Run, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]


def test_fault_27_a_fenced_task_writes_nothing_more(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """No longer assigned: dropped. Still assigned: recovered with back-off, until an owner outside the group has claimed
    it again and again; then exit 75 with that one's token. The outputs are as if nobody else had ever been there.
    """
    growing = Growing(kafka, tmp_path, redis_url)
    made = growing.pipeline(redis_url, batch={"records": 10})
    growing.grow()

    # it sleeps past the session's timeout, and another worker of the group takes over
    sleeper = Run(made.path)
    growing.folded(sleeper)
    sleeper.signal(signal.SIGSTOP)
    growing.grow()
    other = Run(made.path)
    growing.folded(other)
    sleeper.signal(signal.SIGCONT)
    sleeper.wait_until(lambda: "task 0: taken away: the group gave it to another worker" in sleeper.log)
    assert not sleeper.tasks()
    sleeper.stop()
    assert other.tasks() == {0}

    # a worker of another group, of the same pipeline: both claim the task again and again, until one has had enough
    outside = made.path.with_name("outside.yaml")
    outside.write_text(made.path.read_text())
    made._replace(path=outside).change(group=f"{made.name}-outside")
    rivals = [other, Run(outside)]

    def given_up() -> bool:
        growing.grow(10)  # who has nothing to write does not notice
        return any(run.process.poll() is not None for run in rivals)

    wait_for(given_up)
    loser, winner = sorted(rivals, key=lambda run: run.process.poll() is None)
    assert loser.end() == 75
    assert "task 0 is owned by token " in loser.log
    assert "somebody outside the group" in loser.log
    assert loser.log.count("fenced: ") > 8
    growing.folded(winner)
    assert winner.metric("fenced_total") > 0
    assert winner.metric("recoveries_total") > 1
    winner.stop()
    growing.check(made)
