"""What every named detector passes: cuts, pickling in the middle, fresh, and three PYTHONHASHSEEDs."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.names import DETECTORS, make

CHEAP = [name for name in DETECTORS if name != "kswin"]  # 0.2 ms a value: fewer values for it, below
ROOT = Path(__file__).parents[2]


def stream(name):
    rng = np.random.default_rng(11)
    length = 150 if name == "kswin" else 600
    return np.concatenate([rng.random(length) < rate for rate in (0.1, 0.6, 0.1)]).astype(np.float64)


def watch_cut(detector, values, cuts, between=lambda detector: detector):
    """Findings at their positions in the whole, watched piece by piece."""
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(values)], strict=True):
        found += [f._replace(at=f.at + start) for f in detector.watch(values[start:stop])]
        detector = between(detector)
    return found


def reloaded(detector):
    """Through bytes into a fresh detector of the same specification."""
    chunks = pickle.loads(pickle.dumps(dict(detector.dump(-1)), 5))
    assert set(chunks) == set(detector.alive())
    other = detector.fresh()
    other.load(chunks)
    return other


def cuts_of(length):
    return st.lists(st.integers(0, length), max_size=8).map(sorted)


@pytest.mark.parametrize("name", CHEAP)
@settings(max_examples=25)
@given(data=st.data())
def test_where_values_are_cut_changes_nothing(name, data):
    """The findings, levels to the bit, of any cut are those of the whole, reloaded at each cut or not."""
    values = stream(name)
    cuts = data.draw(cuts_of(len(values)))
    between = reloaded if data.draw(st.booleans()) else lambda detector: detector
    parameters = {"rearm": data.draw(st.sampled_from([0, 50, 500]))}

    assert watch_cut(make(name, parameters), values, cuts, between) == list(make(name, parameters).watch(values))


@pytest.mark.parametrize("name", DETECTORS)
def test_one_value_at_a_time_changes_nothing(name):
    """The smallest batches there are."""
    values = stream(name)

    assert watch_cut(make(name, {}), values, range(1, len(values))) == list(make(name, {}).watch(values))


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
def test_pickling_in_the_middle_changes_nothing(name, share):
    """Before, in and after a change."""
    values = stream(name)
    cuts = [int(share * len(values))]

    assert watch_cut(make(name, {}), values, cuts, reloaded) == list(make(name, {}).watch(values))


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_finds_the_rise(name):
    """The stream of this suite has one, so that equal findings are not equal silence."""
    values = stream(name)
    change = len(values) // 3

    assert any(f.level == "alarm" and f.after > f.before and f.at >= change for f in make(name, {}).watch(values))


@pytest.mark.parametrize("name", DETECTORS)
def test_fresh_has_seen_nothing(name):
    """And leaves the one it came from as it was."""
    values = stream(name)
    detector = make(name, {"rearm": 77})
    detector.watch(values)
    fresh = detector.fresh()

    assert list(fresh.watch(values)) == list(make(name, {"rearm": 77}).watch(values))


def digest():
    """Of all findings of all detectors."""
    found = [(name, list(make(name, {}).watch(stream(name)))) for name in DETECTORS]
    return hashlib.blake2b(repr(found).encode()).hexdigest()


def test_hash_seeds_change_nothing():
    """Three processes with three PYTHONHASHSEEDs find the same, to the bit."""
    script = (
        "import importlib.util as u, sys; s = u.spec_from_file_location('suite', sys.argv[1]);"
        "m = u.module_from_spec(s); s.loader.exec_module(m); print(m.digest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script, __file__],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("0", "1", "4242")
    }

    assert digests == {digest() + "\n"}
