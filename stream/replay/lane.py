"""One configuration in a pass over a task: its fold, and what it leaves on the disk as it goes. Read backtest.py for the pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from stream.build_fold import build_fold
from stream.codec import EventDecoder, Events, LabelDecoder, Labels
from stream.config import fold_config
from stream.config_specs import CodecSpecs, codec_specs
from stream.pipeline.batch import Batch, RawBatch
from stream.pipeline.clock import Clock, Reach
from stream.pipeline.fold import SLICE, Fold
from stream.pipeline.learn import LearnFailure
from stream.records import OUTPUTS, Input, OutputName, Outputs, Records, Skip
from stream.replay.columns import Columns
from stream.replay.digest import Digests, DigestState
from stream.replay.durable import Lines
from stream.replay.sources import Piece
from stream.transport.files import reject_line


@dataclass(frozen=True, slots=True)
class Contestant:
    """A configuration as a process is told of it."""

    name: str
    """Unique among those compared."""
    lineage: dict[str, Any]
    """What its fold is built from."""


class Lane:
    """A configuration's fold and its files. What it leaves is a function of the records alone.

    Parameters
    ----------
    contestant : Contestant
    inputs : sequence of Input
        The task's.
    directory : Path
        For its files; nobody else's.
    told : mapping, optional
        What ``state`` said when the fold's state was saved: files go on from there, and what came behind is cut off.
    """

    def __init__(
        self,
        contestant: Contestant,
        inputs: Sequence[Input],
        directory: Path,
        told: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = contestant.name
        self.lineage = contestant.lineage
        self.fold: Fold = build_fold(contestant.lineage, inputs)
        self.specs = specs_of(contestant.lineage)
        self.skips = tuple(msgspec.convert(skip, Skip) for skip in told["skips"]) if told else ()
        at = told["at"] if told else None
        self.columns = Columns(self.fold, directory, at["columns"] if at else None)
        self.digests = Digests(msgspec.convert(at["digests"], dict[OutputName, DigestState]) if at else None)
        lengths = at["lines"] if at else {"alarms": 0, "rejects": 0}
        self._lines = {name: Lines(directory / f"{name}.jsonl", length) for name, length in lengths.items()}

    def take(self, batch: Batch | RawBatch) -> None:
        """Fold a batch that was decoded for this configuration, or not at all. Raises LearnFailure: then drop the lane."""
        self.took(self.fold.step(batch, self.columns))

    def flush(self) -> None:
        """The history has ended: labels that wait in their events for their time are revealed. Raises LearnFailure."""
        self.took(self.fold.flush(self.columns, tuple(skip for skip in self.skips if skip.offset < 0)))

    def decoded(self, records: Records) -> Batch:
        """Of a task whose only input is events."""
        return Batch(self.fold.event_decoder.decode(records), (), (0, len(records)))

    def took(self, outputs: Outputs) -> None:
        """Write down what the fold said."""
        self.digests.add(outputs)
        if alarms := outputs.get("alarms"):
            self._lines["alarms"].add(alarms.values)
        if out := outputs.get("rejects"):
            headers = out.headers or [{}] * len(out)
            self._lines["rejects"].add([reject_line(*one) for one in zip(out.keys, out.values, headers, strict=True)])

    def skips_for(self, piece: Piece) -> tuple[Skip, ...]:
        """Of what could not be learned, that which lies in these records.

        A journal's skips count for learners that are what they were then; what others cannot learn they find themselves.
        """
        theirs = piece.batch.skips if piece.lineage is not None else ()
        own = [skip for skip in theirs if self._learns_as(piece.lineage or {}, skip.learner)]
        return tuple(own) + tuple(skip for skip in self.skips if _holds(piece.batch, skip) and skip not in own)

    def _learns_as(self, lineage: Mapping[str, Any], learner: str) -> bool:
        then, now = lineage["answers"], self.lineage["answers"]
        same = all(then[key] == now[key] for key in ("problem", "events", "labels", "features"))
        return same and learner in now["learners"] and then["learners"].get(learner) == now["learners"][learner]

    def write(self) -> None:
        """Everything that is in memory, on to the disk."""
        self.columns.write_part()
        for lines in self._lines.values():
            lines.sync()

    def state(self) -> dict[str, Any]:
        """After ``write``: how much there is. Plain values, and bytes."""
        return {
            "skips": msgspec.to_builtins(self.skips),
            "at": {
                "columns": self.columns.state(),
                "digests": self.digests.states(),
                "lines": {name: lines.length for name, lines in self._lines.items()},
            },
        }

    def facts(self) -> dict[str, Any]:
        """Of the task, for people."""
        clock = self.fold.state.clock
        return {
            "records": clock.records,
            "events": self.columns.rows,
            "labels": self.columns.labels,
            "waiting": self.fold.state.join.waiting,
            "stream_time_ms": clock.stream_time_ms,
            "counts": {name: count for name, count in sorted(clock.counts.items()) if count},
            "classes": list(self.fold.state.join.classes),
            "frozen": dict(sorted(self.fold.state.roles.frozen.items())),
            "outputs": {name: self.digests.of[name].records for name in OUTPUTS},
            "digests": {name: self.digests.of[name].hex for name in OUTPUTS},
        }

    def close(self) -> None:
        for lines in self._lines.values():
            lines.close()


def specs_of(lineage: Mapping[str, Any]) -> CodecSpecs:
    """What the decoders of a lineage are told: where these are equal, one decoder does for all."""
    return codec_specs(fold_config(lineage["answers"]))


def _holds(batch: Batch | RawBatch, skip: Skip) -> bool:
    if isinstance(batch, RawBatch):
        records = batch.records if skip.input == 0 else Records()
    else:
        records = batch.records(skip.input) if skip.input <= len(batch.labels) else Records()
    return bool(records.offsets) and records.offsets[0] <= skip.offset <= records.offsets[-1]


class Order:
    """Which record is next, decided as the first configuration would: its decoders, and how far each input has come.

    So that all configurations, in however many processes, are given the same records in the same order.
    """

    def __init__(self, lineage: Mapping[str, Any], reaches: Sequence[Sequence[Any]] = ()) -> None:
        self.specs = specs_of(lineage)
        self.clock = Clock(fold_config(lineage["answers"]).time_jump_max.ms)
        self.clock.reaches = [Reach(*reach) for reach in reaches]
        target, limits = self.specs.target, self.specs.limits
        self._events = EventDecoder(self.specs.events, limits, target)
        self._labels = None if self.specs.labels is None else LabelDecoder(self.specs.labels, limits, target)

    def events(self, records: Records) -> Events:
        events = Events() if records.offsets else self._events.decode(records)
        for start in range(0, len(records), SLICE):
            events.extend(self._events.decode(records.slice(start, start + SLICE)))
        return events

    def labels(self, records: Records) -> Labels:
        assert self._labels is not None
        return self._labels.decode(records)

    def follow(self, batch: Batch | RawBatch) -> None:
        """These records are taken."""
        if isinstance(batch, Batch):
            self.clock.follow([batch.events.times_ms, *(labels.times_ms for labels in batch.labels)])


class Failed(Exception):
    """A learner raised while it learned: the pass goes back to its last resume point, and on with this skip."""

    def __init__(self, lane: int, skip: Skip) -> None:
        super().__init__(f"learner {skip.learner} raised at event {skip.event}: {skip.error}")
        self.lane = lane
        self.skip = skip


class Pass:
    """The lanes that a process folds together: records are decoded once for all whose decoders are equal."""

    def __init__(self, lanes: Sequence[Lane], order: Order) -> None:
        self.lanes = lanes
        self.order = order
        self._groups: list[tuple[CodecSpecs, list[int]]] = []
        for place, lane in enumerate(lanes):
            group = next((own for specs, own in self._groups if specs == lane.specs), None)
            if group is None:
                self._groups.append((lane.specs, [place]))
            else:
                group.append(place)

    def take(self, piece: Piece) -> None:
        """Every lane folds it. Raises Failed: then the lanes are to be dropped."""
        skips = [lane.skips_for(piece) for lane in self.lanes]
        if len(self.lanes) == 1:
            self._fold(0, self._suited(piece.batch, self._groups[0][0], self.lanes[0]), skips[0])
        else:
            for part in piece.batch.cut(SLICE):
                for specs, places in self._groups:
                    whole = part if isinstance(part, Batch) else self.lanes[places[0]].decoded(part)
                    batch = self._suited(whole, specs, self.lanes[places[0]]) if part is whole else whole
                    for place in places:
                        self._fold(place, batch, skips[place])
        self.order.follow(piece.batch)

    def flush(self) -> None:
        """Every lane reveals what still waits. Raises Failed."""
        for place, lane in enumerate(self.lanes):
            try:
                lane.flush()
            except LearnFailure as failure:
                raise Failed(place, failure.skip) from failure

    def _suited(self, batch: Batch | RawBatch, specs: CodecSpecs, lane: Lane) -> Batch | RawBatch:
        """A batch that came decoded, as this lane's configuration decodes it: the same records in the same order."""
        if isinstance(batch, RawBatch) or specs == self.order.specs:
            return batch
        fold = lane.fold
        labels = tuple(fold.labels(own.records) for own in batch.labels)
        return Batch(fold.events(batch.events.records), labels, batch.order)

    def _fold(self, place: int, batch: Batch | RawBatch, skips: tuple[Skip, ...]) -> None:
        try:
            self.lanes[place].take(batch if batch.skips == skips else replace(batch, skips=skips))
        except LearnFailure as failure:
            raise Failed(place, failure.skip) from failure
