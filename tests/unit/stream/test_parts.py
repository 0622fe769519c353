import sys
from pathlib import Path

import pytest
from river import compose, linear_model, optim, preprocessing

from learners.base import Learner, Problem
from learners.compiled import ScaledLogisticRegression
from learners.river import RiverLearner
from stream.errors import ConfigError
from stream.parts import build_detector, build_learner, construct

LOGISTIC = "river.linear_model.LogisticRegression"


def model_of(learner: Learner) -> object:
    assert isinstance(learner, RiverLearner)
    return learner.model


def test_a_name_is_constructed() -> None:
    """A dotted path alone is the object with its defaults."""
    assert isinstance(construct("river.preprocessing.StandardScaler"), preprocessing.StandardScaler)


def test_a_mapping_of_parameters_is_by_name() -> None:
    """Parameters of a mapping go by their names."""
    assert construct({LOGISTIC: {"l2": 1e-4}}).l2 == 1e-4


def test_a_list_of_parameters_is_by_position() -> None:
    """Parameters of a list go by their places."""
    assert construct({"river.optim.SGD": [0.25]}).learning_rate == 0.25


def test_no_parameters() -> None:
    """A name with nothing behind it is the object with its defaults."""
    assert isinstance(construct({"river.optim.SGD": None}), optim.SGD)


def test_parts_are_constructed_at_any_depth() -> None:
    """A one-key mapping with a dotted key is an object, inside lists and inside parameters."""
    union = construct(
        {
            "river.compose.TransformerUnion": [
                {"river.preprocessing.StandardScaler": None},
                {"river.compose.Pipeline": [{"river.feature_extraction.PolynomialExtender": {"degree": 3}}]},
            ]
        }
    )
    assert isinstance(union, compose.TransformerUnion)
    assert len(union.transformers) == 2


def test_an_optimizer_as_a_parameter() -> None:
    """A parameter may be a part."""
    assert isinstance(construct({LOGISTIC: {"optimizer": {"river.optim.Adam": {"lr": 0.1}}}}).optimizer, optim.Adam)


def test_a_single_part_as_the_parameters() -> None:
    """Where the parameters are one part, it is the first argument."""
    made = construct({"river.anomaly.QuantileFilter": [{"river.anomaly.HalfSpaceTrees": {"seed": 1}}, 0.9]})
    alone = construct({"river.multiclass.OneVsRestClassifier": {LOGISTIC: {"l2": 0.5}}})
    assert (made.q, alone.classifier.l2) == (0.9, 0.5)


def test_other_mappings_are_values() -> None:
    """A mapping whose one key has no dot is a value."""
    assert construct({"builtins.dict": {"a": {"b": 1}}}) == {"a": {"b": 1}}


def test_strings_inside_parameters_are_values() -> None:
    """A dotted text as a parameter stays text."""
    assert construct({"builtins.dict": {"a": "river.optim.SGD"}}) == {"a": "river.optim.SGD"}


def test_a_list_of_learners_is_a_chain() -> None:
    """River's pipeline of the parts, in order."""
    chain = model_of(build_learner(["river.preprocessing.StandardScaler", LOGISTIC], "binary"))
    assert isinstance(chain, compose.Pipeline)
    assert list(chain.steps) == ["StandardScaler", "LogisticRegression"]


def test_a_chain_of_one_is_that_one() -> None:
    """A list of one part is no pipeline."""
    assert isinstance(model_of(build_learner([LOGISTIC], "binary")), linear_model.LogisticRegression)


def test_a_learner_is_used_as_it_is() -> None:
    """An object that keeps the seam itself is not wrapped."""
    learner = build_learner({"learners.compiled.ScaledLogisticRegression": {"lr": 0.1}}, "binary")
    assert isinstance(learner, ScaledLogisticRegression)


def test_a_width_for_every_class() -> None:
    """A multiclass learner has a column of scores a class."""
    spec = {"river.tree.HoeffdingTreeClassifier": {"grace_period": 50}}
    assert len(build_learner(spec, "multiclass", 3).outputs) == 3


def test_a_factory_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of the user's composes in Python; its parameters are parts where they look so."""
    source = "from river import preprocessing\ndef build(model): return preprocessing.StandardScaler() | model\n"
    (tmp_path / "composed_here.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = {"factory": "composed_here:build", "parameters": {"model": {LOGISTIC: {"l2": 0.5}}}}
    chain = model_of(build_learner(spec, "binary"))
    assert isinstance(chain, compose.Pipeline)
    assert chain["LogisticRegression"].l2 == 0.5


def test_a_module_that_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake inside the user's module is told as such."""
    (tmp_path / "broken_here.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="broken_here cannot be imported: No module named 'nothing_of_this_name'"):
        build_learner({"factory": "broken_here:build"}, "binary")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("LogisticRegresion", r"did you mean `river\.linear_model\.LogisticRegression`"),
        ("river.linear_model.LogisticRegresion", "did you mean `LogisticRegression`"),
        ("river.linear_modl.LogisticRegression", "river has no linear_modl; did you mean `linear_model`"),
        ("rivr.x", "there is no module rivr"),
        ("river.linear_model", "is not a class"),
        ({LOGISTIC: {"l": 1}}, "has no parameter `l`; did you mean `l2`"),
        ({LOGISTIC: {"optimzer": 1}}, "did you mean `optimizer`"),
        ({LOGISTIC: {"zz": 1}}, "has no parameter `zz`; there are optimizer, loss"),
        ({LOGISTIC: {"l1": 1, "l2": 1}}, "NotImplementedError: The joint use of L1 and L2"),
        ({LOGISTIC: [1] * 20}, "too many positional arguments"),
        ({LOGISTIC: 3}, "parameters are a mapping or a list, got 3"),
        ({"a": 1, "b": 2}, "a part is `name` or"),
        ("river.preprocessing.StandardScaler", "StandardScaler is a transformer; a binary problem needs a classifier"),
        (["river.preprocessing.StandardScaler", "river.cluster.KMeans"], r"StandardScaler \| KMeans: KMeans is"),
        ({"factory": "json:dumpz"}, "json has no function dumpz; did you mean `dump"),
        ({"factory": "jsn:x"}, "there is no module jsn"),
    ],
)
def test_a_learner_that_cannot_be(spec: object, said: str) -> None:
    """What cannot be constructed is refused with the nearest right name."""
    with pytest.raises(ConfigError, match=said):
        build_learner(spec, "binary")


def test_only_allowed_packages() -> None:
    """A specification from elsewhere imports nothing but the packages allowed."""
    with pytest.raises(ConfigError, match="importing from os is not allowed here; allowed are river"):
        construct({"os.system": ["true"]}, allow=("river",))


def test_allowed_at_any_depth() -> None:
    """Parts inside parameters are held to the same list."""
    with pytest.raises(ConfigError, match="importing from subprocess is not allowed"):
        construct({LOGISTIC: {"optimizer": {"subprocess.Popen": ["true"]}}}, allow=("river",))


def test_what_an_admitted_module_only_imported_is_named_by_its_home() -> None:
    """The message says where that is, and that one's own part may be named there."""
    with pytest.raises(ConfigError, match="of collections; allowed are river") as refused:
        construct("river.utils.rolling.collections.deque", allow=("river",))
    assert refused.value.hint is not None
    assert "by the module that defines it" in refused.value.hint


def test_an_import_happens_only_when_named() -> None:
    """A refused package is not even imported."""
    with pytest.raises(ConfigError):
        construct("antigravity.fly", allow=("river",))
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("part", ["adwin", {"page_hinkley": {"threshold": 50}}, "river.drift.ADWIN", {"ddm": None}])
def test_detectors(part: object) -> None:
    """A detector by its name, or one of River's by its path, keeps the seam."""
    assert build_detector(part).codec == "pickle"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("adwn", "no detector is named 'adwn'; did you mean adwin"),
        ({"adwin": {"delt": 1}}, "adwin has no parameter 'delt'; did you mean delta"),
        ({"adwin": [1]}, "parameters of a detector are named"),
        ("river.drift.KSWIN", "draws at random: give it a seed"),
        (LOGISTIC, "is not a drift detector"),
    ],
)
def test_a_detector_that_cannot_be(part: object, said: str) -> None:
    """What is no detector is refused with the reason."""
    with pytest.raises(ConfigError, match=said):
        build_detector(part)


@pytest.mark.parametrize("name", ["learners.compiled.ScaledLogisticRegression", "learners.boosting.BoostedTrees"])
@pytest.mark.parametrize("problem", ["regression", "multiclass", "anomaly"])
def test_a_compiled_learner_of_another_problem_is_refused(name: str, problem: Problem) -> None:
    """Its scores are probabilities, whatever the problem is called."""
    with pytest.raises(ConfigError, match=f"is for binary problems, not for {problem}"):
        build_learner(name, problem)
    build_learner(name, "binary")
