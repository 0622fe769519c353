"""What the unpickler admits, and what it refuses without running it."""

import collections
import datetime as dt
import functools
import os
import pickle
import random
import struct
import sys
import types

import numpy as np
import pytest
from river import (
    anomaly,
    cluster,
    compose,
    drift,
    dummy,
    ensemble,
    facto,
    feature_extraction,
    forest,
    linear_model,
    multiclass,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    rules,
    stats,
    tree,
)

from learners.calibration import Beta, Platt, PriorCorrection
from learners.imbalance import ClassWeight, UnderSampler
from learners.losses import Focal
from stream.checkpoints.pickles import dumps, loads
from stream.errors import CheckpointError, Unverified

ESTIMATORS = {
    "chain": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "adam": lambda: linear_model.LogisticRegression(optimizer=optim.Adam(), l2=1e-4),
    "union": lambda: (
        ((compose.Select("a") | preprocessing.StandardScaler()) + (compose.Select("c") | preprocessing.OneHotEncoder()))
        | linear_model.LogisticRegression()
    ),
    "alma": linear_model.ALMAClassifier,
    "passive aggressive": linear_model.PAClassifier,
    "softmax": linear_model.SoftmaxRegression,
    "bayesian": linear_model.BayesianLinearRegression,
    "linear": lambda: preprocessing.MinMaxScaler() | linear_model.LinearRegression(),
    "hoeffding": lambda: tree.HoeffdingTreeClassifier(grace_period=50),
    "hoeffding adaptive": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, seed=1),
    "hoeffding regressor": lambda: tree.HoeffdingAdaptiveTreeRegressor(grace_period=50, seed=1),
    "extremely fast": lambda: tree.ExtremelyFastDecisionTreeClassifier(grace_period=50),
    "sgt": lambda: tree.SGTClassifier(grace_period=50),
    "arf": lambda: forest.ARFClassifier(n_models=3, seed=1),
    "arf regressor": lambda: forest.ARFRegressor(n_models=3, seed=1),
    "amf": lambda: forest.AMFClassifier(n_estimators=3, seed=1),
    "srp": lambda: ensemble.SRPClassifier(n_models=3, seed=1),
    "bagging": lambda: ensemble.BaggingClassifier(linear_model.LogisticRegression(), n_models=3, seed=1),
    "adwin bagging": lambda: ensemble.ADWINBaggingClassifier(tree.HoeffdingTreeClassifier(), n_models=3, seed=1),
    "leveraging": lambda: ensemble.LeveragingBaggingClassifier(linear_model.LogisticRegression(), n_models=3, seed=1),
    "adaboost": lambda: ensemble.AdaBoostClassifier(naive_bayes.GaussianNB(), n_models=3, seed=1),
    "knn": lambda: neighbors.KNNClassifier(engine=neighbors.LazySearch(window_size=50)),
    "swinn": lambda: neighbors.KNNClassifier(engine=neighbors.SWINN(seed=1, maxlen=60)),
    "fm": lambda: facto.FMClassifier(seed=1),
    "gaussian": naive_bayes.GaussianNB,
    "rules": rules.AMRules,
    "half space trees": lambda: preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1),
    "one class svm": anomaly.OneClassSVM,
    "kmeans": lambda: cluster.KMeans(n_clusters=3, seed=1),
    "one vs one": lambda: multiclass.OneVsOneClassifier(linear_model.LogisticRegression()),
    "output code": lambda: multiclass.OutputCodeClassifier(linear_model.LogisticRegression(), code_size=4, seed=1),
    "prior": dummy.PriorClassifier,
    "rbf": lambda: feature_extraction.RBFSampler(seed=1) | linear_model.LogisticRegression(),
    "target scaler": lambda: preprocessing.TargetStandardScaler(linear_model.LinearRegression()),
    "calibrated": lambda: preprocessing.StandardScaler() | Platt(Beta(linear_model.LogisticRegression(loss=Focal()))),
    "sampled": lambda: PriorCorrection(UnderSampler(tree.HoeffdingTreeClassifier(), positive_share=0.5, seed=1)),
    "weighted": lambda: ClassWeight(linear_model.LogisticRegression(), "balanced"),
    "imputer": lambda: preprocessing.StatImputer() | preprocessing.StandardScaler(),
}
REGRESSORS = {"bayesian", "linear", "hoeffding regressor", "arf regressor", "rules", "target scaler"}
NUMERIC_ONLY = {"union"}


def _learned(name):
    model, rng = ESTIMATORS[name](), random.Random(7)
    for _ in range(300):
        x = {key: rng.gauss(0, 1) for key in ("a", "b", "d")}
        if name in NUMERIC_ONLY:
            x["c"] = rng.choice("pqr")
        y = x["a"] + x["b"] if name in REGRESSORS else x["a"] + x["b"] > 0
        if model._supervised:
            model.learn_one(x, y)
        else:
            model.learn_one(x)
    return model


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_comes_back(name):
    """Learned, pickled, admitted: the same class, and the same answer."""
    model = _learned(name)
    again = loads(dumps(model))
    assert type(again) is type(model)
    x = {"a": 0.3, "b": -0.1, "d": 1.0, "c": "p"} if name in NUMERIC_ONLY else {"a": 0.3, "b": -0.1, "d": 1.0}
    assert repr(_answer(again, x)) == repr(_answer(model, x))


def _answer(model, x):
    """By the first verb that it has; chains have all, and say so by raising."""
    for verb in ("predict_proba_one", "score_one", "predict_one", "transform_one"):
        try:
            return getattr(model, verb)(x)
        except (AttributeError, NotImplementedError):
            continue
    return pytest.fail(f"{model} answers nothing")


@pytest.mark.parametrize(
    "make",
    [drift.ADWIN, drift.PageHinkley, lambda: drift.KSWIN(seed=1), drift.binary.DDM, drift.binary.EDDM,
     drift.binary.HDDMA, drift.binary.HDDMW, lambda: stats.Quantile(0.9), stats.EWMean, stats.IQR],
)  # fmt: skip
def test_a_detector_comes_back(make):
    """Compiled classes (Rust, Cython) and bound methods in attributes are admitted."""
    detector, rng = make(), random.Random(1)
    binary = type(detector).__module__.startswith("river.drift.binary")
    for _ in range(200):
        detector.update(rng.random() < 0.2 if binary else rng.random())
    assert type(loads(dumps(detector))) is type(detector)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True], "b": (b"x", "é"), "c": {1, 2}, "d": frozenset({3})},
        collections.deque([1, 2], maxlen=3),
        collections.Counter("abca"),
        collections.OrderedDict(a=1),
        collections.defaultdict(functools.partial(collections.defaultdict, int), {"a": collections.defaultdict(int)}),
        dt.datetime(2020, 1, 2, 3, tzinfo=dt.UTC),
        dt.timedelta(days=1),
        range(3),
    ],
)
def test_plain_values_come_back(value):
    """What estimators keep in their attributes."""
    assert loads(dumps(value)) == value


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0).reshape(2, 3)[:, ::2],
        np.asfortranarray(np.eye(3)),
        np.array(["a", "bc"]),
        np.array([{"a": 1}, None], dtype=object),
        np.zeros(0, np.int32),
        np.array([True, False]),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["2020-01-01"], "M8[ms]"),
        np.float64(1.5),
        np.int64(3),
        np.bool_(True),
    ],
    ids=str,
)
def test_arrays_come_back(array):
    """Contiguous or not, of numbers, text, objects, records."""
    again = loads(dumps(array))
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype


@pytest.mark.parametrize(
    "generator",
    [np.random.RandomState(1), np.random.default_rng(1), np.random.Generator(np.random.Philox(1)), random.Random(1)],
    ids=lambda generator: type(generator).__name__,
)
def test_generators_come_back(generator):
    """The same numbers follow."""
    again = loads(dumps(generator))
    draw = "random" if hasattr(generator, "random") else "random_sample"
    assert getattr(again, draw)() == getattr(generator, draw)()


# --- what is refused ------------------------------------------------------------------------------------------------------


def _text(value):
    data = value.encode()
    return b"\x8c" + struct.pack("<B", len(data)) + data


def _calling(module, name, *arguments):
    """A pickle that calls ``module.name(*arguments)``, written by hand."""
    return b"\x80\x05" + _text(module) + _text(name) + b"\x93(" + b"".join(map(_text, arguments)) + b"tR."


BOMBS = {
    ("os", "system"): ["touch {}"],
    ("posix", "system"): ["touch {}"],
    ("nt", "system"): ["touch {}"],
    ("subprocess", "Popen"): ["touch"],
    ("builtins", "eval"): ["open({!r}, 'w')"],
    ("builtins", "exec"): ["open({!r}, 'w')"],
    ("builtins", "open"): ["{}", "w"],
    ("builtins", "compile"): ["1", "x", "eval"],
    ("builtins", "__import__"): ["os"],
    ("builtins", "breakpoint"): [],
    ("builtins", "type"): ["x"],
    ("builtins", "map"): ["x", "y"],
    ("builtins", "vars"): ["x"],
    ("builtins", "setattr"): ["x", "y", "z"],
    ("builtins", "int.__subclasses__"): [],
    ("importlib", "import_module"): ["os"],
    ("runpy", "run_path"): ["{}"],
    ("pickle", "loads"): ["x"],
    ("_pickle", "loads"): ["x"],
    ("operator", "attrgetter"): ["system"],
    ("operator", "methodcaller"): ["system"],
    ("functools", "reduce"): ["x"],
    ("copyreg", "add_extension"): ["os", "system", "1"],
    ("code", "interact"): [],
    ("pty", "spawn"): ["sh"],
    ("socket", "create_connection"): ["localhost"],
    ("sys", "modules"): [],
    ("numpy.f2py.crackfortran", "myeval"): ["open({!r}, 'w')"],
    ("numpy.f2py.crackfortran", "getlincoef"): ["open({!r}, 'w')", "x"],
    ("numpy.testing._private.utils", "runstring"): ["open({!r}, 'w')", "x"],
    ("numpy.testing", "runstring"): ["open({!r}, 'w')", "x"],
    ("numpy", "load"): ["{}"],
    ("numpy", "save"): ["{}", "x"],
    ("numpy", "fromfile"): ["{}"],
    ("numpy", "memmap"): ["{}"],
    ("numpy", "ndarray.tofile"): ["{}"],
    ("numpy", "os"): [],
    ("river.datasets.base", "RemoteDataset"): [],
    ("river.stream.iter_csv", "iter_csv"): ["{}"],
    ("river.stream.cache", "os"): [],
    ("river.base.base", "inspect"): [],
    ("river.base.base", "inspect.os"): [],
    ("river.base.base", "Base.__reduce__"): [],
    ("river.base.base", "Base.clone.__globals__"): [],
    ("river.base.base", "Base.mro"): [],
    ("river.linear_model.log_reg", "optim"): [],
    ("river.drift.test_adwin", "test_adwin"): [],
    ("river.utils.pandas", "import_pandas"): [],
    ("riverbed", "system"): [],
    ("learners.rows", "Layout"): ["x"],
    ("learners.calibration", "classifier_of"): ["x"],
    ("learners.imbalance", "unroll"): [],
    ("stream.parts", "construct"): ["os.system"],
    ("stream.checkpoints.pickles", "loads"): ["x"],
    ("stream.checkpoints.embedded", "EmbeddedRedis"): ["{}"],
}


@pytest.mark.parametrize(("module", "name"), BOMBS)
def test_a_bomb_is_refused_by_name(tmp_path, module, name):
    """A global that is not admitted is named in the message, and never called."""
    target = tmp_path / "ran"
    bomb = _calling(module, name, *(argument.format(str(target)) for argument in BOMBS[module, name]))
    with pytest.raises(Unverified) as caught:
        loads(bomb)
    assert f"{module}.{name}" in caught.value.message
    assert not target.exists()


def test_a_bomb_from_reduce(tmp_path):
    """The classic: an object whose ``__reduce__`` calls the shell."""
    target = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {target}",)

    with pytest.raises(Unverified, match="system"):
        loads(pickle.dumps([1, Bomb()]))
    assert not target.exists()


def test_an_old_protocol_is_no_way_around():
    """Text opcodes (GLOBAL, INST) come to the same place."""
    for bomb in (b"cos\nsystem\n(S'true'\ntR.", b"(S'true'\nios\nsystem\n."):
        with pytest.raises(Unverified, match=r"os\.system"):
            loads(bomb)


def test_a_refused_module_is_not_imported():
    """Importing can run code too."""
    sys.modules.pop("antigravity", None)
    with pytest.raises(Unverified):
        loads(_calling("antigravity", "fly"))
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (linear_model.LogisticRegression(), "__class__"),
        (linear_model.LogisticRegression(), "__reduce_ex__"),
        (linear_model.LogisticRegression(), "optimizer"),
        (np.zeros(1), "tofile"),
        ({}, "pop"),
        ("{0.__class__}", "format"),
        (str, "format"),
        (functools.partial(int), "func"),
        (random.Random(1), "VERSION"),
    ],
    ids=lambda told: told if isinstance(told, str) else type(told).__name__,
)
def test_getattr_gives_methods_of_admitted_objects_only(owner, name):
    """Pickles of bound methods name ``getattr``; here it leads nowhere else."""

    class Look:
        def __reduce__(self):
            return getattr, (owner, name)

    with pytest.raises(Unverified, match="getattr"):
        loads(pickle.dumps(Look()))


def test_iter_does_not_call():
    """``iter`` of two arguments calls its first; here it has one."""

    class Look:
        def __reduce__(self):
            return iter, (dict, 1)

    with pytest.raises(Unverified):
        loads(pickle.dumps(Look()))


@pytest.fixture
def shop(monkeypatch):
    """A user's module with a class of its own, and with something that it imported."""
    module = types.ModuleType("shop_models")
    exec("class Model:\n    pass\ndef helper():\n    return 1\nfrom os import system\n", module.__dict__)
    monkeypatch.setitem(sys.modules, "shop_models", module)
    return module


def test_a_users_module_is_admitted_by_configuration(shop):
    """Not by default; with its prefix, classes and functions."""
    with pytest.raises(Unverified, match=r"shop_models\.Model.*\n.*admit"):
        loads(dumps(shop.Model()))
    assert type(loads(dumps(shop.Model()), ["shop_models"])) is shop.Model
    assert loads(dumps(shop.helper), ["shop_models."]) is shop.helper


def test_a_prefix_is_a_package_not_a_beginning(shop):
    """``shop`` does not admit ``shop_models``."""
    with pytest.raises(Unverified):
        loads(dumps(shop.Model()), ["shop"])


def test_what_a_users_module_imported_is_not_its_own(shop):
    """``from os import system`` in an admitted module opens no door."""
    with pytest.raises(Unverified, match=r"shop_models\.system"):
        loads(_calling("shop_models", "system", "true"), ["shop_models"])


@pytest.mark.parametrize("data", [b"", b"\x80\x05", b"garbage", pickle.dumps([1, 2])[:-1], b"\x80\x05\x97.", b"."])
def test_torn_bytes_are_unverified(data):
    """Whatever the unpickler raises."""
    with pytest.raises(Unverified, match="cannot be read"):
        loads(data)


def test_too_many_bytes_are_refused_unread():
    """The bound is checked before anything else."""
    with pytest.raises(Unverified, match="101 bytes"):
        loads(b"x" * 101, bytes_max=100)


def test_what_cannot_be_pickled_is_said():
    """A lambda in a model: the message names the object, the hint the way out."""
    with pytest.raises(CheckpointError, match=r"builtins\.dict cannot be serialised") as caught:
        dumps({"f": lambda: 1})
    assert "lambda" in caught.value.hint
