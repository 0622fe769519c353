"""What is replayed: files under other names, a journal's own order, ranges of a history; and what does not fit is refused."""

import datetime as dt

import orjson
import pytest

from stream.build import open_service
from stream.checkpoints.history import read_history
from stream.config import Config
from stream.errors import ConfigError
from stream.records import OutputRecords
from stream.replay import sources
from stream.replay.digest import OutputDigest
from stream.runtime.host import ThreadHost
from stream.transport.ledger import committed_lines
from tests.unit.stream.replay.histories import LOGISTIC, START_MS, backtest, history, live, settings, write

MINUTE_MS = 60_000
FUSSY = {"tests.unit.stream.replay.estimators.Fussy": {"bound": 2.0}}


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(sources, "BATCH", 50)


def digest(said: dict[str, list[bytes]]) -> str:
    found = OutputDigest()
    found.add(OutputRecords(0, [orjson.loads(x)["key"].encode() for x in said["predictions"]], said["predictions"]))
    return found.hex


def told(path, name):
    return (path / f"{name}.jsonl").read_bytes().splitlines()


# --- learners that fail ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("champion", ["main", "fussy"])
@pytest.mark.parametrize("every_records", [None, 150])
def test_a_learner_that_raises_is_passed_over_as_live_does(tmp_path, champion, every_records):
    """The state goes back, and on without what could not be learned: answers, alarms and rejects are live's."""
    history(tmp_path)
    learners = {"main": LOGISTIC, "fussy": FUSSY}
    data = settings(tmp_path, learners=learners, champion=champion, learn_errors_max=4)
    said = live(data, tmp_path)
    messages = []
    result = backtest(
        data, out=tmp_path / "out", at_end="keep", every_records=every_records, tell=lambda p: messages.append(p.said)
    )
    assert told(result.path, "alarms") == said["alarms"]
    assert told(result.path, "rejects") == said["rejects"]
    assert result.run().facts["digests"]["0"]["predictions"] == digest(said)
    assert list(result.run().facts["frozen"]) == ["0: fussy"]
    assert sum("raised at event" in message for message in messages) == (4 if champion == "fussy" else 1)


def test_a_score_that_is_no_number_is_null(tmp_path):
    """Such an event keeps its row, without a score and an answer."""
    history(tmp_path)
    learners = {"main": "tests.unit.stream.replay.estimators.Stubborn"}
    frame = backtest(settings(tmp_path, learners=learners), out=tmp_path / "out").predictions()
    unanswered = frame[frame.score.isna()]
    assert len(unanswered) > 100
    assert unanswered.prediction.isna().all()
    assert (tmp_path / "out" / "rejects.jsonl").read_bytes().count(b"predict_error") == len(unanswered)


@pytest.mark.usefixtures("small_batches")
def test_a_failure_at_the_very_end(tmp_path):
    """A label that is revealed when history ends, and cannot be learned, is passed over as well."""
    history(tmp_path, 100)
    data = settings(
        tmp_path, own_stream=False, learners={"main": LOGISTIC, "fussy": FUSSY}, labels={"field": "y", "delay": "20d"}
    )
    result = backtest(data, out=tmp_path / "out")
    assert result.predictions().label.notna().all()
    assert list(result.run().facts["frozen"]) == ["0: fussy"]


# --- a journal --------------------------------------------------------------------------------------------------------


def run_live(data, directory) -> dict[str, list[bytes]]:
    """A service whose batches are small, twice over a stream that grew in between: its order is not that of one merge."""
    return live({**data, "batch": {"records": 40}}, directory)


def test_a_journal_gives_the_same_bytes(tmp_path):
    """Replayed by its journal under its own configuration, a service says what it said."""
    history(tmp_path)
    data = settings(tmp_path, learners={"main": LOGISTIC, "fussy": FUSSY}, champion="fussy", learn_errors_max=3)
    said = run_live(data, tmp_path)
    result = backtest(data, source="journal", out=tmp_path / "out", at_end="keep", every_records=200)
    for name in ("alarms", "rejects"):
        assert told(result.path, name) == said[name]
    assert result.run().facts["digests"]["0"]["predictions"] == digest(said)


def test_a_journal_under_another_configuration(tmp_path):
    """Another learner does not inherit what a former one could not learn; the records and their order stay."""
    history(tmp_path)
    data = settings(tmp_path, learners={"fussy": FUSSY}, learn_errors_max=3)
    run_live(data, tmp_path)
    other = {**data, "name": "other", "learners": {"fussy": LOGISTIC}}
    result = backtest([data, other], source="journal", out=tmp_path / "out", at_end="keep")
    alone = backtest({**other, "name": "other"}, source=tmp_path / "events.jsonl", labels=tmp_path / "labels.jsonl",
                     out=tmp_path / "alone", at_end="keep")  # fmt: skip
    assert result.run("other").facts["frozen"] == {}
    assert b"learn_error" not in (result.run("other").path / "rejects.jsonl").read_bytes()
    assert result.predictions("other").score.equals(alone.predictions().score)


class Stopping(ThreadHost):
    """Stops its worker after some looks at the clock."""

    looks = 0
    stop = None

    def monotonic(self):
        self.looks += 1
        if self.looks == 150 and self.stop is not None:
            self.stop()
        return super().monotonic()


def test_an_accepted_lineage_is_folded_under_one_configuration(tmp_path):
    """A service that changed its settings on the way: the backtest folds all of its records under its own."""
    history(tmp_path)
    data = settings(tmp_path, learners={"main": LOGISTIC}, batch={"records": 40})
    host = Stopping()
    with open_service(Config.model_validate(data).at(tmp_path / "t.yaml"), say=lambda _: None, host=host) as service:
        host.stop = service.worker.stop
        service.worker.run()
    changed = {**data, "predictions": {"threshold": 0.6}}
    before = len(list(committed_lines(tmp_path / "out", "predictions")))
    config = Config.model_validate(changed).at(tmp_path / "t.yaml")
    with open_service(config, accept_lineage=True, say=lambda _: None) as service:
        service.worker.run()
    assert 0 < before < len(list(committed_lines(tmp_path / "out", "predictions"))) - 100
    result = backtest(changed, source="journal", out=tmp_path / "result", at_end="keep")
    plain = backtest(changed, out=tmp_path / "plain", at_end="keep")
    assert result.run().facts["digests"] == plain.run().facts["digests"]


def test_without_a_journal(tmp_path):
    """There is nothing to follow: refused in words."""
    history(tmp_path, 50)
    with pytest.raises(ConfigError, match="has no journal"):
        backtest(settings(tmp_path), source="journal", out=tmp_path / "out")


# --- ranges -------------------------------------------------------------------------------------------------------------


def iso(minutes: int) -> str:
    return dt.datetime.fromtimestamp((START_MS + minutes * MINUTE_MS) / 1000, dt.UTC).isoformat()


def in_order(tmp_path, count=400):
    """Without anything odd: an event a minute, its label an hour later."""
    times = [START_MS + number * MINUTE_MS for number in range(count)]
    write(tmp_path / "events.jsonl", [
        {"id": f"e{i}", "card": f"c{i % 5}", "time": at, "a": float(i % 3), "b": 1.0, "y": i % 3 == 0}
        for i, at in enumerate(times)
    ])  # fmt: skip
    write(tmp_path / "labels.jsonl", [
        {"id": f"e{i}", "y": i % 3 == 0, "time": at + 60 * MINUTE_MS} for i, at in enumerate(times)
    ])  # fmt: skip


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("own_stream", [False, True])
@pytest.mark.parametrize(("start", "stop"), [(100, 300), (0, 120), (333, 400), (100, 101)])
def test_a_range_of_times(tmp_path, own_stream, start, stop):
    """Events from the first time up to the last, not including it; by offsets the same, where an event is a minute."""
    in_order(tmp_path)
    data = settings(tmp_path, own_stream=own_stream)
    by_time = backtest(data, out=tmp_path / "time", start=iso(start), stop=iso(stop))
    assert list(by_time.predictions().id) == [f"e{i}" for i in range(start, stop)]
    by_offset = backtest(data, out=tmp_path / "offset", start=start, stop=str(stop))
    frame = by_time.predictions()
    assert frame.label.notna().all()
    assert frame.equals(by_offset.predictions())


@pytest.mark.usefixtures("small_batches")
def test_a_kept_range_ends_for_labels_as_well(tmp_path):
    """With ``keep`` nothing that came after the end is applied."""
    in_order(tmp_path)
    for stop in (iso(300), 300):
        frame = backtest(settings(tmp_path), out=tmp_path / f"{stop}", stop=stop, at_end="keep").predictions()
        assert frame.label.notna().sum() == 240


@pytest.mark.usefixtures("small_batches")
def test_one_wild_time_ends_nothing(tmp_path):
    """A record whose time is far ahead neither begins a range nor ends it; the next one must say so too."""
    in_order(tmp_path)
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    for at in (49, 149):  # the last of what is read at a time
        event = orjson.loads(lines[at])
        lines[at] = orjson.dumps({**event, "time": event["time"] + 90 * 86_400_000})
    write(tmp_path / "events.jsonl", lines)
    frame = backtest(settings(tmp_path), out=tmp_path / "out", start=iso(100), stop=iso(200)).predictions()
    assert list(frame.id) == [f"e{i}" for i in range(100, 200)]


def test_a_range_goes_on_where_it_was(tmp_path, monkeypatch):
    """Interrupted within a range, it ends where it would have ended."""
    in_order(tmp_path)
    monkeypatch.setattr(sources, "BATCH", 20)
    data = settings(tmp_path)
    whole = backtest(data, out=tmp_path / "whole", start=iso(50), stop=iso(250)).predictions()

    def stop(progress):
        if progress.records > 150:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtest(data, out=tmp_path / "out", start=iso(50), stop=iso(250), every_records=70, tell=stop)
    again = backtest(data, out=tmp_path / "out", start=iso(50), stop=iso(250)).predictions()
    assert again.equals(whole)


# --- the state at the end -----------------------------------------------------------------------------------------------


def test_a_saved_state_still_waits(tmp_path):
    """What is saved is the state before waiting labels are revealed, signed, with a note of where history ended."""
    history(tmp_path)
    data = settings(tmp_path, own_stream=False)
    result = backtest(data, out=tmp_path / "out", save_state=tmp_path / "state")
    assert result.predictions().label.notna().mean() > 0.9
    told = read_history(tmp_path / "state")
    facts = result.run().facts
    assert (told.name, told.tasks, told.records) == ("test", 1, facts["records"])
    assert told.positions == ()
    kept = backtest(data, out=tmp_path / "kept", at_end="keep", save_state=tmp_path / "state-kept")
    assert kept.run().facts["waiting"] > 50
    assert heads(tmp_path / "state") == heads(tmp_path / "state-kept")


def heads(path):
    return {one.name: one.read_bytes() for one in (path / "state").rglob("*.head")}


# --- what does not fit --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({}, {"source": "kafka"}, "test reads files, so there is no topic to replay"),
        ({}, {"source": ["events.jsonl"]}, "labels have records of their own"),
        ({}, {"source": ["kafka", "events.jsonl"]}, "--source kafka stands alone"),
        ({}, {"source": "nothing.jsonl", "labels": "labels.jsonl"}, "no such file"),
        ({"labels": {"field": "y"}}, {"source": "events.jsonl", "labels": "labels.jsonl"}, "labels ride in the events"),
        ({}, {"start": "2020-09-14", "stop": "2020-09-13"}, "does not lie after"),
        ({}, {"start": "yesterday"}, "neither a time nor an offset"),
        ({}, {"score_from": 17}, "is no time"),
        ({}, {"task": 3}, "there is no such task"),
        ({}, {"source": "journal", "start": 5}, "a journal is replayed from its beginning"),
        ({}, {"source": "journal", "tasks": 2}, "--tasks is for files"),
        ({"learners": {"main": "river.linear_model.LogisticRegresion"}}, {}, "LogisticRegression"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_done(tmp_path, monkeypatch, changes, arguments, words):
    """The mistake is named, with what to do, and no directory is made."""
    history(tmp_path, 20)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as failure:
        backtest(settings(tmp_path, **changes), out=tmp_path / "results", **arguments)
    assert words in str(failure.value)
    assert not (tmp_path / "results" / "predictions.parquet").exists()


def test_topics_replayed_from_files_need_times(tmp_path):
    """A configuration of topics is replayed from files, unless it takes the times of records, which files have not."""
    history(tmp_path)
    files = settings(tmp_path)
    topics = {
        **files, "events": {**files["events"], "topic": "events"}, "labels": {**files["labels"], "topic": "labels"},
        "kafka": {"bootstrap.servers": "none"},
    }  # fmt: skip
    for section in ("events", "labels"):
        del topics[section]["file"]
    del topics["out"]
    where = {"source": tmp_path / "events.jsonl", "labels": tmp_path / "labels.jsonl"}
    first = backtest(topics, out=tmp_path / "topics", **where)
    assert first.predictions().equals(backtest(files, out=tmp_path / "files").predictions())
    without = {**topics, "labels": {key: value for key, value in topics["labels"].items() if key != "time"}}
    with pytest.raises(ConfigError, match="labels take the time of their records in the topic"):
        backtest(without, out=tmp_path / "without", **where)
