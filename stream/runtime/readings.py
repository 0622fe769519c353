"""What a task tells of itself: plain numbers that other threads may read. Nothing depends on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from learners.blend import weights_of
from stream.pipeline.clock import NEVER
from stream.pipeline.state import PipelineState
from stream.records import Outputs

ORPHANS_MANY = 100

TaskPhase: TypeAlias = Literal["opening", "recovering", "running", "waiting", "stopped"]


@dataclass(slots=True)
class Stage:
    """Seconds spent in one stage of the work, and how often."""

    seconds: float = 0.0
    count: int = 0

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        self.count += 1


@dataclass(slots=True)
class TaskReadings:
    """One task. Written by the task's loop only; a reader sees each number whole."""

    task: int
    phase: TaskPhase = "opening"
    token: int = -1
    entry_number: int = -1
    records: int = 0
    stream_time_ms: int | None = None
    waiting: int = 0
    parked: int = 0
    lag: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    alarms: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """learner -> "all" | "recent" -> metric -> value."""
    coverage: dict[str, float] = field(default_factory=dict)
    frozen: dict[str, str] = field(default_factory=dict)
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    """blend -> member -> weight."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """learner -> what its scores are held against, where that follows the scores."""
    stages: dict[str, Stage] = field(
        default_factory=lambda: {name: Stage() for name in ("poll", "decode", "step", "encode", "commit", "stall")}
    )
    recovered_records: int = 0
    recoveries: int = 0
    fenced: int = 0
    in_doubt: int = 0
    in_doubt_committed: int = 0
    checkpoints: int = 0
    checkpoint_failures: int = 0
    checkpoint_bytes: int = 0
    checkpoint_entry: int = -1
    checkpoint_at: float | None = None
    """Monotonic seconds of the last good save, or of the recovery."""
    messages: list[str] = field(default_factory=list)
    """The last things worth a person's attention."""
    said: int = 0
    """How many there were in all."""

    hinted: bool = False
    unknown_fields: dict[str, int] = field(default_factory=dict)
    """Fields that nothing reads -> in how many of the events that were looked at."""

    def batch(self, state: PipelineState, outputs: Outputs) -> None:
        """After each batch: what is cheap."""
        for name, out in outputs.items():
            self.outputs[name] = self.outputs.get(name, 0) + len(out)
        _tally(self.alarms, (key.decode() for key in outputs["alarms"].keys))
        _tally(self.rejects, (header["reason"].decode() for header in outputs["rejects"].headers or ()))
        self._hint_at_refusals(outputs)
        self.standing(state)

    def standing(self, state: PipelineState) -> None:
        """How far the state is: after each batch, and after a recovery, for the next batch may be long in coming."""
        self.records = state.clock.records
        self.stream_time_ms = state.clock.stream_time_ms if state.clock.stream_time_ms > NEVER else None
        self.waiting, self.parked = state.join.waiting, state.join.parked

    def tell(
        self, state: PipelineState, lag: Mapping[str, int], unknown_fields: Mapping[str, int] | None = None
    ) -> None:
        """Once in a while: what costs more than a batch."""
        unknown = unknown_fields or {}
        new, self.unknown_fields = sorted(unknown.keys() - self.unknown_fields.keys()), dict(unknown)
        if new:
            self.say(
                f"events have fields that nothing here reads (one in a thousand is looked at): {', '.join(new[:20])}"
            )
        self.counts = dict(state.clock.counts)
        self.metrics = {name: {"all": m.all(), "recent": m.recent()} for name, m in state.metrics.items()}
        if state.finds is not None:
            told = {"all": state.finds.all(), "recent": state.finds.recent()}
            for span, figures in self.metrics[state.roles.champion].items():
                figures |= {f"top_{name}": value for name, value in told[span].items()}
        self.coverage = state.coverage.all()
        self.frozen = dict(state.roles.frozen)
        self.thresholds = {name: budget.threshold for name, budget in state.budgets.items()}
        self.weights = {name: weights for name, one in state.learners.items() if (weights := weights_of(one))}
        self.lag = dict(lag)
        self._hint_at_orphans()

    def _hint_at_refusals(self, outputs: Outputs) -> None:
        """A setting that is wrong refuses every event, and then no label finds one."""
        refused = [one for one in outputs["rejects"].headers or () if one["stage"] == b"decode"]
        if (
            not self.hinted
            and refused
            and not self.outputs.get("predictions")
            and sum(self.rejects.values()) >= ORPHANS_MANY
        ):
            self.hinted = True
            why = refused[-1]["error"].decode()
            self.say(
                f"nothing was scored so far, and {sum(self.rejects.values())} records were refused; the last: {why}"
            )

    def _hint_at_orphans(self) -> None:
        """Labels whose events are elsewhere look like labels without events; many of them have one cause."""
        orphans, labels = self.counts.get("labels_orphaned", 0), self.counts.get("labels", 0)
        if not self.hinted and orphans >= ORPHANS_MANY and orphans >= labels / 10:
            self.hinted = True
            self.say(
                f"{orphans} of {labels} labels met no event: are events and labels keyed alike, and by one partitioner "
                "(murmur2)? Else set `labels: {partitioning: broadcast}`"
            )

    def say(self, message: str) -> None:
        """Something that needs a person."""
        self.messages.append(message)
        self.said += 1
        del self.messages[:-20]


def _tally(counts: dict[str, int], names: Iterable[str]) -> None:
    for name in names:
        counts[name] = counts.get(name, 0) + 1
