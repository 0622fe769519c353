"""``headrace simulate``: whole files with the same bytes each time, order and pace on the way to Kafka, mistakes in words."""

import argparse
import gzip
import json

import pytest

from stream.cli import simulate
from stream.errors import ConfigError
from stream.feeds.fraud import FraudFeed


def arguments(*words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    simulate.add_arguments(parser)
    return parser.parse_args(["fraud", *map(str, words)])


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_files_hold_the_feed(tmp_path):
    """Every event and label is a line, in the feed's order, and the truth stands beside them."""
    assert simulate.run(arguments("--days", 3, "--seed", 5, "--customers", 50, "--out", tmp_path / "feed")) == 0
    feed = FraudFeed(3, 5, customers=50)
    assert lines(tmp_path / "feed" / "events.jsonl") == list(feed.events())
    assert lines(tmp_path / "feed" / "labels.jsonl") == list(feed.labels())
    truth = json.loads((tmp_path / "feed" / "truth.json").read_text())
    assert truth["change"] == feed.truth.change
    assert truth["frauds"] == feed.truth.frauds
    assert {path.name for path in (tmp_path / "feed").iterdir()} == {"events.jsonl", "labels.jsonl", "truth.json"}


def test_compressed_files_are_the_same_bytes_each_time(tmp_path):
    """No time and no name of the machine gets into them, and they hold what the plain ones hold."""
    for name, more in (("a", ["--compress", "gz"]), ("b", ["--compress", "gz"]), ("plain", [])):
        simulate.run(arguments("--days", 2, "--customers", 50, "--out", tmp_path / name, *more))
    for kind in ("events", "labels"):
        packed = (tmp_path / "a" / f"{kind}.jsonl.gz").read_bytes()
        assert packed == (tmp_path / "b" / f"{kind}.jsonl.gz").read_bytes()
        assert gzip.decompress(packed) == (tmp_path / "plain" / f"{kind}.jsonl").read_bytes()


def test_interrupted_writing_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    """A file gets its name when it is complete."""

    def interrupted(feed):
        yield "event", {"id": "1"}
        raise KeyboardInterrupt

    monkeypatch.setattr(FraudFeed, "records", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate.run(arguments("--days", 1, "--customers", 50, "--out", tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_positives_only_writes_no_label_of_a_genuine_payment(tmp_path):
    """`--labels positives`: silence is the label."""
    simulate.run(arguments("--days", 5, "--customers", 400, "--labels", "positives", "--out", tmp_path))
    labels = lines(tmp_path / "labels.jsonl")
    assert labels
    assert all(label["fraud"] for label in labels)


def test_played_records_go_out_in_order_of_time_keyed_by_customer():
    """Each to its topic, labels between the events around them."""
    sent = []
    feed = FraudFeed(2, 1, customers=50)
    counts = simulate.play(feed, lambda *what: sent.append(what), {"event": "e", "label": "l"}, None)
    assert counts == (sum(topic == "e" for topic, _, _ in sent), sum(topic == "l" for topic, _, _ in sent))
    records = [json.loads(value) for _, _, value in sent]
    assert [record["time"] for record in records] == sorted(record["time"] for record in records)
    assert [key for _, key, _ in sent] == [record["customer"].encode() for record in records]
    assert [record for record, (topic, _, _) in zip(records, sent, strict=True) if topic == "e"] == list(feed.events())


def test_played_events_keep_the_rate(monkeypatch):
    """At 50 a second the n-th event leaves n/50 seconds after the first."""
    clock, sent = Clock(), []
    monkeypatch.setattr(simulate, "time", clock)
    feed = FraudFeed(1, 1, customers=50)
    simulate.play(feed, lambda topic, *_: sent.append((topic, clock.now)), {"event": "e", "label": "l"}, 50.0)
    at = [seconds for topic, seconds in sent if topic == "e"]
    assert at == pytest.approx([100.0 + number / 50 for number in range(len(at))], abs=simulate.AHEAD_S)


@pytest.mark.parametrize(
    "words",
    [
        ["--days", "0", "--out", "x"],
        ["--days", "1"],
        ["--days", "1", "--out", "x", "--kafka", "localhost:9092"],
        ["--days", "1", "--kafka", "localhost:9092", "--rate", "0"],
        ["--days", "1", "--kafka", "localhost:9092", "--rate", "nan"],
    ],
)
def test_wrong_usage_is_refused(words):
    """Endless feeds, no or two destinations, and rates that are none, before anything is done."""
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        arguments(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "x", "--rate", "10"], "--rate goes with --kafka"),
        (["--kafka", "localhost:1", "--compress", "gz"], "--compress goes with --out"),
        (["--out", "x", "--change-at", "2"], "change_at"),
        (["--out", "x", "--customers", "3"], "customers: expected at least 10"),
        (["--out", "x", "--seed", "-1"], "seed"),
    ],
)
def test_mistakes_are_told_in_words(words, said):
    """The operator reads which option is wrong."""
    with pytest.raises(ConfigError, match=said):
        simulate.run(arguments("--days", 1, *words))
