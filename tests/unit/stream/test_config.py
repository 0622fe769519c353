import json
from pathlib import Path

import pytest

from stream.config import Config, fold_config, load
from stream.config_features import LabelValue
from stream.config_sections import FeatureSignal
from stream.errors import ConfigError

DESIGN = """
name: fraud
problem: binary
events:  {topic: transactions, id: transaction_id, key: customer_id,
          time: {field: tx_datetime, zone: UTC}, features: [amount]}
labels:  {topic: fraud-labels, id: transaction_id, value: is_fraud, assume: {value: false, after: 7d}}
predictions: {topic: fraud-scores, threshold: 0.5}
features:
  - window: {by: customer_id, of: amount,     compute: [count, mean], over: [1d, 7d, 30d]}
  - window: {by: terminal_id, of: {label: }, compute: [count, mean], over: [1d, 7d, 30d]}
learners:
  logistic: [river.preprocessing.StandardScaler, {river.linear_model.LogisticRegression: {l2: 1e-4}}]
  forest:   {river.forest.ARFClassifier: {n_models: 10, seed: 1}}
champion: logistic
detectors:
  - {signal: error,             detector: {adwin: {delta: 0.002}},         response: alarm}
  - {signal: {feature: amount}, detector: {page_hinkley: {threshold: 50}}, response: reset}
checkpoints: {store: "redis://localhost:6379/0", every: 100_000 events, keep: 10}
kafka:       {bootstrap.servers: "localhost:9092"}
delivery:    exactly_once
"""

FILES = {
    "name": "cards",
    "events": {"file": "events.jsonl", "id": "id", "time": "time"},
    "labels": {"field": "fraud", "delay": "7d"},
    "learners": {"one": "river.linear_model.LogisticRegression"},
}


def assumed(value: object) -> dict[str, object]:
    """Labels of their own, whose silence is this label."""
    return {
        "file": "l.jsonl", "id": "id", "value": "y", "time": "t", "assume": {"value": value, "after": "7d"},
    }  # fmt: skip


def changed(**sections: object) -> dict[str, object]:
    """The small file pipeline with other sections."""
    return {**FILES, **sections}


def configured(tmp_path: Path, data: object = None, text: str | None = None, **environment: str) -> Config:
    path = tmp_path / "pipeline.yaml"
    path.write_text(json.dumps(data) if text is None else text)
    return load(path, environment)


def refused(tmp_path: Path, **sections: object) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, changed(**sections))
    return str(caught.value)


def test_the_design_loads(tmp_path: Path) -> None:
    """Everything in DESIGN.md's grammar loads, with numbers as numbers."""
    config = configured(tmp_path, text=DESIGN)
    assert config.learners["logistic"][1] == {"river.linear_model.LogisticRegression": {"l2": 0.0001}}


def test_windows_load_as_models(tmp_path: Path) -> None:
    """A window of the label keeps `{label: }` apart from a feature's name."""
    config = configured(tmp_path, text=DESIGN)
    assert isinstance(config.features[1].window.of, LabelValue)


def test_defaults_are_named_after_the_pipeline(tmp_path: Path) -> None:
    """Topics, the group and the directory of outputs that are not written follow from the name."""
    config = configured(tmp_path, changed(predictions={"threshold": 0.3}))
    named = (config.predictions.topic, config.alarms.topic, config.group, config.out)
    assert named == ("cards-predictions", "cards-alarms", "headrace-cards", "./cards-out")


def test_the_first_learner_is_champion(tmp_path: Path) -> None:
    """Without `champion:`, the first learner as written answers."""
    learners = {"z": "river.linear_model.LogisticRegression", "a": "river.tree.HoeffdingTreeClassifier"}
    assert configured(tmp_path, changed(learners=learners)).champion == "z"


@pytest.mark.parametrize(
    ("assume", "days"), [(None, 30), ({"value": False, "after": "7d"}, 30), ({"value": 0, "after": "20d"}, 40)]
)
def test_labels_wait_by_default(tmp_path: Path, assume: object, days: int) -> None:
    """An event waits thirty days, or twice the time after which silence counts."""
    labels = {"file": "labels.jsonl", "id": "id", "value": "y", "time": "t"} | ({"assume": assume} if assume else {})
    config = configured(tmp_path, changed(labels=labels))
    assert config.labels is not None
    assert config.labels.wait.ms == days * 86_400_000


def test_features_have_three_spellings(tmp_path: Path) -> None:
    """A name, a name with its type, a name with type and more."""
    events = {**FILES["events"], "features": ["a", {"b": "boolean"}, {"name": {"type": "text", "required": False}}]}
    features = configured(tmp_path, changed(events=events)).events.features
    assert features is not None
    assert [(one.name, one.type, one.required) for one in features] == [
        ("a", "number", True),
        ("b", "boolean", True),
        ("name", "text", False),
    ]


def test_detectors_get_unique_names(tmp_path: Path) -> None:
    """Names are derived from detector and signal and numbered where they repeat."""
    adwin = {"signal": "error", "detector": "adwin"}
    config = configured(tmp_path, changed(detectors=[adwin, adwin, {**adwin, "signal": {"feature": "x"}}]))
    assert [spec.name for spec in config.detectors] == ["adwin-error", "adwin-error-2", "adwin-x"]


def test_a_feature_is_a_signal(tmp_path: Path) -> None:
    """`{feature: name}` is told apart from the signals with names of their own."""
    config = configured(tmp_path, changed(detectors=[{"signal": {"feature": "x"}, "detector": "adwin"}]))
    assert config.detectors[0].signal == FeatureSignal(feature="x")


def test_classes_are_text(tmp_path: Path) -> None:
    """Whole numbers and booleans as classes are the text that JSON has for them."""
    config = configured(tmp_path, changed(problem="multiclass", labels={"field": "y", "classes": [1, True, "b"]}))
    assert config.labels is not None
    assert config.labels.classes == ("1", "true", "b")


def test_serving_can_be_off(tmp_path: Path) -> None:
    """`serve: false` is no server at all."""
    assert configured(tmp_path, changed(serve=False)).serve is None


def test_paths_start_at_the_file(tmp_path: Path) -> None:
    """Relative paths mean the same from every working directory."""
    assert configured(tmp_path, FILES).path("events.jsonl") == tmp_path / "events.jsonl"


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"evnts": {}}, "unknown key `evnts`; did you mean `events`?"),
        ({"events": {**FILES["events"], "tim": 1}}, "events: unknown key `tim`; did you mean `time`?"),
        ({"events": {**FILES["events"], "topic": "t"}}, "`topic` and `file` are both given"),
        ({"events": {"id": "id", "time": "t"}}, "`topic: …` or `file: …`"),
        ({"events": {"file": "f", "id": "id"}}, "events: `time` is required: a line of a file"),
        (
            {"events": {"file": "f", "id": "id", "time": {"field": "t", "zone": "Mars/X"}}},
            "'Mars/X' is not a time zone",
        ),
        ({"events": {**FILES["events"], "features": ["fraud"]}}, "'fraud' is the label"),
        ({"events": {**FILES["events"], "features": ["a", "a"]}}, "feature 'a' is listed twice"),
        ({"events": {**FILES["events"], "features": ["a"], "exclude": ["b"]}}, "`exclude` is for open features"),
        ({"labels": {"topic": "t", "id": "id", "value": "v"}}, "events come from files and labels from a topic"),
        ({"labels": {"file": "f"}}, "need `id` (the event's) and `value`"),
        ({"labels": {"field": "y", "value": "v"}}, "so `value` has no meaning"),
        (
            {
                "labels": {
                    "file": "l.jsonl",
                    "id": "id",
                    "value": "y",
                    "time": "t",
                    "wait": "1d",
                    "assume": {"value": 0, "after": "7d"},
                }
            },
            "`wait` (1d) must not be shorter",
        ),
        ({"labels": {"field": "y", "wait": "1d", "delay": "7d"}}, "must not be shorter than `delay` (7d)"),
        ({"labels": {"field": "y", "delay": "7x"}}, "labels.delay: expected a duration such as 7d"),
        (
            {"labels": {"field": "y", "delay": "-2 events"}},
            "labels.delay: expected a number of events such as `2 events`",
        ),
        ({"labels": {"field": "y", "delay": {"unit": "d"}}}, "labels.delay: `field` is required"),
        ({"labels": {"field": "y", "delay": {"field": "x", "unti": "d"}}}, "unknown key `unti`; did you mean `unit`?"),
        (
            {"labels": {"field": "y", "delay": {"field": "x", "unit": "y"}}},
            "labels.delay.unit: expected ms, s, m, h, d, w",
        ),
        ({"labels": {"field": "y", "delay": {"field": "y"}}}, "read from 'y', which is the label itself"),
        (
            {"labels": {"field": "y", "delay": "9 events", "waiting_max": 8}},
            "`waiting_max` (8) must not be smaller than",
        ),
        (
            {"labels": {"file": "l", "id": "i", "value": "v", "time": "t", "delay": "0 events"}},
            "`delay` is for `field`",
        ),
        (
            {
                "labels": {"field": "y", "delay": {"field": "x"}},
                "detectors": [{"signal": {"feature": "x"}, "detector": "adwin"}],
            },
            "'x' is not a feature",
        ),
        (
            {
                "labels": {
                    "file": "l.jsonl",
                    "id": "id",
                    "value": "y",
                    "time": "t",
                    "assume": {"value": "no", "after": "7d"},
                }
            },
            "the label of a problem of this kind is true or false",
        ),
        ({"problem": "anomaly", "labels": assumed("no")}, "the label of a problem of this kind is true or false"),
        ({"problem": "anomaly", "labels": assumed(5)}, "the label of a problem of this kind is true or false"),
        ({"labels": {"field": "y", "assume": {"value": False, "after": "7d"}}}, "`assume` is for labels of their own"),
        ({"labels": {"field": "y", "classes": ["a"]}}, "are for multiclass problems; this one is binary"),
        ({"problem": "multiclass"}, "needs `labels: {classes: [...]}`"),
        ({"problem": "binry"}, "got 'binry'; did you mean `binary`?"),
        ({"champion": "on"}, "there is no learner 'on'; did you mean `one`?"),
        ({"learners": {}}, "learners"),
        ({"learners": {"champion": "a.b"}}, "`champion` is a role"),
        ({"learners": {"x": {"a": 1, "b": 2}}}, "learners.x: a part is `name` or `{name: parameters}`"),
        ({"learners": {"x": []}}, "a chain needs at least one part"),
        ({"learners": {"x": {"factory": "nope"}}}, "`factory` is `module:function`, got 'nope'"),
        ({"learners": {"x": {"factory": "a:b", "params": {}}}}, "unknown key `params` beside `factory`"),
        ({"detectors": [{"signal": "eror", "detector": "adwin"}]}, "detectors[0].signal: expected one of error"),
        ({"detectors": [{"signal": {"featur": "x"}, "detector": "adwin"}]}, "unknown key `featur`"),
        ({"detectors": [{"signal": "error", "detector": "adwin", "learners": ["two"]}]}, "no learner 'two'"),
        ({"detectors": [{"signal": {"feature": "fraud"}, "detector": "adwin"}]}, "'fraud' is not a feature"),
        ({"detectors": [{"signal": "error", "detector": "adwin", "name": "a"}] * 2}, "two detectors are named 'a'"),
        (
            {
                "events": {**FILES["events"], "features": [{"place": "text"}]},
                "detectors": [{"signal": {"feature": "place"}, "detector": "adwin"}],
            },
            "detector adwin-place: 'place' is text; a detector watches numbers",
        ),
        (
            {"labels": None, "detectors": [{"signal": "error", "detector": "adwin"}]},
            "detector adwin-error: there is no `error` without labels",
        ),
        (
            {"labels": None, "detectors": [{"signal": "label", "detector": "adwin"}]},
            "there is no `label` without labels",
        ),
        (
            {"problem": "regression", "predictions": {"threshold": 0.9}},
            "`threshold` is for binary and anomaly problems; this one is regression",
        ),
        (
            {
                "problem": "multiclass",
                "labels": {"field": "y", "classes": ["a"]},
                "predictions": {"threshold": 0.9},
            },
            "`threshold` is for binary and anomaly problems; this one is multiclass",
        ),
        ({"checkpoints": {"every": 100_000}}, "`100_000 events` or a duration"),
        ({"checkpoints": {"store": "mongo://x"}}, "there is no store for mongo://"),
        ({"checkpoints": {"keep": "10"}}, "checkpoints.keep: expected a whole number, got '10'"),
        ({"limits": {"magnitude": -1}}, "limits.magnitude"),
        ({"kafka": {"group.id": "g"}}, "write `group:` beside `kafka:` instead"),
        ({"alarms": {"topic": "t"}, "rejects": {"topic": "t"}}, "topic 't' has two uses"),
        ({"time_jump_max": "-1d"}, "expected a duration"),
        ({"time_jump_max": 0}, "time_jump_max: stream time must be able to move"),
        ({"transaction_timeout": "500ms"}, "transaction_timeout: a transaction may be open for 1s to 24d, not 500ms"),
        ({"transaction_timeout": "30d"}, "transaction_timeout: a transaction may be open for 1s to 24d, not 30d"),
        ({"name": "Fraud"}, "name: string should match pattern"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, sections: dict[str, object], said: str) -> None:
    """A wrong setting is refused in words that name it and the nearest right one."""
    assert said in refused(tmp_path, **sections)


@pytest.mark.parametrize(
    ("place", "labels"),
    [
        ("labels.assume.value", assumed("NUMBER")),
        ("labels.exclude_if.equals", {**assumed(1.5), "exclude_if": {"field": "x", "equals": "NUMBER"}}),
    ],
)
@pytest.mark.parametrize("number", [".nan", ".inf"])
def test_what_silence_means_is_finite(tmp_path: Path, place: str, labels: dict[str, object], number: str) -> None:
    """No label is NaN, and no field equals it."""
    text = json.dumps(changed(problem="regression", labels=labels)).replace('"NUMBER"', number)
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, text=text)
    assert place in str(caught.value)
    assert "expected a finite number" in str(caught.value)


def test_a_listed_feature_is_a_signal_of_a_detector(tmp_path: Path) -> None:
    """A detector on a feature that is not listed is refused with the nearest one."""
    events = {**FILES["events"], "features": ["amount"]}
    said = refused(tmp_path, events=events, detectors=[{"signal": {"feature": "amont"}, "detector": "adwin"}])
    assert "there is no feature 'amont'; did you mean `amount`?" in said


def test_topics_need_a_broker(tmp_path: Path) -> None:
    """Events of a topic without `bootstrap.servers` are refused."""
    assert "bootstrap.servers" in refused(tmp_path, events={"topic": "t", "id": "id", "time": "time"})


def test_the_answers_come_back(tmp_path: Path) -> None:
    """A configuration made of recorded answers has the same answers, after JSON."""
    answers = configured(tmp_path, text=DESIGN).answers()
    assert fold_config(json.loads(json.dumps(answers))).answers() == answers


@pytest.mark.parametrize(
    ("delay", "told", "wait"),
    [
        ("1h30m", "1h30m", "1d"),
        ("9d", "9d", "9d"),
        (90, "1m30s", "1d"),
        ("2 events", "2 events", "1d"),
        ("1 event", "1 event", "1d"),
        ("1_000  events", "1_000 events", "1d"),
        ("100000 events", "100_000 events", "1d"),
        ({"field": "days", "unit": "d"}, {"field": "days", "unit": "d"}, "30d"),
        ({"field": "after"}, {"field": "after", "unit": "s"}, "30d"),
    ],
)
def test_every_kind_of_delay_comes_back_from_the_answers(
    tmp_path: Path, delay: object, told: object, wait: str
) -> None:
    """In one way of writing it, through JSON, with the wait that follows from it."""
    answers = configured(tmp_path, changed(labels={"field": "fraud", "delay": delay})).answers()
    assert (answers["labels"]["delay"], answers["labels"]["wait"]) == (told, wait)
    again = fold_config(json.loads(json.dumps(answers)))
    assert json.dumps(again.answers()) == json.dumps(answers)


def test_labels_of_before_are_told_in_the_same_bytes(tmp_path: Path) -> None:
    """A journal that was written before there were other delays sees no other lineage."""
    middle = '", "id": null, "value": null, "time": null, "classes": null, "new_classes": false, "classes_max": 32, '
    middle += '"assume": null, "wait": "'
    end = '", "conflict": "first", "park": "1d", "park_max": 10000, "waiting_max": 1000000, "partitioning": "copartitioned"}'
    for delay, told, wait in (("8d", "8d", "8d"), ("90m", "1h30m", "1d"), (0, "0s", "1d")):
        answers = configured(tmp_path, changed(labels={"field": "fraud", "delay": delay})).answers()
        assert json.dumps(answers["labels"]) == '{"field": "fraud", "delay": "' + told + middle + wait + end


def test_a_file_without_a_clock_counts_events(tmp_path: Path) -> None:
    """Its events need no time where labels are known so many events later; the setting comes back from the answers."""
    sections = {"events": {"file": "f.csv", "id": "id"}, "labels": {"field": "y", "delay": "0 events"}}
    config = configured(tmp_path, changed(**sections))
    assert config.events.time is None
    assert fold_config(json.loads(json.dumps(config.answers()))).answers() == config.answers()


def test_learners_keep_their_order_in_the_answers(tmp_path: Path) -> None:
    """The order of learners survives a mapping that was sorted on the way."""
    learners = {"z": "river.linear_model.LogisticRegression", "a": "river.tree.HoeffdingTreeClassifier"}
    answers = configured(tmp_path, changed(learners=learners)).answers()
    assert list(fold_config(json.loads(json.dumps(answers, sort_keys=True))).learners) == ["z", "a"]


@pytest.mark.parametrize(
    "sections",
    [
        {"name": "other"},
        {"events": {**FILES["events"], "file": ["other.csv"]}},
        {"checkpoints": {"store": "./there", "keep": 3}},
        {"batch": {"records": 7}},
        {"predictions": {"topic": "elsewhere"}},
        {"serve": False},
        {"delivery": "at_least_once"},
    ],
)
def test_what_changes_no_answer_is_not_in_the_answers(tmp_path: Path, sections: dict[str, object]) -> None:
    """Names, places and transport may change beneath old state."""
    assert configured(tmp_path, changed(**sections)).answers() == configured(tmp_path, FILES).answers()


@pytest.mark.parametrize(
    "sections",
    [
        {"predictions": {"threshold": 0.4}},
        {"labels": {"field": "fraud", "delay": "8d"}},
        {"labels": {"field": "fraud", "delay": "8 events"}},
        {"labels": {"field": "fraud", "delay": {"field": "days", "unit": "d"}}},
        {"limits": {"width": 10}},
        {"metrics": {"window": 10}},
        {"time_jump_max": "2d"},
        {"learn_errors_max": 1},
        {"detectors": [{"signal": "error", "detector": "adwin"}]},
    ],
)
def test_what_changes_answers_is_in_the_answers(tmp_path: Path, sections: dict[str, object]) -> None:
    """A setting on which results depend changes the answers' part of the lineage."""
    assert configured(tmp_path, changed(**sections)).answers() != configured(tmp_path, FILES).answers()


def test_recorded_answers_of_another_version_are_refused(tmp_path: Path) -> None:
    """Answers that this version does not know end with an error that says what to do."""
    answers = configured(tmp_path, FILES).answers()
    with pytest.raises(ConfigError, match="does not load in this version"):
        fold_config({**answers, "gravity": 9.81})
