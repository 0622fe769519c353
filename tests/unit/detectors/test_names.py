"""Names of detectors in configurations: what they make, and what they say about mistakes."""

import numpy as np
import pytest

from detectors.names import DETECTORS, make, parameters_of


@pytest.mark.parametrize("name", DETECTORS)
def test_every_name_makes_a_detector_with_its_defaults(name):
    """No parameter is required."""
    assert make(name, {}).codec == "pickle"


def test_parameters_reach_river():
    """A wider ADWIN clock detects later."""
    values = np.repeat([0.0, 1.0], 1000)

    assert make("adwin", {"clock": 800}).watch(values)[0].at > make("adwin", {}).watch(values)[0].at


def test_an_unknown_name_is_answered_with_the_nearest():
    """The operator's mistake, with its cure."""
    with pytest.raises(ValueError, match="did you mean page_hinkley"):
        make("page_hinckley", {})


def test_an_unknown_parameter_is_answered_with_the_nearest():
    """The operator's mistake, with its cure."""
    with pytest.raises(ValueError, match="adwin has no parameter 'dleta'; did you mean delta"):
        make("adwin", {"dleta": 0.1})


def test_a_parameter_like_no_other_is_answered_with_all():
    """Nothing is near: the whole list."""
    with pytest.raises(ValueError, match="it may be delta, clock"):
        make("adwin", {"zzz": 1})


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("adwin", {"delta": "small"}),
        ("adwin", {"clock": 1.5}),
        ("hddm_w", {"two_sided_test": 1}),
        ("page_hinkley", {"mode": 3}),
        ("kswin", {"seed": None}),
        ("fhddm", {"short_window_size": "x"}),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(name, parameters):
    """River would take it and fail at the first value."""
    with pytest.raises(ValueError, match=f"{name}: {next(iter(parameters))} must be"):
        make(name, parameters)


def test_rivers_own_complaints_name_the_detector():
    """EDDM asks for alpha >= beta."""
    with pytest.raises(ValueError, match="eddm: 'alpha' must be"):
        make("eddm", {"alpha": 0.1})


def test_ddm_cannot_be_asked_for_falls():
    """It would stay silent for ever."""
    with pytest.raises(ValueError, match=r"ddm: .* never alarm"):
        make("ddm", {"direction": "down"})


def test_two_sided_hddm_can_be_asked_for_falls():
    """With its two-sided test it hears both."""
    rng = np.random.default_rng(1)
    values = np.r_[rng.random(1000) < 0.5, rng.random(1000) < 0.1].astype(np.float64)
    found = make("hddm_a", {"two_sided_test": True, "direction": "down"}).watch(values)

    assert any(f.level == "alarm" and f.at >= 1000 and f.after < f.before for f in found)


def test_parameters_of_lists_rivers_and_ours():
    """For the configuration's reference."""
    assert parameters_of("kswin") == ("alpha", "window_size", "stat_size", "seed", "direction", "rearm")
