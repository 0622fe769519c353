"""Our transformers in chains that a configuration describes: every promise of a learner, also where features are missing."""

import doctest
import importlib
import pickle
import pkgutil
from typing import Any

import numpy as np
import pytest

import learners.features.calendar
import learners.transformers
from learners.base import EVENT, Problem
from learners.conformance import CLASSES, FeatureKind, Workload, check, synthetic
from learners.river import RiverLearner
from learners.rows import Feature, Frame, Layout
from learners.transformers import Calendar, Clip, Difference, Fill, Hash, Missing, OneHot, Ratio, TargetMean
from stream.checkpoints.pickles import dumps, loads
from stream.errors import ConfigError
from stream.parts import build_learner

KINDS: dict[str, FeatureKind] = {
    "amount": "number",
    "usual": "number",
    "count": "count",
    "known": "boolean",
    "wood": "text",
}
SCALER, LOGISTIC = "river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"
OURS = "learners.transformers."

# As they stand under `learners:`; the features of KINDS are missing in a fifth of the rows.
CHAINS: dict[str, tuple[Problem, list[Any]]] = {
    "ratio": ("binary", [{f"{OURS}Select": ["amount", "usual"]}, {f"{OURS}Ratio": {"of": "amount", "to": "usual"}}, SCALER, LOGISTIC]),
    "difference": (
        "binary",
        [{f"{OURS}Select": ["amount", "usual"]}, {f"{OURS}Difference": {"of": "amount", "to": ["usual"]}}, SCALER, LOGISTIC],
    ),
    "calendar": (
        "binary",
        [{f"{OURS}Calendar": {"of": "count", "zone": "Europe/Paris", "unit": "s", "compute": ["hour", "night", "weekday_sin"]}},
         {"river.compose.Discard": ["wood"]}, SCALER, LOGISTIC],
    ),
    "one_hot": ("binary", [{f"{OURS}OneHot": {"of": ["wood", "known"], "min_count": 20}}, SCALER, LOGISTIC]),
    "one_hot_sparse": ("binary", [{f"{OURS}OneHot": {"of": "wood", "min_count": 20, "zeros": False}}, LOGISTIC]),
    "one_hot_full": (
        "multiclass",
        [{f"{OURS}OneHot": {"of": ["wood", "count"], "min_count": 3, "columns_max": 2, "candidates_max": 2}}, "river.naive_bayes.GaussianNB"],
    ),
    "hash": ("binary", [{f"{OURS}Hash": {"of": ["wood", "known"], "columns": 4}}, SCALER, LOGISTIC]),
    "target_mean": ("binary", [{f"{OURS}TargetMean": {"of": ["wood", "known"]}}, SCALER, LOGISTIC]),
    "target_mean_forgetting": (
        "binary", [{f"{OURS}TargetMean": {"of": ["wood", "count"], "half_life": 50, "categories_max": 3}}, SCALER, LOGISTIC]
    ),
    "target_mean_of_values": (
        "regression", [{f"{OURS}TargetMean": {"of": "wood", "weight": 5}}, "river.tree.HoeffdingTreeRegressor"]
    ),
    "target_mean_of_a_class": (
        "multiclass", [{f"{OURS}TargetMean": {"of": "wood", "label": CLASSES[1]}}, "river.naive_bayes.GaussianNB"]
    ),
    "missing_then_filled": (
        "binary",
        [{f"{OURS}Missing": {"of": ["amount", "known"]}}, {f"{OURS}Fill": {"of": ["amount", "usual"]}},
         {f"{OURS}Fill": {"of": ["known"], "how": "last"}}, {"river.compose.Discard": ["wood"]}, SCALER, LOGISTIC],
    ),
    "clip": ("binary", [{"river.compose.Discard": ["wood"]}, {f"{OURS}Clip": {"of": ["amount", "usual"], "warm_up": 20}}, SCALER, LOGISTIC]),
    "clip_in_a_window": (
        "binary", [{"river.compose.Discard": ["wood"]}, {f"{OURS}Clip": {"of": ["amount"], "low": None, "warm_up": 20, "window": 60}}, SCALER, LOGISTIC]
    ),
    "union": (
        "binary",
        [{"river.compose.TransformerUnion": [
            {"river.compose.Pipeline": [{f"{OURS}Select": ["amount", "usual", "count"]}, {SCALER: None}]},
            {"river.compose.Pipeline": [{f"{OURS}Select": ["wood", "known"]}, {f"{OURS}OneHot": {"of": ["wood", "known"]}}]},
            {"river.compose.Pipeline": [{f"{OURS}Select": ["wood"]}, {f"{OURS}TargetMean": {"of": "wood"}}]},
        ]}, LOGISTIC],
    ),
    "anomalies": (
        "anomaly",
        [{f"{OURS}Hash": {"of": "wood", "columns": 4}}, {f"{OURS}Fill": {"of": ["amount", "usual", "count", "known"], "value": 0}},
         "river.preprocessing.MinMaxScaler", {"river.anomaly.HalfSpaceTrees": {"seed": 1, "window_size": 50}}],
    ),
    "everything": (
        "binary",
        [{f"{OURS}Missing": {"of": "usual"}}, {f"{OURS}Clip": {"of": ["amount", "usual"], "warm_up": 20}},
         {f"{OURS}Fill": {"of": "usual"}}, {f"{OURS}Ratio": {"of": "amount", "to": "usual"}},
         {f"{OURS}TargetMean": {"of": "wood", "keep": True}}, {f"{OURS}OneHot": {"of": ["wood", "known"]}},
         SCALER, {"river.forest.ARFClassifier": {"n_models": 3, "grace_period": 20, "seed": 1}}],
    ),
}  # fmt: skip


def learner(name: str) -> RiverLearner:
    problem, spec = CHAINS[name]
    built = build_learner(spec, problem, len(CLASSES) if problem == "multiclass" else 1)
    assert isinstance(built, RiverLearner)
    return built


def workload(problem: Problem) -> Workload:
    """Synthetic events, of whose features a fifth is missing, in rows as the step has them."""
    load, generator = synthetic(problem, KINDS), np.random.default_rng(9)
    layout = Layout(
        tuple(Feature(name, "number" if kind == "count" else kind, required=False) for name, kind in KINDS.items())
    )
    columns = [load.rows.column(name) for name in KINDS]
    rows = [tuple(None if generator.random() < 0.2 else value for value in row) for row in zip(*columns, strict=True)]
    return Workload(Frame(layout, rows), load.program)


def scores_of(one: RiverLearner, load: Workload, start: int, stop: int) -> bytes:
    scores = np.full((len(load.rows), len(one.outputs)), np.nan)
    assert one.run(load.rows, load.program, start, stop, scores) == stop - start
    return scores.tobytes()


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_from_the_configuration_keeps_every_promise(name):
    """Cuts, predictions between, saves, loads, copies and late labels change no bit of a score."""
    problem, _ = CHAINS[name]
    assert check(learner(name), problem, workload(problem), again=learner(name)) == []


@pytest.mark.parametrize("name", CHAINS)
def test_a_checkpoint_brings_a_chain_back(name):
    """Learned, dumped, loaded by the unpickler of checkpoints (which admits them), and gone on with."""
    load, first, second = workload(CHAINS[name][0]), learner(name), learner(name)
    half, length = len(load.program) // 2, len(load.program)
    scores_of(first, load, 0, half)
    second.load({chunk: loads(dumps(content)) for chunk, content in first.dump(-1)})
    assert scores_of(second, load, half, length) == scores_of(first, load, half, length)


EXTREMES = (1.7e308, -1.7e308, 1e308, 5e-324, -5e-324, 0.0, -0.0, 1.0)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Ratio("a", ["b", "c"]),
        lambda: Difference("a", ["b", "c"]),
        lambda: Calendar("a", "Europe/Paris"),
        lambda: Calendar("a", unit="s"),
        lambda: OneHot(["a", "b"], min_count=2, columns_max=3),
        lambda: Hash(["a", "b"], columns=2),
        lambda: TargetMean(["a", "b"], weight=2.0),
        lambda: TargetMean(["a", "b"], weight=0.0, half_life=0.5, categories_max=2),
        lambda: Missing(["a", "d"]),
        lambda: Fill(["a", "b", "c"]),
        lambda: Clip(["a", "b", "c"], warm_up=5),
        lambda: Clip(["a", "b", "c"], warm_up=5, window=7),
    ],
)
def test_finite_numbers_give_finite_numbers(build):
    """Whatever their size, and that of the labels: one infinity would make a linear model answer NaN for ever."""
    transformer, generator = build(), np.random.default_rng(6)
    for _ in range(2000):
        values = generator.choice(EXTREMES, 4).tolist()
        x = {name: value for name, value in zip("abc", values, strict=False) if generator.random() < 0.8}
        _ = transformer.learn_one(x, values[3]) if transformer._supervised else transformer.learn_one(x)
        assert all(np.isfinite(value) for value in transformer.transform_one(x).values())


@pytest.mark.parametrize("name", [name for name in CHAINS if CHAINS[name][0] == "binary"])
def test_unrolled_or_not_a_chain_does_the_same(name):
    """The learner's unrolled chain against River's own pipeline, to the bit; rows are not changed by either."""
    load, one = workload("binary"), learner(name)
    model, rows, before = one.fresh().model, load.rows.dicts(), repr(load.rows.dicts())
    scores = np.full((len(rows), 1), np.nan)
    one.run(load.rows, load.program, 0, len(load.program), scores)
    told = {}
    for op, row, target in zip(load.program.op, load.program.row, load.program.target, strict=True):
        if op == EVENT:
            told[int(row)] = model.predict_proba_one(rows[row]).get(True, 0.0)
        else:
            model.learn_one(rows[row], bool(target))
    assert [told[row] for row in range(len(rows))] == scores[:, 0].tolist()
    assert repr(load.rows.dicts()) == before


@pytest.mark.parametrize("name", CHAINS)
def test_predicting_leaves_the_state_as_it_was(name):
    """To the byte: a transformer that learns from being asked would grow with every prediction."""
    one, load = learner(name), workload(CHAINS[name][0])
    scores = np.full((len(load.rows), len(one.outputs)), np.nan)
    one.run(load.rows, load.program, 0, 200, scores)
    before = pickle.dumps(pickle.loads(pickle.dumps(one.model)))
    one.run(load.rows, load.program, 0, len(load.program), scores, learn=False)
    assert pickle.dumps(pickle.loads(pickle.dumps(one.model))) == before


def test_a_rows_own_label_is_not_in_its_own_encoding():
    """A chain transforms a row before its target encoding learns it: with every category seen once, all is the mean."""
    seen = []
    one = build_learner([{f"{OURS}TargetMean": {"of": "wood", "weight": 1}}, LOGISTIC], "binary")
    assert isinstance(one, RiverLearner)
    final = one.model["LogisticRegression"]
    learn_final = final.learn_one
    final.learn_one = lambda x, y: (seen.append((x, y)), learn_final(x, y))
    for number in range(6):
        one.model.learn_one({"wood": f"once-{number}"}, number % 2 == 0)
    assert [x for x, _ in seen] == [{}] + [{"wood_target": mean} for mean in (1.0, 0.5, 2 / 3, 0.5, 3 / 5)]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({f"{OURS}Ratios": {"of": "a", "to": "b"}}, "did you mean `Ratio`"),
        ({f"{OURS}Ratio": {"of": "a", "by": "b"}}, "no parameter `by`"),
        ({f"{OURS}Ratio": {"of": "a", "to": "a", "name": "a"}}, "is one of the operands"),
        ({f"{OURS}Calendar": {"of": "t", "zone": "Mars"}}, "'Mars' is not a time zone"),
    ],
)
def test_a_mistake_in_the_configuration_is_told(part, words):
    """With the part's name and what is wrong with it."""
    with pytest.raises(ConfigError, match=words):
        build_learner([part, LOGISTIC], "binary")


@pytest.mark.parametrize(
    "transformer", [OneHot("w", min_count=1), TargetMean("w"), Fill("w", how="last"), Clip("n", warm_up=5)]
)
def test_a_clone_has_the_parameters_and_nothing_learned(transformer):
    """As River's ensembles copy their models."""
    fresh = repr(transformer.transform_one({"w": "a", "n": 1e9}))
    parameters = repr(transformer)
    for number in range(10):
        x = {"w": "a", "n": float(number)}
        _ = transformer.learn_one(x, True) if transformer._supervised else transformer.learn_one(x)
    again = transformer.clone()
    assert repr(again) == parameters
    assert repr(again.transform_one({"w": "a", "n": 1e9})) == fresh


@pytest.mark.parametrize(
    "module",
    [learners.features.calendar,
     *(importlib.import_module(f"learners.transformers.{one.name}") for one in pkgutil.iter_modules(learners.transformers.__path__))],
    ids=lambda module: module.__name__,
)  # fmt: skip
def test_the_examples_of_the_docstrings_are_true(module):
    """They run as they stand."""
    assert doctest.testmod(module).failed == 0
