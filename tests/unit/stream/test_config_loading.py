from pathlib import Path
from textwrap import dedent

import pytest

from stream.config import load
from stream.config_loading import read
from stream.config_values import Secret
from stream.errors import ConfigError

BASE = """
name: cards
events: {topic: cards, id: id, time: time}
labels: {field: fraud}
learners:
  one: {river.linear_model.LogisticRegression: {l2: 1e-4}}
kafka: {bootstrap.servers: "localhost:9092"}
"""


def written(tmp_path: Path, text: str, name: str = "pipeline.yaml") -> Path:
    path = tmp_path / name
    path.write_text(dedent(text))
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("NO", "NO"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("100_000 events", "100_000 events"),
        ("yes", "yes"),
    ],
)
def test_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    """What YAML 1.1 reads as something else is read as written."""
    assert read(written(tmp_path, f"x: {text}"), {}).data["x"] == value


def test_a_mistake_has_its_line(tmp_path: Path) -> None:
    """An error names the file and the line of the key."""
    path = written(tmp_path, BASE + "delivery: twice\n")
    with pytest.raises(ConfigError, match=r"pipeline\.yaml, line 8: delivery: expected exactly_once"):
        load(path, {})


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    """All errors of a file are told together."""
    path = written(tmp_path, BASE + "delivery: twice\nbatch: {records: 0}\nevnts: 1\n")
    with pytest.raises(ConfigError, match="3 mistakes") as caught:
        load(path, {})
    assert all(word in str(caught.value) for word in ("delivery", "batch.records", "evnts"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2", "line 2: not YAML"),
        ("a: 1\na: 2", "line 2: not YAML: found duplicate key"),
        ("- a", "is a mapping"),
        ("", "is a mapping"),
        ("a: !!python/object:os.system x", "not YAML"),
        ("extends: [a, b]", "line 1: `extends` is the path of one file"),
        ("extends: none.yaml", r"no such file \(extended by"),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, text: str, said: str) -> None:
    """A file that is not a mapping in YAML is refused with the place."""
    with pytest.raises(ConfigError, match=said):
        read(written(tmp_path, text), {})


def test_no_file(tmp_path: Path) -> None:
    """A missing file is named, with what would write one."""
    with pytest.raises(ConfigError, match="there is no such file") as caught:
        read(tmp_path / "none.yaml", {})
    assert "headrace init" in caught.value.hint


def test_extends_merges_deeply(tmp_path: Path) -> None:
    """Mappings of a base are merged key by key; what the file says itself wins."""
    written(tmp_path, BASE, "base.yaml")
    config = load(written(tmp_path, "extends: base.yaml\nname: other\nevents: {topic: other}\n"), {})
    assert (config.name, config.events.topic, config.events.id) == ("other", "other", "id")


def test_extends_replaces_a_learner_whole(tmp_path: Path) -> None:
    """A learner of the same name replaces the base's; two specifications are never mixed."""
    written(tmp_path, BASE, "base.yaml")
    text = "extends: base.yaml\nlearners: {one: {river.tree.HoeffdingTreeClassifier: {grace_period: 50}}}\n"
    learners = load(written(tmp_path, text), {}).learners
    assert learners == {"one": {"river.tree.HoeffdingTreeClassifier": {"grace_period": 50}}}


def test_extends_is_relative_to_its_file(tmp_path: Path) -> None:
    """A base in another directory is found from the file that names it."""
    (tmp_path / "shared").mkdir()
    written(tmp_path, BASE, "shared/base.yaml")
    written(tmp_path, "extends: base.yaml\nname: middle\n", "shared/middle.yaml")
    assert load(written(tmp_path, "extends: shared/middle.yaml\n"), {}).name == "middle"


def test_extends_in_a_circle(tmp_path: Path) -> None:
    """Files that extend one another are refused."""
    written(tmp_path, "extends: pipeline.yaml\n", "base.yaml")
    with pytest.raises(ConfigError, match="extend one another"):
        read(written(tmp_path, "extends: base.yaml\n"), {})


def test_a_mistake_in_the_base_is_placed_there(tmp_path: Path) -> None:
    """An error names the file in which the key stands."""
    written(tmp_path, BASE + "delivery: twice\n", "base.yaml")
    with pytest.raises(ConfigError, match=r"base\.yaml, line 8: delivery"):
        load(written(tmp_path, "extends: base.yaml\nname: other\n"), {})


@pytest.mark.parametrize(
    ("variable", "value", "key", "read_as"),
    [
        ("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", "b:1", ("kafka", "bootstrap.servers"), "b:1"),
        ("HEADRACE_KAFKA__SASL_PASSWORD", "0123", ("kafka", "sasl.password"), "0123"),
        ("HEADRACE_KAFKA__sasl.username", "me", ("kafka", "sasl.username"), "me"),
        ("HEADRACE_EVENTS__TOPIC", "other", ("events", "topic"), "other"),
        ("headrace_events__topic".upper(), "other", ("events", "topic"), "other"),
        ("HEADRACE_CHECKPOINTS__KEEP", "3", ("checkpoints", "keep"), 3),
        ("HEADRACE_SERVE", "false", ("serve",), False),
        ("HEADRACE_LEARNERS__ONE", "a.b", ("learners", "one"), "a.b"),
    ],
)
def test_the_environment_overrides(
    tmp_path: Path, variable: str, value: str, key: tuple[str, ...], read_as: object
) -> None:
    """A variable stands for a setting: dots in `kafka`, `__` between levels elsewhere, values as YAML."""
    found: object = read(written(tmp_path, BASE), {variable: value}).data
    for level in key:
        found = found[level]  # type: ignore[index]
    assert found == read_as


def test_an_overriding_variable_is_named_in_errors(tmp_path: Path) -> None:
    """A mistake that came from the environment names the variable."""
    with pytest.raises(ConfigError, match=r"HEADRACE_BATCH__RECORDS: batch\.records: expected a whole number"):
        load(written(tmp_path, BASE), {"HEADRACE_BATCH__RECORDS": "many"})


def test_unknown_levels_in_the_environment_are_refused(tmp_path: Path) -> None:
    """A misspelled override is an error, not silence."""
    with pytest.raises(ConfigError, match="did you mean `checkpoints`"):
        load(written(tmp_path, BASE), {"HEADRACE_CHECKPOINT__KEEP": "3"})


def test_other_variables_are_not_ours(tmp_path: Path) -> None:
    """Variables that Kubernetes makes for a service named headrace are left alone."""
    environment = {"HEADRACE_PORT": "tcp://10.0.0.1:9464", "HEADRACE_SERVICE_HOST": "10.0.0.1", "KAFKA__X": "1"}
    assert load(written(tmp_path, BASE), environment).name == "cards"


def test_a_secret_from_the_environment(tmp_path: Path) -> None:
    """`{env: NAME}` is the value of the variable, as a secret."""
    path = written(tmp_path, BASE.replace('9092"}', '9092", sasl.username: {env: WHO}}'))
    assert load(path, {"WHO": "me"}).kafka["sasl.username"] == Secret("me")


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    """`{file: path}` is the content of the file beside the configuration, without its last line's end."""
    written(tmp_path, "hunter2\n", "secret")
    path = written(tmp_path, BASE.replace('9092"}', '9092", sasl.password: {file: secret}}'))
    assert load(path, {}).client_settings()["sasl.password"] == "hunter2"


def test_a_secret_that_is_not_there(tmp_path: Path) -> None:
    """A variable that is not set is an error that names it."""
    path = written(tmp_path, BASE.replace('9092"}', '9092", sasl.password: {env: WHO}}'))
    with pytest.raises(ConfigError, match=r"line 7: kafka\.sasl\.password: the environment variable WHO is not set"):
        load(path, {})


def test_a_written_password_is_a_secret(tmp_path: Path) -> None:
    """A password that stands in the file prints as `***` too."""
    path = written(tmp_path, BASE.replace('9092"}', '9092", sasl.password: hunter2}'))
    assert "hunter2" not in repr(load(path, {}))


def test_a_store_from_the_environment(tmp_path: Path) -> None:
    """The store's address may hold a password, so it may come from the environment."""
    path = written(tmp_path, BASE + "checkpoints: {store: {env: STORE}}\n")
    config = load(path, {"STORE": "redis://:hunter2@host/0"})
    assert (config.checkpoints.store.kind, "hunter2" in repr(config)) == ("redis", False)


def test_mistakes_do_not_show_secrets(tmp_path: Path) -> None:
    """An error about Kafka's settings never repeats their values."""
    path = written(tmp_path, BASE.replace('9092"}', '9092", sasl.password: [hunter2], group.id: x}'))
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert "hunter2" not in str(caught.value)
