"""Which features the transformers of a model read by name, for a check that they can be there. Read inside.py first."""

from collections.abc import Iterator
from typing import Any

from river import base, compose

_PARAMETERS = ("of", "to", "keys")
"""Of our transformers, those that name features."""


def absent(model: Any, row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(transformer, feature) for each name that a transformer reads and that is not in its row.

    ``row`` has every feature that an event may have. It is handed down the chain, through wrappers too, as a first event
    would be: what transformers add is there for those after them, if they add it from the first event on.
    """
    while model is not None:
        *transformers, final = model.steps.values() if isinstance(model, compose.Pipeline) else (model,)
        for one in transformers:
            for part in one.transformers.values() if isinstance(one, compose.TransformerUnion) else (one,):
                yield from ((type(part).__name__, name) for name in _names(part) if name not in row)
            row = one.transform_one(row)
        model = final._wrapped_model if isinstance(final, base.Wrapper) else None  # noqa: SLF001


def _names(transformer: Any) -> Iterator[str]:
    if type(transformer).__module__.startswith("learners.transformers."):
        for parameter in _PARAMETERS:
            told = getattr(transformer, parameter, ())
            yield from (told,) if isinstance(told, str) else told
