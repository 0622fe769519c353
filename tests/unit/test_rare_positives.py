"""What docs/rare-positives.md shows as configuration is one: it validates, builds after its way through JSON, and learns."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from learners.conformance import synthetic
from stream.build_fold import build_fold, lineage
from stream.config import Config, load, validate
from stream.config_loading import Source
from stream.errors import ConfigError
from stream.parts import build_learner

PAGE = Path(__file__).parents[2] / "docs" / "rare-positives.md"
EXAMPLE = PAGE.parents[1] / "examples" / "rare-positives.yaml"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
AROUND = """
name: shop
problem: binary
events: {file: events.jsonl, id: id, key: card, time: time, features: [amount]}
labels: {file: labels.jsonl, id: id, value: fraud, time: time}
"""


def configured(block: str) -> Config:
    """The block in a configuration that is otherwise plain."""
    text = AROUND + block if "learners:" in block else AROUND + block + "learners: {a: river.naive_bayes.GaussianNB}\n"
    return validate(Source(PAGE, YAML(typ="safe").load(text), {}))


@pytest.mark.parametrize("block", BLOCKS, ids=[block.split("\n")[1].strip(" :") for block in BLOCKS])
def test_a_block_of_the_page_works(block: str) -> None:
    """As a lineage keeps it, each learner is built, learns, and gives probabilities."""
    config = configured(block)
    load = synthetic("binary")
    for spec in json.loads(json.dumps(config.answers()))["learners"].values():
        learner = build_learner(spec, "binary")
        scores = np.full((len(load.rows), 1), np.nan)
        assert learner.run(load.rows, load.program, 0, len(load.program), scores) == len(load.program)
        assert ((scores >= 0.0) & (scores <= 1.0)).all()
        assert len(np.unique(scores)) > 50


def test_the_example_builds() -> None:
    """examples/rare-positives.yaml is what the page's figures are of: it is valid, and its fold can be built."""
    config = load(EXAMPLE, {})
    fold = build_fold(lineage(config, {}), ())
    assert list(fold.state.learners) == list(config.learners)
    assert fold.state.finds is not None
    assert f"examples/{EXAMPLE.name}" in PAGE.read_text(encoding="utf-8")


def test_the_page_shows_each_wrapper() -> None:
    """Every public class that this page is about stands in one of its blocks, or is named where it differs from one."""
    text = PAGE.read_text(encoding="utf-8")
    names = ("ClassWeight", "UnderSampler", "OverSampler", "Sampler", "PriorCorrection", "Platt", "Beta", "Focal")
    assert [name for name in names if f"{name}" not in text] == []


def test_a_class_without_quotes_is_refused_with_what_to_do() -> None:
    """YAML's true is no name, and JSON has no such key."""
    with pytest.raises(ConfigError, match="names are text; quote True"):
        configured(BLOCKS[0].replace('"true"', "true"))


def test_a_step_that_is_still_a_name_is_refused_with_how_to_write_it() -> None:
    """Only lists under `learners` are read as parts; deeper a text is a text."""
    block = BLOCKS[0].replace("{river.linear_model.LogisticRegression: {l2: 1e-4}}", "river.naive_bayes.GaussianNB")
    with pytest.raises(ConfigError, match=r"is written \{river.naive_bayes.GaussianNB: \}"):
        build_learner(configured(block).learners["weighted"], "binary")
