"""What a task tells of itself: plain numbers that other threads may read. Nothing depends on them."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

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
    stages: dict[str, Stage] = field(
        default_factory=lambda: {name: Stage() for name in ("poll", "decode", "step", "commit", "stall")}
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

    def say(self, message: str) -> None:
        self.messages.append(message)
        self.said += 1
        del self.messages[:-20]
