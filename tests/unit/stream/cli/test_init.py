import json
from pathlib import Path

import pytest

from stream.cli.init import write
from stream.cli.main import main
from stream.config import load
from stream.errors import ConfigError
from stream.feeds.fraud import FraudFeed
from stream.parts import build_detector, build_learner

VARIANTS = [("fraud", None), ("fraud", "broker:9092"), ("minimal", None)]


@pytest.mark.parametrize(("template", "kafka"), VARIANTS)
def test_templates_load(tmp_path: Path, template: str, kafka: str | None) -> None:
    """What is written is a valid configuration of that name."""
    assert load(write(tmp_path, template, kafka=kafka), {}).name == template


@pytest.mark.parametrize(("template", "kafka"), VARIANTS)
def test_templates_construct(tmp_path: Path, template: str, kafka: str | None) -> None:
    """Every learner and detector of a template can be built."""
    config = load(write(tmp_path, template, kafka=kafka), {})
    learners = [build_learner(spec, "binary") for spec in config.learners.values()]
    detectors = [build_detector(spec.detector) for spec in config.detectors]
    assert (len(learners), len(detectors)) == (len(config.learners), len(config.detectors))


def test_the_fraud_template_fits_the_feed(tmp_path: Path) -> None:
    """Every field that the template names is in the simulated feed."""
    config = load(write(tmp_path, "fraud"), {})
    event = next(FraudFeed(days=1, seed=1, customers=100).events())
    assert config.events.features is not None
    assert config.events.key is not None
    assert {config.events.id, config.events.key, *(feature.name for feature in config.events.features)} <= set(event)


def test_the_servers_are_written(tmp_path: Path) -> None:
    """The cluster that was named stands in the configuration."""
    assert load(write(tmp_path, "fraud", kafka="broker:9092"), {}).kafka["bootstrap.servers"] == "broker:9092"


def test_the_minimal_template_brings_its_events(tmp_path: Path) -> None:
    """The file of events is there, and has the fields that are named."""
    config = load(write(tmp_path, "minimal"), {})
    assert config.events.file is not None
    first = config.path(config.events.file[0]).read_text().splitlines()[0]
    assert set(json.loads(first)) == {"id", "time", "x", "y", "above"}


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A file that is there stays, unless `--force` says otherwise."""
    (tmp_path / "fraud.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        write(tmp_path, "fraud")
    assert (tmp_path / "fraud.yaml").read_text() == "mine"


def test_force_writes_over(tmp_path: Path) -> None:
    """With `--force` the template is written."""
    (tmp_path / "fraud.yaml").write_text("mine")
    assert write(tmp_path, "fraud", force=True).read_text() != "mine"


def test_no_minimal_kafka(tmp_path: Path) -> None:
    """A variant that there is not is refused."""
    with pytest.raises(ConfigError, match="reads a file"):
        write(tmp_path, "minimal", kafka="b")


def test_it_says_what_is_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb ends with the commands to go on with."""
    assert main(["init", str(tmp_path / "new")]) == 0
    assert "headrace simulate fraud" in capsys.readouterr().out
