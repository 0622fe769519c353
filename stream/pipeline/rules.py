"""When a label meets its event: the plain settings of the join, which join.py follows."""

from dataclasses import dataclass

from learners.base import Value

FOREVER = 2**62


@dataclass(frozen=True, slots=True)
class JoinRules:
    """When a label meets its event. Durations in milliseconds of stream time."""

    wait_ms: int
    """How long an event waits (and its id is known as a duplicate)."""
    field_delay_ms: int | None = None
    """The label rides in the event and is known after this delay; 0: at once."""
    field_delay_events: int | None = None
    """The label rides in the event and is known just before the so-manieth accepted event after it."""
    field_delays: bool = False
    """The label rides in the event, which says how long after it the label is known."""
    assume: float | None = None
    """What silence counts as."""
    assume_after_ms: int = FOREVER
    correction_weight: float = 1.0
    """Of a label that differs from what silence was taken for."""
    exempt: tuple[str, Value] | None = None
    """Of an event whose field has this value, silence says nothing."""
    last_wins: bool = False
    """Of two conflicting labels."""
    park_ms: int = 86_400_000
    """How long a label waits for its event."""
    park_max: int = 10_000
    waiting_max: int = 1_000_000
    broadcast: bool = False
    """Every task sees all labels: one that meets no event is counted, not refused."""
    open_classes: bool = False
    classes_max: int = 32
    truths: bool = False
    """Labels are true or false (binary, anomaly); only how they are told."""

    @property
    def in_events(self) -> bool:
        """Whether labels ride in the events; else they have inputs of their own."""
        return self.field_delays or self.field_delay_ms is not None or self.field_delay_events is not None
