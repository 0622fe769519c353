"""River's drift detectors behind the seam: batches in, one alarm a change out, with the levels before and after.

Not here: which names a configuration may use and with which parameters (names.py), what an alarm does (the step's
responses). Read base.py before, names.py next.
"""

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Self, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray
from river import base, drift

from detectors.base import Finding

Direction: TypeAlias = Literal["both", "up", "down"]

REARM: Final = 500
"""Values after an alarm in which the same change may be detected again without another alarm.

River 0.26.1 with default parameters on Bernoulli signals that change abruptly: ADWIN, DDM, HDDM_W and EDDM repeated
themselves 30 to 350 values after the first detection, and hardly ever later.
"""

LARGER: Final = 2.0
"""A step so many times the one just told is another change."""

TAIL: Final = 512
"""Values that are kept to say where the level changed."""

RECENT_MIN: Final = 10
"""A level *since the change* is the mean of at least so many values (half of them, where there are fewer than 20)."""


class RiverDetector:
    """Any of River's drift detectors, fed one value at a time, exactly as River would be.

    **One alarm a change.** A detector that has seen half of a change forgets, starts anew, and may report the other
    half (river#574). So a detection belongs to the change already told when it comes within ``rearm`` values of that
    alarm, moves the level the same way, *and* by no more than twice as much. A move the other way, or one that much
    larger (the alarm before may have been a false one), is a change of its own at once. Suppressed detections do not
    prolong the wait, so a slow drift is told again every ``rearm`` values. Detections against ``direction`` are no
    alarms and start no wait.

    **Warnings** (DDM and its family) are told once a zone: at the first value of it. It has ended when no warning was
    on for ``rearm`` values; those within ``rearm`` values after a detection belong to that change.

    **Levels.** The values since the detector's last reset are split where the means of the two sides differ most (the
    largest CUSUM statistic ``(after - before)**2 * n_before * n_after / n``), the second side within the last 512
    values; for a detector that hears rises (falls) only, where the mean rose (fell) most. ADWIN's own window is not
    used: at the first detection it has dropped its oldest buckets only, so that a rate that went from 0.1 to 0.4
    stands at 0.18 in what is left, and at 0.41 in the split.

    Parameters
    ----------
    detector : river.base.DriftDetector or river.base.BinaryDriftDetector
        The specification. It is cloned, so what it has seen is not taken over.
    direction : {"both", "up", "down"}
        Tell only changes where the level rose (fell). DDM, EDDM and HDDM without ``two_sided_test`` hear rises only,
        FHDDM falls (inverted: rises), Page-Hinkley what its ``mode`` says.
    rearm : int
        See above; 0 tells every detection.
    inverted : bool
        The detector hears ``1 - value``; levels and directions are those of the value.

    Attributes
    ----------
    binary : bool
        It takes values 0 and 1 only, such as the error of a classification.

    Raises
    ------
    ValueError
        For an unseeded random detector, which would find other changes at every run; for a direction that the
        detector cannot hear.

    Examples
    --------
    >>> detector = RiverDetector(drift.ADWIN(), direction="up")
    >>> detector.watch(np.repeat([0.0, 1.0], 500))
    [Finding(at=511, level='alarm', before=0.0, after=1.0)]
    """

    codec = "pickle"

    def __init__(
        self, detector: Any, *, direction: Direction = "both", rearm: int = REARM, inverted: bool = False
    ) -> None:
        if direction not in get_args(Direction):
            raise ValueError(f"direction is both, up or down, not {direction!r}")
        if isinstance(rearm, bool) or not isinstance(rearm, int) or rearm < 0:
            raise ValueError(f"rearm is a number of values, 0 or more, not {rearm!r}")
        if getattr(detector, "seed", 0) is None:
            raise ValueError(f"{type(detector).__name__} draws at random: give it a seed, or no run can be repeated")
        self._hears = _hears(detector, inverted=inverted)
        if direction != "both" and self._hears not in ("both", direction):
            raise ValueError(
                f"{type(detector).__name__} as set hears only the other direction, so direction: {direction} would never alarm"
            )
        self.binary = isinstance(detector, base.BinaryDriftDetector)
        self._direction: Direction = direction
        self._rearm = rearm
        self._inverted = inverted
        self._specification = detector.clone()
        self._detector = detector.clone()
        self._warns = hasattr(detector, "warning_detected")
        self._is_adwin = type(detector) is drift.ADWIN
        self._levels = _Levels()
        self._seen = 0
        self._alarm_at = -1 - rearm
        self._alarm_step = 0.0
        self._zone_at = -1 - rearm

    def watch(self, values: NDArray[np.float64]) -> Sequence[Finding]:
        """``(n,)``. Raises ValueError when a binary detector is given anything but 0 and 1."""
        if self.binary and not ((values == 0.0) | (values == 1.0)).all():
            raise ValueError(f"{type(self._detector).__name__} takes 0 and 1 only: watch an error or another flag")
        findings: list[Finding] = []
        start = 0  # of the values that the levels have not seen
        series = (1.0 - values if self._inverted else values).tolist()
        for at, is_drift in _adwin_signs(self._detector, series) if self._is_adwin else self._signs(series):
            if is_drift:
                self._levels.extend(values[start : at + 1])
                start = at + 1
                findings += self._detection(at)
                self._levels = _Levels()
            else:
                opens = self._seen + at - self._zone_at > self._rearm
                self._zone_at = self._seen + at
                if opens:
                    self._levels.extend(values[start : at + 1])
                    start = at + 1
                    findings += self._warning(at)
        self._levels.extend(values[start:])
        self._seen += len(values)
        return findings

    def _signs(self, series: list[float]) -> Iterator[tuple[int, bool]]:
        """Where the detector, shown these values, says that there is a drift (True) or warns (False)."""
        detector, warns, update = self._detector, self._warns, self._detector.update
        for at, value in enumerate(series):
            update(value)
            if detector.drift_detected:
                yield at, True
            elif warns and detector.warning_detected:
                yield at, False

    def _detection(self, at: int) -> Iterator[Finding]:
        before, after = self._levels.split(self._hears)
        position, step = self._seen + at, after - before
        self._zone_at = position
        told = (
            position - self._alarm_at <= self._rearm
            and step * self._alarm_step >= 0.0
            and abs(step) <= LARGER * abs(self._alarm_step)
        )
        if not told and self._wanted(step):
            self._alarm_at, self._alarm_step = position, step
            yield Finding(at, "alarm", before, after)

    def _warning(self, at: int) -> Iterator[Finding]:
        before, after = self._levels.split(self._hears)
        if self._wanted(after - before):
            yield Finding(at, "warning", before, after)

    def _wanted(self, step: float) -> bool:
        return self._direction == "both" or (step > 0.0 if self._direction == "up" else step < 0.0)

    def fresh(self) -> Self:
        """The same specification with nothing seen."""
        return type(self)(self._specification, direction=self._direction, rearm=self._rearm, inverted=self._inverted)

    def alive(self) -> Iterable[str]:
        return ("state",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - every value changes the state
        """River's attributes and ours, as plain values.

        Bound methods are left out (Page-Hinkley keeps one): a clone has them, and unpickling one takes ``getattr``,
        which no careful unpickler admits.
        """
        attributes = {
            name: _plain(value) for name, value in vars(self._detector).items() if not inspect.ismethod(value)
        }
        levels = self._levels
        state = {
            "detector": copy.deepcopy(attributes),
            "levels": (levels.count, levels.total, levels.tail.tolist()),
            "seen": self._seen,
            "alarm": (self._alarm_at, self._alarm_step),
            "zone": self._zone_at,
        }
        yield "state", state

    def load(self, chunks: Mapping[str, object]) -> None:
        """Take up a state that ``dump(-1)`` gave."""
        state: Any = chunks["state"]
        self._detector = self._specification.clone()
        vars(self._detector).update(copy.deepcopy(state["detector"]))
        count, total, tail = state["levels"]
        self._levels = _Levels(count, total, np.array(tail, dtype=np.float64))
        self._seen = state["seen"]
        self._alarm_at, self._alarm_step = state["alarm"]
        self._zone_at = state["zone"]


def _adwin_signs(detector: Any, series: list[float]) -> Iterator[tuple[int, bool]]:
    """What ``_signs`` gives. ``ADWIN.update`` only hands a value on while there is no drift: 0.05 µs without it, 0.14 with."""
    found, update = detector.drift_detected, detector._helper.update  # noqa: SLF001
    for at, value in enumerate(series):
        if found:  # River's own starts anew
            detector.update(value)
            found, update = detector.drift_detected, detector._helper.update  # noqa: SLF001
        elif update(value):
            detector._drift_detected = found = True  # noqa: SLF001
        if found:
            yield at, True


def _hears(detector: Any, *, inverted: bool) -> Direction:
    """The direction of the changes that a detector can find at all."""
    hears: Direction = "both"
    if isinstance(detector, drift.binary.DDM | drift.binary.EDDM):
        hears = "up"
    elif isinstance(detector, drift.binary.HDDMA | drift.binary.HDDMW):
        if not detector.two_sided_test:
            hears = "up"
    elif isinstance(detector, drift.binary.FHDDM):
        hears = "down"
    elif isinstance(detector, drift.PageHinkley):
        hears = cast("Direction", detector.mode)
    return _OPPOSITE[hears] if inverted else hears


_OPPOSITE: Final[dict[Direction, Direction]] = {"up": "down", "down": "up", "both": "both"}


def _plain(value: object) -> object:
    """KSWIN keeps a NumPy scalar, for no reason of ours."""
    return value.item() if isinstance(value, np.generic) else value


class _Levels:
    """The values since the detector's last reset: their number and sum, and the last of them themselves."""

    def __init__(self, count: int = 0, total: float = 0.0, tail: NDArray[np.float64] | None = None) -> None:
        self.count = count
        self.total = total
        self.tail = np.empty(0) if tail is None else tail

    def extend(self, values: NDArray[np.float64]) -> None:
        if not len(values):
            return
        # Sequential from the carried sum, so that cuts change no bit; np.sum adds in pairs.
        self.total = float(np.add.accumulate(np.concatenate(([self.total], values)))[-1])
        self.count += len(values)
        self.tail = np.concatenate((self.tail, values))[-TAIL:]

    def split(self, hears: Direction) -> tuple[float, float]:
        """Means of the two sides of the most likely change of a kind that the detector hears."""
        if self.count < 2:
            return self.total, self.total
        shortest = min(RECENT_MIN, self.count // 2)
        after_n = np.arange(1, min(len(self.tail), self.count - 1) + 1)
        after = np.add.accumulate(self.tail[::-1])[: len(after_n)]
        before_n = self.count - after_n
        step = after / after_n - (self.total - after) / before_n
        signed = {"up": step, "down": -step, "both": np.abs(step)}[hears]
        best = int(np.argmax((signed * np.abs(step) * after_n * before_n)[shortest - 1 :])) + shortest - 1
        return float((self.total - after[best]) / before_n[best]), float(after[best] / after_n[best])
