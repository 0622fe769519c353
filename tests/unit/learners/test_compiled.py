"""The compiled chain is River's chain, to the bit."""

import decimal
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from river import linear_model, optim, preprocessing

from learners import compiled
from learners.base import Program
from learners.compiled import ScaledLogisticRegression, sure_root
from learners.conformance import Table, check, synthetic
from learners.river import RiverLearner

DELAYS = (0, 1, 50, 900)


class Sparse(Table):
    """Rows in which a missing feature is an absent key."""

    def __init__(self, matrix):
        super().__init__({f"f{j}": column for j, column in enumerate(matrix.T.tolist())})
        for row in self._dicts:
            for name in [name for name, value in row.items() if math.isnan(value)]:
                del row[name]


def features(count, *, missing=0.0, seed=7):
    """Twelve columns of every scale; one constant, one constant at zero, one boolean, one constant for long."""
    generator = np.random.default_rng(seed)
    matrix = generator.standard_normal((count, 12)) * 10.0 ** generator.integers(-6, 7, 12)
    matrix[:, 2] = 4.2
    matrix[:, 5] = 0.0
    matrix[:, 7] = generator.random(count) < 0.3
    matrix[: count // 2, 9] = -1e-9
    matrix[generator.random(matrix.shape) < missing] = np.nan
    return matrix


def program(count, delays, *, seed=8, weights=False):
    """Every event's label comes after one of the delays."""
    generator = np.random.default_rng(seed)
    due = np.arange(count) + generator.choice(delays, count)
    operations = sorted([(i, 0, i) for i in range(count)] + [(int(due[i]), 1, i) for i in range(count)])
    op = np.array([kind for _, kind, _ in operations], dtype=np.uint8)
    row = np.array([at for _, _, at in operations], dtype=np.int32)
    labels = (generator.random(count) < 0.2).astype(np.float64)
    return Program(
        op=op,
        row=row,
        time_ms=np.arange(len(op)),
        target=np.where(op == 1, labels[row], np.nan),
        previous=np.full(len(op), np.nan),
        weight=generator.choice([0.25, 1.0, 3.0], len(op)) if weights else np.ones(len(op)),
        classes=(),
    )


def river(*, lr=0.01, l2=0.0, intercept_lr=0.01, clip=1e12, positive=1.0):
    return RiverLearner(
        preprocessing.StandardScaler()
        | linear_model.LogisticRegression(
            optim.SGD(lr),
            optim.losses.Log(weight_pos=positive),
            l2=l2,
            intercept_lr=intercept_lr,
            clip_gradient=clip,
        ),
        "binary",
    )


def scores_of(learner, rows, work):
    scores = np.full((len(rows), 1), np.nan)
    assert learner.run(rows, work, 0, len(work), scores) == len(work)
    return scores


def assert_bits(rows, work, own, expected):
    ours, theirs = scores_of(own, rows, work), scores_of(expected, rows, work)
    assert (ours.view(np.int64) == theirs.view(np.int64)).all()
    assert len(np.unique(ours)) > len(ours) // 6  # they say something


def test_twenty_thousand_rows_score_as_in_river_to_the_bit():
    """Features of every scale, constant ones among them, with labels at once and late."""
    rows = Sparse(features(20_000))
    assert_bits(rows, program(20_000, DELAYS), ScaledLogisticRegression(), river())


def test_missing_features_are_skipped_as_river_skips_absent_keys():
    """A third of the values is missing; a penalty on the weights touches only features that are there."""
    rows = Sparse(features(20_000, missing=0.3))
    assert_bits(rows, program(20_000, DELAYS), ScaledLogisticRegression(l2=0.01), river(l2=0.01))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"lr": 0.3, "l2": 1e-4}, {"lr": 0.3, "l2": 1e-4}),
        ({"intercept_lr": 0.0}, {"intercept_lr": 0.0}),
        ({"clip_gradient": 0.05}, {"clip": 0.05}),
        ({"weight_pos": 5.0}, {"positive": 5.0}),
        ({"lr": 20.0}, {"lr": 20.0}),
    ],
)
def test_every_parameter_means_what_it_means_in_river(ours, theirs):
    """Learning rates, penalty, clipping, loss weights, and steps so large that the sigmoid saturates."""
    rows = Sparse(features(3_000))
    assert_bits(rows, program(3_000, (0, 20)), ScaledLogisticRegression(**ours), river(**theirs))


def test_weights_of_labels_are_weights_of_the_gradient():
    """A label of weight three moves the weights as River's ``w=3`` does."""
    rows = Sparse(features(3_000))
    assert_bits(rows, program(3_000, (0, 20), weights=True), ScaledLogisticRegression(), river())


def hard_variances(count, *, seed=9):
    """Variances whose roots lie within some hundredths of a place of the middle between two floats, and any others."""
    generator = np.random.default_rng(seed)
    root = 1.0 + generator.random(count)
    middle = root * np.nextafter(root, 3.0) + generator.integers(-2, 3, count) * 2.0**-52
    around_1 = 1.0 + generator.integers(-500, 500, count) * 2.0**-52
    anywhere = generator.integers(1, 0x7FE0_0000_0000_0000, count).view(np.float64)
    powers = 2.0 ** generator.integers(-1074, 1023, count)
    scale = 4.0 ** generator.integers(-500, 500, count)
    rest = np.array([0.0, 5e-324, 2.0**-1022, 1e-270, 1e270, 1.7e308])
    return np.concatenate([middle, middle * scale, around_1, around_1 * scale, anywhere, powers, rest])


def test_deviations_are_pythons_powers_to_the_bit():
    """A label so late that it changes no variance, with weights of 0 and a rate of 2: each weight becomes 1 / deviation, scaled."""
    variances = hard_variances(20_000)
    value = np.ldexp(1.0, np.frexp(variances)[1] // 2)
    learner = ScaledLogisticRegression(2.0)
    zeros = np.zeros(len(variances))
    arrays = [np.full(len(variances), 1 << 62), zeros, variances, zeros, np.zeros(2)]
    names = [f"f{j}" for j in range(len(variances))]
    learner.load({"arrays": json.dumps(names).encode() + b"\n" + b"".join(array.tobytes() for array in arrays)})
    work = Program(*(np.array([one], kind) for one, kind in zip((1, 0, 0, 1, np.nan, 1), "Biqddd", strict=True)), ())
    learner.run(SimpleNamespace(names=tuple(names), matrix=lambda: value[None]), work, 0, 1, np.empty((1, 1)))
    (chunk,) = (content for _, content in learner.dump(-1))
    _, means, after, weights = np.frombuffer(chunk.partition(b"\n")[2], np.float64)[:-2].reshape(4, -1)
    expected = (value - means) / np.array([variance**0.5 for variance in after.tolist()])
    assert (weights.view(np.int64) == expected.view(np.int64)).all()


def test_roots_are_sure_only_with_a_power_that_rounds_well():
    """A libm that is a tenth of a place off is noticed, in either direction; then only its own power is used."""

    def off_by(places):
        def power(x, _):
            exact = decimal.Decimal(x).sqrt(decimal.Context(prec=40))
            return float(exact + decimal.Decimal(places * math.ulp(math.sqrt(x))))

        return power

    assert sure_root(off_by(0.0)) > 0.0
    assert (sure_root(off_by(0.1)), sure_root(off_by(-0.1))) == (-1.0, -1.0)


def test_without_sure_roots_the_answers_are_the_same(monkeypatch):
    """The way of a machine whose libm rounds otherwise."""
    monkeypatch.setattr(compiled, "sure_root", lambda: -1.0)
    rows = Sparse(features(3_000, missing=0.1))
    assert_bits(rows, program(3_000, (0, 20)), ScaledLogisticRegression(), river())


def test_it_passes_the_conformance_checks():
    """Cuts, predictions between, saves, loads and copies change nothing."""
    assert check(ScaledLogisticRegression(), "binary", again=ScaledLogisticRegression()) == []


def test_a_score_that_is_not_finite_ends_the_run_where_it_ends_with_river():
    """An infinite feature, once learned, makes scores NaN: NaN is written and that operation is the last one done."""
    matrix = features(50)
    matrix[20, 0] = np.inf
    rows, work = Sparse(matrix), program(50, (5,))
    ours, theirs = np.zeros((50, 1)), np.zeros((50, 1))
    learner = ScaledLogisticRegression()
    done = learner.run(rows, work, 0, len(work), ours)
    assert done == river().run(rows, work, 0, len(work), theirs)
    assert done < len(work)
    assert np.isnan(ours[work.row[done - 1], 0])
    assert np.array_equal(ours, theirs, equal_nan=True)
    assert learner.failure == "the score is not a finite number"


def test_other_features_than_those_learned_are_refused():
    """The arrays belong to names: a state is not silently read as that of other features."""
    load = synthetic("binary")
    learner, scores = ScaledLogisticRegression(), np.zeros((300, 1))
    learner.run(load.rows, load.program, 0, 10, scores)
    with pytest.raises(ValueError, match=r"the features were number_0, .* and are now f0, "):
        learner.run(Sparse(features(300)), load.program, 10, 20, scores)


def test_bytes_of_another_shape_are_refused():
    """A chunk that was cut short does not load."""
    learner = ScaledLogisticRegression()
    load = synthetic("binary")
    learner.run(load.rows, load.program, 0, 10, np.zeros((300, 1)))
    ((_, content),) = learner.dump(-1)
    with pytest.raises(ValueError, match="bytes for 5 features"):
        learner.fresh().load({"arrays": content[:-8]})


def test_parameters_must_be_finite_numbers():
    """A learning rate of NaN is a mistake of the configuration."""
    with pytest.raises(ValueError, match="finite"):
        ScaledLogisticRegression(lr=float("nan"))


def test_importing_it_does_not_import_numba():
    """The command line stays fast: Numba takes a second, and only running the learner needs it."""
    code = "import sys; import learners.compiled; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
