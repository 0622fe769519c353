"""A warm start: a new journal that begins with the state which a backtest left, and not with nothing learned.

The journal's first claim names that state by its digest, so that whoever folds the journal from its start knows what it
started from. The state itself is the first checkpoint of the service; until that is stored, and when all checkpoints are
lost, it is taken from the directory again. Read task.py and recovery.py for where.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.heads import content_digest
from stream.checkpoints.restored import Restored
from stream.errors import RESTART, JournalBroken, RecordsGone
from stream.pipeline.fold import Build, Fold
from stream.records import Claim, Input, Origin, Positions


@dataclass(frozen=True, slots=True)
class Warm:
    """What a history left for one task."""

    restored: Restored
    where: str
    """The directory, for people."""
    positions: Positions | None = None
    """Where the inputs go on; None: at their beginning."""

    @property
    def origin(self) -> Origin:
        head = self.restored.head
        return Origin(content_digest(head), head.records, head.stream_time_ms)

    def fold(self, build: Build, lineage: dict[str, object], inputs: Sequence[Input]) -> tuple[Fold, list[str]]:
        """A fold of this lineage with the history's state, and the parts that it did not fit, which begin anew.

        Raises
        ------
        CheckpointError
            The state is damaged.
        """
        head = self.restored.head
        fold = build(lineage, inputs)
        if head.lineage["answers"] == lineage["answers"]:
            self.restored.load(fold.parts())
            return fold, []
        former = build(head.lineage, inputs)
        self.restored.load(former.parts())
        return fold, fold.take_over(former)


def check_nothing_left(checkpointer: Checkpointer) -> None:
    """Another journal of this task left no checkpoint: there never was one. Raises JournalBroken."""
    left = next(iter(checkpointer.restore()), None)
    if left is not None:
        raise JournalBroken(
            f"a warm start needs a task that never ran, but there is {left}, and its journal is empty", RESTART
        )


def check_origin(first: Claim | None, warm: Warm) -> None:
    """The journal began with this very state. Raises JournalBroken."""
    if first is None or first.origin is None or first.origin.digest != warm.origin.digest:
        began = "with nothing learned" if first is None or first.origin is None else "with another state"
        raise JournalBroken(
            f"this journal began {began}, not with that of {warm.where}",
            f"leave out --warm-start to go on; {RESTART}",
        )


def needed(origin: Origin, warm: Warm | None) -> Warm:
    """The state that a journal began with. Raises RecordsGone when it is not at hand."""
    if warm is None or warm.origin.digest != origin.digest:
        raise RecordsGone(
            f"cannot rebuild: no usable checkpoint, and the journal begins with the state {origin.digest[:12]}… of a "
            f"backtest ({origin.records:,} records)",
            "name its directory: `headrace run --warm-start DIR CONFIG`",
        )
    return warm
