"""What RiverDetector adds to River: batches, one alarm a change, levels, directions, warnings once a zone."""

import pickle

import numpy as np
import pytest
from river import drift

from detectors.base import Finding
from detectors.names import DETECTORS, make
from detectors.river import RiverDetector

RATES = (0.1, 0.4, 0.1, 0.5)
SEGMENT = 1500
RISES = (SEGMENT, 3 * SEGMENT)


def bernoulli(*rates, segment=SEGMENT, seed=6):
    rng = np.random.default_rng(seed)
    return np.concatenate([(rng.random(segment) < rate) for rate in rates]).astype(np.float64)


def alarms(findings):
    return [finding for finding in findings if finding.level == "alarm"]


def values_for(name, seed=6):
    """KSWIN costs 0.2 ms a value, so it gets a shorter stream."""
    return bernoulli(0.1, 0.7, segment=200, seed=seed) if name == "kswin" else bernoulli(*RATES, seed=seed)


@pytest.mark.parametrize("name", DETECTORS)
def test_with_no_wait_every_detection_of_rivers_loop_is_told_at_its_place(name):
    """rearm=0 and no direction: exactly the positions at which River's own detector says drift_detected."""
    values = values_for(name)
    plain = DETECTORS[name].maker(**DETECTORS[name].defaults)
    expected = []
    for at, value in enumerate(values.tolist()):
        plain.update(1.0 - value if DETECTORS[name].inverted else value)
        if plain.drift_detected:
            expected.append(at)

    assert [finding.at for finding in alarms(make(name, {"rearm": 0}).watch(values))] == expected
    assert expected


@pytest.mark.parametrize("maker", [drift.ADWIN, drift.PageHinkley, drift.binary.FHDDM, drift.binary.HDDMW])
def test_the_detector_ends_in_the_state_of_rivers_loop(maker):
    """Not only the findings: what River's object holds afterwards is the same."""
    values = bernoulli(*RATES)
    plain, watched = maker(), RiverDetector(maker())
    for value in values.tolist():
        plain.update(value)

    watched.watch(values)

    (_, state), *_ = watched.dump(-1)
    attributes = {key: value for key, value in vars(plain).items() if key in state["detector"]}
    assert pickle.dumps(state["detector"], 5) == pickle.dumps(attributes, 5)


@pytest.mark.parametrize("name", ["adwin", "page_hinkley", "ddm", "hddm_a", "hddm_w", "fhddm"])
def test_each_rise_of_the_error_rate_is_one_alarm(name):
    """Three abrupt changes (0.1, 0.4, 0.1, 0.5): both rises are told once, and nothing else is told as a rise."""
    found = [finding.at for finding in alarms(make(name, {"direction": "up"}).watch(bernoulli(*RATES)))]

    assert len(found) == 2
    assert all(rise <= at < rise + 300 for at, rise in zip(found, RISES, strict=True))


@pytest.mark.parametrize("name", ["adwin", "page_hinkley"])
def test_the_fall_between_two_rises_is_told_too(name):
    """These two hear both directions."""
    found = alarms(make(name, {}).watch(bernoulli(*RATES)))

    assert [np.sign(finding.after - finding.before) for finding in found] == [1, -1, 1]


@pytest.mark.parametrize("name", DETECTORS)
def test_no_storm_of_alarms(name):
    """Every detector with its defaults, EDDM included (River alone reports up to 19 changes here)."""
    values = values_for(name, seed=1)

    assert len(alarms(make(name, {}).watch(values))) <= max(2, 2 * len(values) / 1000)


def test_eddm_finds_a_real_change_right_after_a_false_alarm():
    """A step more than twice the one just told is another change: 1,264 is noise, 1,500 is not."""
    found = alarms(make("eddm", {}).watch(bernoulli(*RATES, seed=3)))

    assert any(SEGMENT <= finding.at < SEGMENT + 100 for finding in found)


@pytest.mark.parametrize("name", ["adwin", "page_hinkley", "ddm", "hddm_a", "hddm_w", "fhddm"])
def test_levels_are_those_of_the_two_sides(name):
    """First change, 0.1 to 0.4: both levels within what a few dozen values can say."""
    first = alarms(make(name, {}).watch(bernoulli(*RATES)))[0]

    assert first.before == pytest.approx(0.1, abs=0.05)
    assert first.after == pytest.approx(0.4, abs=0.15)


def test_levels_are_exact_on_a_clean_step():
    """A step from 0 to 1 at 500."""
    assert RiverDetector(drift.ADWIN()).watch(np.repeat([0.0, 1.0], 500)) == [Finding(511, "alarm", 0.0, 1.0)]


def test_direction_down_tells_only_falls():
    """ADWIN hears all three changes; only the one in the middle fell."""
    (found,) = alarms(make("adwin", {"direction": "down"}).watch(bernoulli(*RATES)))

    assert 2 * SEGMENT <= found.at < 2 * SEGMENT + 300


class Scripted:
    """A detector that detects where told to."""

    def __init__(self, drifts=(), warnings=()):
        self.drifts, self.warnings, self.n = drifts, warnings, -1
        self.drift_detected = self.warning_detected = False

    def clone(self):
        return Scripted(self.drifts, self.warnings)

    def update(self, _):
        self.n += 1
        self.drift_detected, self.warning_detected = self.n in self.drifts, self.n in self.warnings


def steps(*levels, length=100):
    return np.repeat(np.array(levels, dtype=np.float64), length)


def test_a_second_detection_of_one_change_is_silent():
    """river#574: the same move reported twice."""
    detector = RiverDetector(Scripted(drifts=(110, 150)), rearm=100)

    assert [finding.at for finding in detector.watch(np.r_[np.zeros(100), np.linspace(1, 2, 100)])] == [110]


def test_the_same_move_after_the_wait_is_told():
    """A second real change later is found."""
    detector = RiverDetector(Scripted(drifts=(110, 210, 211)), rearm=99)

    assert [finding.at for finding in detector.watch(steps(0, 1, 2))] == [110, 210]


def test_a_move_back_is_told_at_once():
    """The other direction is another change, wait or no wait."""
    detector = RiverDetector(Scripted(drifts=(110, 210)), rearm=10_000)

    assert [finding.at for finding in detector.watch(steps(0, 1, 0))] == [110, 210]


def test_a_move_more_than_twice_as_large_is_told_at_once():
    """The small one before may have been noise."""
    detector = RiverDetector(Scripted(drifts=(110, 210)), rearm=10_000)

    assert [finding.at for finding in detector.watch(steps(0, 1, 5))] == [110, 210]


def test_silent_detections_do_not_prolong_the_wait():
    """A slow drift is told again every ``rearm`` values."""
    detector = RiverDetector(Scripted(drifts=tuple(range(20, 300, 20))), rearm=100)

    assert [finding.at for finding in detector.watch(np.arange(300.0))] == [20, 140, 260]


def test_a_warning_is_told_once_a_zone():
    """Flickering within ``rearm`` values is one zone; a zone after that is another."""
    detector = RiverDetector(Scripted(warnings=(20, 21, 23, 40, 200, 201)), rearm=50)

    assert [(f.at, f.level) for f in detector.watch(np.arange(300.0))] == [(20, "warning"), (200, "warning")]


def test_a_warning_right_after_an_alarm_belongs_to_it():
    """It is the rest of the same change."""
    detector = RiverDetector(Scripted(drifts=(100,), warnings=(90, 120)), rearm=50)

    assert [(f.at, f.level) for f in detector.watch(np.arange(300.0))] == [(90, "warning"), (100, "alarm")]


def test_ddm_warns_before_it_alarms():
    """Its warning zone opens before its alarm."""
    found = make("ddm", {}).watch(bernoulli(0.1, 0.4, seed=5))

    assert [finding.level for finding in found] == ["warning", "alarm"]


def test_a_binary_detector_refuses_other_numbers():
    """It would answer nonsense without a word."""
    with pytest.raises(ValueError, match="0 and 1 only"):
        make("ddm", {}).watch(np.array([0.0, 0.5]))


def test_binary_says_who_takes_0_and_1_only():
    """The build refuses these on other signals."""
    binary = {name for name in DETECTORS if make(name, {}).binary}

    assert binary == {"ddm", "eddm", "hddm_a", "hddm_w", "fhddm"}


def test_an_unseeded_random_detector_is_refused():
    """No run of it can be repeated."""
    with pytest.raises(ValueError, match="seed"):
        RiverDetector(drift.KSWIN())


def test_a_direction_that_cannot_be_heard_is_refused():
    """Page-Hinkley set to rises never tells a fall."""
    with pytest.raises(ValueError, match="never alarm"):
        RiverDetector(drift.PageHinkley(mode="up"), direction="down")


@pytest.mark.parametrize("settings", [{"direction": "sideways"}, {"rearm": -1}, {"rearm": 1.5}, {"rearm": True}])
def test_wrong_settings_are_refused(settings):
    """By the constructor, not at the first alarm."""
    with pytest.raises(ValueError, match=r"direction is|rearm is"):
        RiverDetector(drift.ADWIN(), **settings)


def test_watching_nothing_finds_nothing():
    """An empty batch is no special case."""
    assert list(make("adwin", {}).watch(np.empty(0))) == []


def test_the_given_detector_is_not_touched():
    """A specification, not a part."""
    given = drift.ADWIN()
    RiverDetector(given).watch(np.ones(100))

    assert given.width == 0


def test_a_dumped_state_does_not_change_afterwards():
    """A checkpoint may be written while the stream goes on."""
    detector = make("kswin", {})
    detector.watch(bernoulli(0.1, segment=20))
    before = dict(detector.dump(-1))
    kept = pickle.dumps(before, 5)
    detector.watch(bernoulli(0.1, segment=20))

    assert pickle.dumps(before, 5) == kept


@pytest.mark.parametrize("name", DETECTORS)
def test_states_are_pickled_without_functions_or_numpy(name):
    """So that the unpickler of checkpoints needs to admit classes of River, collections and random only."""
    detector = make(name, {})
    detector.watch(bernoulli(0.3, segment=150))
    pickled = pickle.dumps(dict(detector.dump(-1)), 5)

    assert b"getattr" not in pickled
    assert b"numpy" not in pickled
