"""The state that a backtest ends with, for a service that begins with it (``headrace run --warm-start DIR``).

The state is the one *before* waiting labels are revealed at the end: a service that starts with it still gets them.
checkpoints/history.py says what the directory holds; build_warm.py reads it.
"""

from collections.abc import Mapping
from pathlib import Path

from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.files import FileStore
from stream.checkpoints.history import HISTORY, STATE, History, write_history
from stream.checkpoints.signing import Signer
from stream.replay.lane import Lane
from stream.replay.resume import Point
from stream.replay.sources import Place


def save_state(lane: Lane, directory: Path, name: str, key: bytes, task: int, at: Place) -> None:
    """One task's state as a signed checkpoint in ``directory/state``; what was there of it goes.

    Parameters
    ----------
    lane : Lane
        Folded to the end, with labels that wait still waiting.
    name : str
        The configuration's: the checkpoint is called ``<name>/<task>``.
    key : bytes
        The configuration's: a service verifies with it.
    at : Place
        Where each input goes on.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / HISTORY).unlink(missing_ok=True)  # until every task's state is there
    store = FileStore(directory / STATE)
    store.clear(f"{name}/{task}")
    checkpointer = Checkpointer(store, Signer(key), f"{name}/{task}", keep=1, on_unverified=lambda _: None, fork=False)
    clock = lane.fold.state.clock
    checkpointer.save(
        checkpointer.take(lane.fold.parts(), clock.records), entry_number=0, journal_offset=-1, token=0,
        positions=at.positions, records=clock.records, stream_time_ms=clock.stream_time_ms, saved_ms=0,
        lineage=lane.lineage,
    )  # fmt: skip


def finish_state(directory: Path, name: str, topics: Mapping[str, str], points: Mapping[int, Point]) -> None:
    """Say what the directory holds, once every task's state is there.

    Parameters
    ----------
    topics : mapping of str to str
        Those that were read, name to id: a service goes on in them where the history ended. Empty: files.
    points : mapping of int to Point
        By task, where its pass ended.
    """
    facts = [point.facts[0] for point in points.values()]
    places = [point.place for _, point in sorted(points.items()) if point.place is not None]
    write_history(
        directory,
        History(
            name=name,
            records=sum(one["records"] for one in facts),
            stream_time_ms=max(one["stream_time_ms"] for one in facts),
            tasks=len(points),
            topics=dict(topics),
            positions=tuple(place.positions for place in places) if topics else (),
        ),
    )
