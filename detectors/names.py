"""The names of detectors in configurations, and what may be set on each.

Parameters of River pass through under River's names; ``direction`` and ``rearm`` are ours (river.py). Read river.py next.
"""

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from river import drift

from detectors.base import Detector
from detectors.river import RiverDetector


class _Named(NamedTuple):
    maker: Any
    defaults: Mapping[str, object] = {}
    """Where ours differ from River's."""
    inverted: bool = False


DETECTORS: Final[Mapping[str, _Named]] = {
    "adwin": _Named(drift.ADWIN),
    "page_hinkley": _Named(drift.PageHinkley),
    "kswin": _Named(drift.KSWIN, {"seed": 0}),  # unseeded, it would find other changes at every run
    "ddm": _Named(drift.binary.DDM),
    "eddm": _Named(drift.binary.EDDM),
    "hddm_a": _Named(drift.binary.HDDMA),
    "hddm_w": _Named(drift.binary.HDDMW),
    # FHDDM's paper counts right answers and looks for their fall, and so does River's code, though its documentation
    # says that 1 is an error. Heard the other way round, it finds rising errors like the rest.
    "fhddm": _Named(drift.binary.FHDDM, inverted=True),
}

_OURS: Final = ("direction", "rearm")
_NOT_OFFERED: Final = ("window",)  # KSWIN's values seen already: state, not a setting


def parameters_of(name: str) -> tuple[str, ...]:
    """What may be set on this detector. Raises ValueError for an unknown name."""
    maker = _find(name).maker
    return (*(p for p in inspect.signature(maker).parameters if p not in _NOT_OFFERED), *_OURS)


def make(name: str, parameters: Mapping[str, object]) -> Detector:
    """A detector by its name in the configuration.

    Parameters
    ----------
    name : str
        One of ``DETECTORS``.
    parameters : mapping
        ``direction`` ("both", "up", "down"), ``rearm`` (values) and those of River's class.

    Raises
    ------
    ValueError
        For an unknown name or parameter (naming the nearest right one), a value of the wrong kind, or a direction
        that this detector cannot hear.

    Examples
    --------
    >>> make("adwin", {"delta": 0.01, "direction": "up"}).codec
    'pickle'
    """
    named = _find(name)
    known = parameters_of(name)
    for parameter in parameters:
        if parameter not in known:
            raise ValueError(f"{name} has no parameter {parameter!r}{_nearest(parameter, known)}")
    ours: dict[str, Any] = {key: parameters[key] for key in _OURS if key in parameters}
    rivers = dict(named.defaults) | {key: value for key, value in parameters.items() if key not in _OURS}
    _check_kinds(name, named.maker, rivers)
    try:
        return RiverDetector(named.maker(**rivers), inverted=named.inverted, **ours)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _find(name: str) -> _Named:
    if name not in DETECTORS:
        raise ValueError(f"no detector is named {name!r}{_nearest(name, DETECTORS)}")
    return DETECTORS[name]


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; it may be {', '.join(known)}"


def _check_kinds(name: str, maker: Any, parameters: Mapping[str, object]) -> None:
    """River takes anything and fails at the first value, so the kind of each default is asked for here."""
    for key, parameter in inspect.signature(maker).parameters.items():
        if key not in parameters:
            continue
        value, default = parameters[key], parameter.default
        if isinstance(default, bool):
            kind, right = "true or false", isinstance(value, bool)
        elif isinstance(default, float):
            kind, right = "a number", isinstance(value, int | float) and not isinstance(value, bool)
        elif isinstance(default, str):
            kind, right = "a word", isinstance(value, str)
        else:  # whole numbers, and those that may be left out
            kind, right = "a whole number", isinstance(value, int) and not isinstance(value, bool)
        if not right:
            raise ValueError(f"{name}: {key} must be {kind}, not {value!r}")
