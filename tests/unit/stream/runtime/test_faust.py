"""What a Faust app must be to carry a pipeline, and what Faust's rebalances mean for tasks. No broker."""

import asyncio

import faust
import pytest
from faust.types import TP

from stream.build_faust import attach
from stream.config import Config
from stream.errors import ConfigError, Fenced, LogMisfit
from stream.records import Input
from stream.runtime.faust import Intake
from stream.transport.base import Assignment
from tests.harness import BASE

KAFKA = {"bootstrap.servers": "localhost:9092"}


def app(**settings):
    return faust.App("unit", broker="kafka://localhost:9092", **{"stream_wait_empty": False, **settings})


def config(**changes):
    return Config.model_validate({**BASE, "kafka": KAFKA, **changes})


def test_attaching_registers_an_agent_for_each_topic_and_connects_to_nothing():
    """An app can be imported and looked at without a broker."""
    here = app()
    pipeline = attach(here, config())
    assert {topic for agent in here.agents.values() for topic in agent.channel.topics} == {"events", "labels"}
    assert pipeline.working is None
    pipeline.check()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stream_wait_empty": True}, "stream_wait_empty=False"),
        ({"processing_guarantee": "exactly_once"}, "use at_least_once"),
        ({"broker": "kafka://elsewhere:9092"}, "both must name the same Kafka"),
    ],
)
def test_an_app_that_does_not_fit_is_refused_at_its_start(settings, said):
    """Each with what to set."""
    here = faust.App("unit", **{"broker": "kafka://localhost", "stream_wait_empty": False, **settings})
    with pytest.raises(ConfigError, match=said):
        attach(here, config()).check()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": {**BASE["labels"], "partitioning": "broadcast"}}, "broadcast"),
        ({"events": {"file": "x.jsonl", "id": "id", "time": "time"}, "labels": {"field": "y"}}, "files"),
    ],
)
def test_a_pipeline_that_does_not_fit_is_refused(changes, said):
    """Broadcast labels and files belong to the worker."""
    with pytest.raises(ConfigError, match=said):
        attach(app(), config(**changes))


def rebalance(intake, *partitions, labels=None):
    async def both():
        await intake._revoked(None, set())
        given = {TP("events", p) for p in partitions}
        given |= {TP("labels", p) for p in (partitions if labels is None else labels)}
        await intake._assigned(None, given | {TP("other", 0)})

    asyncio.run(both())


def test_every_rebalance_gives_tasks_anew():
    """Faust revokes everything: a task that comes back was lost and gained, and what was open of it is void."""
    intake = Intake(app(), "events", "labels")
    rebalance(intake, 0, 1)
    assert intake.changes(0.0) == Assignment((0, 1), ())
    since = intake.since(0)
    with intake.writing(0, since):
        pass
    rebalance(intake, 0)
    assert intake.changes(0.0) == Assignment((0,), (0, 1))
    with pytest.raises(Fenced), intake.writing(0, since):
        pass
    with pytest.raises(Fenced):
        intake.since(1)
    with pytest.raises(Fenced):
        intake.tap(Input("events", "events", 1))


def test_partitions_that_are_split_are_refused():
    """Without Faust's own assignor labels may go elsewhere than their events: said, not worked around."""
    intake = Intake(app(), "events", "labels")
    rebalance(intake, 0, 1, labels=[0])
    with pytest.raises(LogMisfit, match="table_standby_replicas"):
        intake.changes(0.0)


def test_a_rebalance_waits_for_what_is_being_written():
    """The partition is given up only when the outputs in flight are acknowledged."""
    intake = Intake(app(), "events", None)
    rebalance(intake, 0, labels=[])
    order = []

    async def revoke_while_writing():
        with intake.writing(0, intake.since(0)):
            revoked = asyncio.create_task(intake._revoked(None, set()))
            await asyncio.sleep(0.05)
            order.append(revoked.done())
        await revoked
        order.append(revoked.done())

    asyncio.run(revoke_while_writing())
    assert order == [False, True]
