"""A state, its plan and its decoders: all that is needed to fold a task's records. Built by build.py, driven by a runtime."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from stream.codec import EventDecoder, Events, LabelDecoder, Labels
from stream.pipeline.batch import Batch, RawBatch
from stream.pipeline.state import Part, PipelineState, Plan
from stream.pipeline.step import StageName, Witness, step
from stream.pipeline.waiting import Columns
from stream.records import Input, Outputs, Records, Skip

Build: TypeAlias = Callable[[dict[str, object], Sequence[Input]], "Fold"]
"""From a lineage and a task's inputs to a fresh fold."""

SLICE = 500
"""Records that are worked on together: what a slice makes stays in the processor's cache, which whole batches of 5,000
leave (a twelfth of the cost an event, ``benchmarks``)."""


@dataclass(slots=True)
class Fold:
    """One task's program and memory."""

    state: PipelineState
    plan: Plan
    event_decoder: EventDecoder
    label_decoder: LabelDecoder | None
    specifications: dict[str, object]
    """Of each part of the state, the settings that it was built from: a part whose settings are the same may be kept."""

    def events(self, records: Records) -> Events:
        """Decode, a slice at a time."""
        if len(records) <= SLICE:
            return self.event_decoder.decode(records)
        events = Events()
        for start in range(0, len(records), SLICE):
            events.extend(self.event_decoder.decode(records.slice(start, start + SLICE)))
        return events

    def labels(self, records: Records) -> Labels:
        assert self.label_decoder is not None
        return self.label_decoder.decode(records)

    def step(self, batch: Batch | RawBatch, witness: Witness | None = None) -> Outputs:
        """Fold a batch at one go. Raises as ``stages``."""
        return _done(self.stages(batch, witness))

    def stages(self, batch: Batch | RawBatch, witness: Witness | None = None) -> Generator[StageName, None, Outputs]:
        """Fold a batch, a slice at a time: where it is cut changes nothing but the time that it takes.

        Halts after each stage of each slice, and says which it was.

        Raises
        ------
        LearnFailure
            Then this fold is to be dropped, and the whole batch folded again by a recovered one.
        """
        said: Outputs = {}
        for part in batch.cut(SLICE):
            if isinstance(part, Records):
                # Decoded and folded while it is in the cache: 0.8 µs an event less than decoding the whole batch before.
                part = Batch(self.event_decoder.decode(part), (), (0, len(part)), batch.skips)  # noqa: PLW2901
                yield "decode"
            _add(said, (yield from step(self.state, part, self.plan, witness)))
        return said

    def flush(self, witness: Witness | None = None, skips: tuple[Skip, ...] = ()) -> Outputs:
        """At the end of a finite stream: reveal each label that still waits in its event, as River does.

        They come in the order in which they would fall due, each at that time, and are learned, watched and measured as if
        stream time went on. What follows from them stands at offset -1 of the events. Silence that has not lasted long
        enough is no label, so nothing is assumed. For a replay that goes no further: a state that is saved keeps what
        waits, or who starts with it would learn that twice.

        Raises
        ------
        LearnFailure
            Then this fold is to be dropped, and a recovered one to be flushed with the failure's skip as well.
        """
        said: Outputs = {}
        while not said or self.state.join.left:
            ending = Batch.ending(SLICE, self.state.clock.stream_time_ms, skips)
            _add(said, _done(step(self.state, ending, self.plan, witness)))
        return said

    def parts(self) -> Iterator[tuple[str, Part]]:
        return self.state.parts()

    def take_over(self, former: "Fold") -> list[str]:
        """Keep of a former configuration's state every part whose settings are unchanged. Returns the parts begun anew.

        What waits keeps the scores of learners that stay, by name. A learner that stays remains frozen when it was; one
        that begins anew learns. With fewer classes than are known already, everything begins anew but the clock.
        """
        had = dict(former.parts())
        anew = []
        join, classes = self.state.join, former.state.join.classes
        fits = len(classes) <= max(join.rules.classes_max, len(join.classes))
        for name, part in self.parts():
            own = self.specifications[name]
            if name in had and former.specifications.get(name) == own and (fits or own is None):
                part.load(dict(had[name].dump(-1)))
            else:
                anew.append(name)
        roles, had_roles = self.state.roles, former.state.roles
        kept = {name for name in self.state.learners if f"learner/{name}" not in anew}
        if "join" not in anew:
            join.suit(_columns(former.state), _columns(self.state))
        elif kept:
            join.know(classes)  # the learners do
        roles.frozen = {name: why for name, why in had_roles.frozen.items() if name in kept}
        roles.learn_errors = {name: count for name, count in had_roles.learn_errors.items() if name in kept}
        return anew


def _done(work: Generator[StageName, None, Outputs]) -> Outputs:
    """What a step that is done at one go says."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            outputs: Outputs = done.value
            return outputs


def _add(said: Outputs, outputs: Outputs) -> None:
    for name, out in outputs.items():
        if name in said:
            said[name].extend(out)
        else:
            said[name] = out


def _columns(state: PipelineState) -> Columns:
    return Columns(
        {name: len(learner.outputs) for name, learner in state.learners.items()}
        | {f"threshold/{name}": 1 for name in state.budgets},
        {name: 1 for stage in state.features for name in stage.names},
    )
