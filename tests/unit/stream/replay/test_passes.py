"""However configurations, tasks and processes are put together, each configuration's files are the same."""

import orjson
import pytest

from stream.errors import ConfigError
from stream.replay import sources
from stream.replay.partitioner import partition_of
from tests.unit.stream.replay.histories import LOGISTIC, TREE, backtest, history, live, settings, write
from tests.unit.stream.replay.test_resume import files


@pytest.fixture
def three(tmp_path):
    """Two that decode alike and one that does not."""
    history(tmp_path)
    first = settings(tmp_path)
    events = {**first["events"], "features": ["b", {"a": {"type": "number", "required": False}}]}
    return [first, {**first, "name": "tree", "learners": {"main": TREE}}, {**first, "name": "other", "events": events}]


@pytest.mark.parametrize("own_stream", [False, True])
def test_one_pass_is_as_many(tmp_path, three, own_stream):
    """Several configurations in one pass answer as each does by itself."""
    if not own_stream:
        three = [{**one, "labels": {"field": "y", "delay": "1h"}} for one in three]
    together = backtest(three, out=tmp_path / "together")
    for one in three:
        alone = backtest(one, out=tmp_path / one["name"])
        own = files(together.run(one["name"]).path)
        assert own == {name: content for name, content in files(alone.path).items() if name in own}
        assert len(own) == 3
        assert alone.run().facts["digests"] == together.run(one["name"]).facts["digests"]


def test_processes_change_nothing(tmp_path, three):
    """With two processes, over tasks and configurations, every file is what it is with one."""
    for arguments in ({}, {"tasks": 2}):
        name = "-".join(map(str, arguments.values())) or "one"
        alone = backtest(three, out=tmp_path / f"alone-{name}", **arguments)
        shared = backtest(three, out=tmp_path / f"shared-{name}", jobs=2, **arguments)
        assert files(shared.path) == files(alone.path)


def test_an_error_in_a_process_is_told(tmp_path, three):
    """What fails in another process fails here, in its words."""
    (tmp_path / "events.jsonl.gz").write_bytes(b"\x1f\x8b\x08 this is no gzip")
    with pytest.raises(Exception, match="damaged after record 0"):
        backtest(
            three, source=tmp_path / "events.jsonl.gz", labels=tmp_path / "labels.jsonl", out=tmp_path / "out", jobs=2
        )


def test_each_task_sees_its_keys(tmp_path):
    """Split over tasks, each is what live is over those keys' records: its own models, one after the other in the file."""
    history(tmp_path)
    data = settings(tmp_path)
    result = backtest(data, out=tmp_path / "split", tasks=3, at_end="keep")
    frame = result.predictions()
    assert sorted(frame.task.unique()) == [0, 1, 2]
    assert frame.task.is_monotonic_increasing
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    labels = (tmp_path / "labels.jsonl").read_bytes().splitlines()
    task_of = {}
    for line in lines:
        if line != b"{" and "card" in (event := orjson.loads(line)):
            task_of[event["id"]] = partition_of(event["card"].encode(), 3)
    for task in range(3):
        own = frame[frame.task == task]
        assert {task_of[event] for event in own.id} == {task}
        place = tmp_path / f"task-{task}"
        events = [line for line in lines if line != b"{" and task_of.get(orjson.loads(line)["id"]) == task]
        mine = [line for line in labels if task_of.get(orjson.loads(line)["id"], 0) == task]
        write(place / "events.jsonl", events)
        write(place / "labels.jsonl", mine)
        said = live(settings(place), place)
        told = [orjson.loads(line) for line in said["predictions"]]
        assert [one["score"] for one in told] == own.score.dropna().tolist()


def test_labels_with_a_key_of_their_own_follow_it(tmp_path):
    """Labels that carry their event's key are split by it, so that an early one meets its event as well."""
    history(tmp_path)
    events = [orjson.loads(x) for x in (tmp_path / "events.jsonl").read_bytes().splitlines() if x != b"{"]
    card_of = {event["id"]: event["card"] for event in events if "card" in event}
    labels = [orjson.loads(line) for line in (tmp_path / "labels.jsonl").read_bytes().splitlines()]
    keyed = [{**label, "card": card_of.get(label["id"], "c0")} for label in labels]
    write(tmp_path / "keyed.jsonl", keyed)
    data = settings(tmp_path)
    first = backtest(data, out=tmp_path / "first", tasks=2)
    second = backtest(
        data, source=tmp_path / "events.jsonl", labels=tmp_path / "keyed.jsonl", out=tmp_path / "second", tasks=2
    )
    assert first.run().facts["digests"]["1"]["predictions"] == second.run().facts["digests"]["1"]["predictions"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"events": {"id": "card"}}, "events.id is 'card', there it is 'id'"),
        ({"events": {"key": None}}, "events.key is None"),
        ({"labels": {"time": "at"}}, "labels.time"),
        ({"labels": None}, "test has labels, other none"),
        ({"problem": "regression", "learners": {"main": "river.linear_model.LinearRegression"}}, "problem is 'regression'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(tmp_path, change, words):
    """Configurations that see other events or other labels are not compared; the setting is named."""
    history(tmp_path)
    first = settings(tmp_path)
    other = {**first, "name": "other"}
    for section, value in change.items():
        other[section] = {**first[section], **value} if isinstance(value, dict) and section != "learners" else value
    other = {key: value for key, value in other.items() if value is not None}
    with pytest.raises(ConfigError, match="other cannot be compared with test") as failure:
        backtest(
            [first, other], source=tmp_path / "events.jsonl", labels=tmp_path / "labels.jsonl", out=tmp_path / "out"
        )
    assert words in failure.value.message
    assert not (tmp_path / "out").exists()


def test_equal_names_are_told_apart(tmp_path, monkeypatch):
    """Two configurations of one name are called by their files; those without a file get a number."""
    history(tmp_path)
    data = settings(tmp_path, learners={"main": LOGISTIC})
    paths = []
    for name in ("now", "then"):
        path = tmp_path / f"{name}.yaml"
        path.write_bytes(orjson.dumps(data))
        paths.append(path)
    monkeypatch.setattr(sources, "BATCH", 100)
    assert [run.name for run in backtest(paths, out=tmp_path / "files").runs] == ["now", "then"]
    assert [run.name for run in backtest([data, data], out=tmp_path / "mappings").runs] == ["test", "test-2"]
