"""The only clock that the step knows: stream time, with a guard against one wild value; and what has been counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from stream.records import OUTPUTS, OutputName

NEVER = -(2**62)
"""Stream time before the first event."""


class Clock:
    """Records folded, stream time, the next ``seq`` of each output, and counts of what was dropped or seen.

    Stream time is the largest event time seen, but a leap of more than ``jump_max_ms`` is believed only when the next
    event leaps as well (then up to the smaller of the two): one wild value must not make every waiting event expire.
    """

    codec = "pickle"

    def __init__(self, jump_max_ms: int) -> None:
        self.jump_max_ms = jump_max_ms
        self.records = 0
        self.stream_time_ms = NEVER
        self.next_seq: dict[OutputName, int] = dict.fromkeys(OUTPUTS, 0)
        self.counts: Counter[str] = Counter()
        self._leap_ms: int | None = None

    def see(self, time_ms: int) -> int:
        """Take notice of an event's time. Returns the stream time now."""
        now = self.stream_time_ms
        if now == NEVER or now < time_ms <= now + self.jump_max_ms:
            self.stream_time_ms = time_ms
            self._leap_ms = None
        elif time_ms <= now:
            self._leap_ms = None
        else:
            self.counts["time_leaps"] += 1
            if self._leap_ms is not None:
                self.stream_time_ms = min(self._leap_ms, time_ms)
            self._leap_ms = time_ms if time_ms > self.stream_time_ms + self.jump_max_ms else None
        return self.stream_time_ms

    def alive(self) -> Iterable[str]:
        return ("clock",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - small: always whole
        yield (
            "clock",
            {
                "records": self.records,
                "stream_time_ms": self.stream_time_ms,
                "next_seq": dict(self.next_seq),
                "counts": dict(self.counts),
                "leap_ms": self._leap_ms,
            },
        )

    def load(self, chunks: Mapping[str, object]) -> None:
        told = chunks["clock"]
        assert isinstance(told, dict)
        self.records = told["records"]
        self.stream_time_ms = told["stream_time_ms"]
        self.next_seq = dict(told["next_seq"])
        self.counts = Counter(told["counts"])
        self._leap_ms = told["leap_ms"]
