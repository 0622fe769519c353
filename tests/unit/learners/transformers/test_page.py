"""The page on transformers is true: each line of its table can be built, and its examples run."""

import re
from pathlib import Path

import pytest
from river.base import Transformer
from ruamel.yaml import YAML

import learners.transformers
from stream.parts import build_learner, construct

DOCS = Path(__file__).parents[4] / "docs"
PAGE = (
    next(
        text
        for page in sorted(DOCS.glob("features*.md"))
        if "## Transformers\n" in (text := page.read_text(encoding="utf-8"))
    )
    .split("## Transformers\n")[1]
    .split("\n## ")[0]
)
TABLE = PAGE.split("| what you want | what to write |\n")[1].split("\n\n")[0].splitlines()[1:]
STEPS = [found for line in TABLE for found in re.findall(r"`([a-z_]+\.[^`]+)`", line.split("|")[2])]
EXAMPLES = [
    text for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if text.startswith("learners:")
]


@pytest.mark.parametrize("step", STEPS)
def test_each_line_of_the_table_is_a_step_of_a_chain(step):
    """As it stands there, in the configuration's grammar."""
    assert isinstance(construct(YAML(typ="safe").load(step)), Transformer)


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_a_learner(example):
    """For a binary problem."""
    for spec in YAML(typ="safe").load(example)["learners"].values():
        assert build_learner(spec, "binary").outputs == ("score",)


def test_the_example_in_python_learns():
    """A River pipeline like any other."""
    names = {}
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(code, names)
    x = {"amount": 9.0, "amount_mean_30d": 3.0, "country": "NL"}
    for _ in range(20):
        names["model"].learn_one(x, True)
    assert names["model"].predict_proba_one(x)[True] > 0.5


def test_every_transformer_is_in_the_table():
    """None is there that nobody is told of."""
    told = {step.split(":")[0].removeprefix("learners.transformers.") for step in STEPS}
    assert set(learners.transformers.__all__) <= told
