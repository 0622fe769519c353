"""Whether what was said is what follows from the records: the journal folded again, each output compared byte by byte.

One task at a time, in bounded memory, also while a worker writes: what was committed when it began is compared, and what is
on its way is waited for. Where the fold comes from is travel.py's, how outputs are read transport/outputs.py's.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from stream.records import OUTPUTS, Entry, OutputName, OutputRecords
from stream.replay.digest import Digests
from stream.replay.travel import Fits, Travel, anywhere
from stream.transport.outputs import OutputReader, Said, Stretch

TAKE = 5000
PATIENCE_S = 5.0
"""A transaction's markers reach the topics one after the other: so long is waited for what should be there."""
_AGAIN_S = 0.2

Tell = Callable[[int, float], None]

Kind = Literal["value", "key", "headers", "seq", "missing", "surplus", "duplicate"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first one that was found."""

    kind: Kind
    output: OutputName
    where: str
    """Topic and partition, or file."""
    seq: int | None
    entry: int
    """Number of the journal entry that says it; of a surplus record the last one."""
    expected: Said | None
    """As the fold says it; None for a surplus record."""
    found: Said | None
    """As it stands there; None for a missing one."""
    offset: int | None
    """Of what was found."""
    event: Mapping[str, Any]
    """Its event, as far as the record tells: id, topic, partition, offset."""


@dataclass(slots=True)
class Compared:
    """Of one output."""

    where: str
    first_seq: int
    """Of the range that was folded."""
    next_seq: int
    compared: int = 0
    gone: int = 0
    """Records at the beginning of the range that retention had deleted."""
    repeats: int = 0
    """Records that stand there again (``at_least_once``)."""


@dataclass(slots=True)
class Audited:
    """One task's audit."""

    task: int
    first_entry: int
    next_entry: int
    begun: str
    """Where the fold began."""
    records: int = 0
    """In the entries that were compared."""
    folded: int = 0
    """The same, and those before that had to be folded to get there."""
    outputs: dict[OutputName, Compared] = field(default_factory=dict)
    digests: dict[str, dict[str, object]] = field(default_factory=dict)
    difference: Difference | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """Which entries are compared."""

    first: int | None = None
    last: int | None = None


class _Differs(Exception):
    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.kind)
        self.difference = difference


class Comparison:
    """One output against what the fold says, in the order of ``seq``.

    Parameters
    ----------
    first_seq : int
        Where the range that is compared begins: records before it are passed over.
    repeats : bool
        Whether a record may stand there again (``at_least_once``).
    """

    def __init__(
        self, name: OutputName, reader: OutputReader, first_seq: int, *, repeats: bool, patience_s: float
    ) -> None:
        self.told = Compared(reader.where, first_seq, first_seq)
        self._name = name
        self._reader = reader
        self._repeats = repeats
        self._patience_s = patience_s
        self._ahead, self._at = Stretch(), 0
        self._from: int | None = None
        reader.seek(first_seq)

    def expect(self, out: OutputRecords, entry: int) -> None:
        """The entry says this, and nothing else stands between it and what was said before. Raises _Differs."""
        wanted, at = self._reader.form(out), self._gone(out)
        self.told.next_seq = out.first_seq + len(out)
        while at < len(wanted):
            if not self._more(self._patience_s):
                self._differs("missing", wanted.at(at), None, entry)
            count = min(len(wanted) - at, len(self._ahead) - self._at)
            agree = _agreeing(wanted.cut(at, at + count), self._ahead.cut(self._at, self._at + count))
            if not agree:
                self._judge(wanted.at(at), entry)
            self._at += agree
            at += agree
            self.told.compared += agree

    def ended(self, entry: int) -> bool:
        """No entry says more. Whether there is more all the same, that stood there when the audit began. Raises _Differs."""
        self._gone(OutputRecords(self.told.next_seq))
        while self._more(0.0) and self._ahead.offsets[self._at] < self._reader.end:
            seq = self._ahead.seqs[self._at]
            if seq is None or seq >= self.told.next_seq:
                return True
            self._again(entry)
        return False

    def surplus(self, entry: int) -> None:
        """What ``ended`` saw is in no entry. Raises _Differs."""
        self._differs("surplus", None, self._ahead.at(self._at), entry)

    def _more(self, wait_s: float) -> bool:
        if self._at == len(self._ahead):
            self._ahead, self._at = self._reader.take(TAKE, wait_s), 0
        return self._at < len(self._ahead)

    def _gone(self, out: OutputRecords) -> int:
        """How many of these records were deleted, because they are the oldest; the first time pass over older ones, too."""
        if self._from is None:
            while self._more(0.0):
                seqs = self._ahead.seqs[self._at :]
                older = next((i for i, one in enumerate(seqs) if one is None or one >= self.told.first_seq), len(seqs))
                self._at += older
                if older < len(seqs):
                    break
            if self._at < len(self._ahead):
                first = self._ahead.seqs[self._at]
                self._from = first if first is not None and self._reader.trimmed else self.told.first_seq
            elif not self._reader.trimmed:
                self._from = self.told.first_seq
        bound = out.first_seq + len(out) if self._from is None else self._from
        gone = min(max(bound - out.first_seq, 0), len(out))
        self.told.gone += gone
        return gone

    def _judge(self, wanted: Said, entry: int) -> None:
        """The next record is not the one wanted. Raises _Differs, unless it was said before and may be said again."""
        found = self._ahead.at(self._at)
        if found.seq is None:
            self._differs("seq", wanted, found, entry)
        if found.seq == wanted.seq:
            kind: Kind = "value" if wanted.value != found.value else "key" if wanted.key != found.key else "headers"
            self._differs(kind, wanted, found, entry)
        if found.seq is not None and wanted.seq is not None and found.seq > wanted.seq:
            self._differs("missing", wanted, None, entry)
        self._again(entry)

    def _again(self, entry: int) -> None:
        if not self._repeats:
            self._differs("duplicate", None, self._ahead.at(self._at), entry)
        self.told.repeats += 1
        self._at += 1

    def _differs(self, kind: Kind, wanted: Said | None, found: Said | None, entry: int) -> None:
        of = wanted if wanted is not None else found
        assert of is not None
        offset = None if found is None else self._ahead.offsets[self._at]
        event = event_of(self._name, of)
        raise _Differs(Difference(kind, self._name, self._reader.where, of.seq, entry, wanted, found, offset, event))


def _agreeing(wanted: Stretch, found: Stretch) -> int:
    """How many records are the same, from the first on. Lists are compared whole; where they differ, one by one."""
    columns = (
        (wanted.seqs, found.seqs), (wanted.values, found.values), (wanted.keys, found.keys),
        (wanted.headers, found.headers),
    )  # fmt: skip
    return min(
        len(one)
        if one == other
        else next(i for i, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
        for one, other in columns
    )


def event_of(name: OutputName, said: Said) -> dict[str, Any]:
    """Of which event a record tells: id, topic, partition, offset, as far as it does."""
    told: dict[str, Any] = {}
    try:
        if name == "predictions":
            value = orjson.loads(said.value)
            told = {"id": value["id"], **value["event"]}
        elif name == "alarms":
            told = {"id": orjson.loads(said.value)["event"]}
        else:
            headers = {one: text.decode(errors="replace") for one, text in said.headers.items()}
            value = headers or orjson.loads(said.value)
            told = {"topic": value["topic"], "partition": int(value["partition"]), "offset": int(value["offset"])}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        pass  # what was changed need not be readable
    return told


class Audit:
    """One task's audit.

    Parameters
    ----------
    travel : Travel
        Not begun.
    readers : mapping of str to OutputReader
        Of each output, opened before.
    tell : callable
        Called after each entry with the records folded so far and, of those, the share of all that will be, from 0 to 1.
    """

    def __init__(
        self, task: int, travel: Travel, readers: Mapping[OutputName, OutputReader], *,
        tell: Tell | None = None, patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        self._task = task
        self._travel = travel
        self._readers = readers
        self._tell = tell
        self._patience_s = patience_s
        self._comparisons: dict[OutputName, Comparison] = {}
        self._digests = Digests()

    def run(self, span: Range = Range(), *, newest: bool = False) -> Audited:
        """Fold and compare up to the first difference.

        Parameters
        ----------
        newest : bool
            Begin with the newest checkpoint, in place of the journal's start.

        Raises
        ------
        RecordsGone
            Journal or inputs do not reach back.
        JournalBroken
            The journal is damaged, or says of itself that it was made by another fold.
        """
        begun_s, travel = time.monotonic(), self._travel
        fits: Fits | None = anywhere if newest else None
        if span.first is not None:
            fits = lambda head: head.entry_number < span.first  # type: ignore[operator] # noqa: E731
        travel.begin(fits)
        first = travel.place.number if span.first is None else max(span.first, travel.place.number)
        told = Audited(self._task, first, first, travel.begun)
        try:
            self._go_through(told, span.last)
        except _Differs as found:
            told.difference = found.difference
        told.outputs = {name: one.told for name, one in self._comparisons.items()}
        told.digests = self._digests.told()
        told.seconds = time.monotonic() - begun_s
        return told

    def _go_through(self, told: Audited, last: int | None) -> None:
        waited_until: float | None = None
        start, end = sum(self._travel.place.positions), sum(self._travel.end().positions)
        while True:
            before = told.folded
            for offset, entry in self._travel.entries(last):
                self._entry(told, offset, entry)
                if self._tell is not None:
                    self._tell(told.folded, min((sum(entry.positions) - start) / max(end - start, 1), 1.0))
            if last is not None:
                return
            self._compare_with(dict(self._travel.fold.state.clock.next_seq))
            over = [one for one in self._comparisons.values() if one.ended(told.next_entry - 1)]
            if not over:
                return
            if waited_until is None or told.folded > before:
                waited_until = time.monotonic() + self._patience_s
            elif time.monotonic() > waited_until:
                over[0].surplus(told.next_entry - 1)
            time.sleep(_AGAIN_S)

    def _entry(self, told: Audited, offset: int, entry: Entry) -> None:
        outputs = self._travel.fold_entry(offset, entry)
        records = sum(span.count for span in entry.spans)
        told.folded += records
        if entry.number < told.first_entry:
            return
        told.records += records
        told.next_entry = entry.number + 1
        self._compare_with({name: out.first_seq for name, out in outputs.items()})
        for name, out in outputs.items():
            self._comparisons[name].expect(out, entry.number)
        self._digests.add(outputs)

    def _compare_with(self, first_seq: Mapping[OutputName, int]) -> None:
        """From these on, unless it has begun before."""
        if not self._comparisons:
            for name in OUTPUTS:
                self._comparisons[name] = Comparison(
                    name, self._readers[name], first_seq[name], repeats=self._travel.log.repeats,
                    patience_s=self._patience_s,
                )  # fmt: skip
