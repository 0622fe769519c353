"""Whether a journal was made by this lineage, and in what another one differs, for people. Read refold.py next."""

from collections.abc import Generator
from typing import TypeGuard

from stream.errors import RESHARD, RESTART, LineageChanged


def check_lineage(stands: dict[str, object] | None, lineage: dict[str, object], *, accept: bool) -> None:
    """Raise LineageChanged, with the difference, when the journal was made by another lineage (``stands``)."""
    if stands is None or stands == lineage:
        return
    changes = list(differences(stands, lineage))
    lost = [line for line in changes if line.startswith("log.")]
    if lost:
        other = "a topic was recreated, renamed or has other partitions, or a file was changed"
        if any(line.startswith(("log.partitions:", "log.label_partitions:")) for line in lost):
            other = RESHARD
        raise LineageChanged(
            "the inputs are not those that this pipeline's journal tells of:\n    " + "\n    ".join(lost),
            f"{other}; {RESTART}",
        )
    if not accept:
        told = [line.removeprefix("answers.") for line in changes]  # settings by the names that stand in the file
        raise LineageChanged(
            "this would give other answers than those in the journal:\n    " + "\n    ".join(told),
            "go back to the former settings, or `headrace run --accept-lineage CONFIG` to go on with the new ones: "
            "what is unchanged keeps its state, and the change is journaled",
        )


def differences(old: object, new: object, at: str = "") -> Generator[str, None, None]:
    """Lines that say what differs between two plain values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{at}.{key}" if at else str(key))
    elif old != new and _of_sections(old) and _of_sections(new):
        yield from _listed(old, new, at)
    elif old != new:
        yield f"{at}: {_short(old)} -> {_short(new)}"


def _of_sections(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _listed(old: list[object], new: list[object], at: str) -> Generator[str, None, None]:
    """Of as many, each beside the other; else what went and what came."""
    if len(old) == len(new):
        for place, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{at}[{place}]")
        return
    yield from (f"{at}: without {_short(one)}" for one in old if one not in new)
    yield from (f"{at}: with {_short(one)}" for one in new if one not in old)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
