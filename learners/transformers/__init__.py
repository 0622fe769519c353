"""Transformers for a learner's chain, beside River's: what River lacks, or has unbounded or in the order of a set.

Each is a ``river.base.Transformer`` over dicts, for the configuration (``learners.transformers.Ratio``) and for any River
pipeline. A missing feature is an absent key (None and NaN count as missing); what cannot be computed is missing too.
Transforming never learns, state is bounded, and features stand in an order that follows from what came, never from hashes.
No windows per key: those are stages of ``learners/features/``. Read columns.py next, then any one.
"""

from learners.transformers.calendar import Calendar
from learners.transformers.clip import Clip
from learners.transformers.difference import Difference
from learners.transformers.fill import Fill
from learners.transformers.hashing import Hash
from learners.transformers.missing import Missing
from learners.transformers.one_hot import OneHot
from learners.transformers.ratio import Ratio
from learners.transformers.select import Select
from learners.transformers.target_mean import TargetMean

__all__ = [
    "Calendar",
    "Clip",
    "Difference",
    "Fill",
    "Hash",
    "Missing",
    "OneHot",
    "Ratio",
    "Select",
    "TargetMean",
]


def __dir__() -> list[str]:
    """The classes: a name that is mistyped in a configuration is told the nearest of them, not a module."""
    return list(__all__)
