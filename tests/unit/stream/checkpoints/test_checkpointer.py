"""Snapshots into a store and back: in line and forked alike, only what changed, all or nothing."""

import pytest

from stream.checkpoints.base import PIECE_BYTES_MAX
from stream.checkpoints.snapshot import ChunkFrame
from stream.errors import CheckpointError, StoreUnavailable
from tests.unit.stream.checkpoints.saving import TASK, Table, blank, load, save, state, store_it, values


def frames(snapshot):
    try:
        return [(frame, list(pieces)) for frame, pieces in snapshot.frames()]
    finally:
        snapshot.discard()


@pytest.mark.parametrize("fork", [False, True])
def test_what_was_saved_comes_back(make, fork):
    """Every value of every part, through pickles and bytes, also of a part that is empty."""
    parts, again = state(), blank()
    assert save(make(fork=fork), parts, 10).forked is fork
    assert load(make(), again) == 10
    assert values(again) == values(parts)


def test_the_head_says_what_was_told(make):
    """Entry, offset, token, positions, records, times, lineage."""
    save(make(), state(), 10, token=3)
    head = next(make().restore()).head
    assert (head.task, head.entry_number, head.journal_offset, head.token) == (TASK, 10, 17, 3)
    assert (head.positions, head.records, head.stream_time_ms, head.saved_ms) == ((10, 2), 10, 5, 6)
    assert head.lineage == {"code": "1"}


def test_forked_and_inline_are_the_same_bytes(make):
    """Where a snapshot is serialised changes nothing in it."""
    parts = state()
    inline, forked = (frames(make(fork=fork).take(parts.items(), 10)) for fork in (False, True))
    assert inline == forked
    assert len(inline) == 7


def test_pieces_are_of_a_mib_at_most(make):
    """The last is the rest."""
    sizes = {
        frame.name: list(map(len, pieces))
        for frame, pieces in frames(make().take(state().items(), 1))
        if isinstance(frame, ChunkFrame)
    }
    assert sizes["first"] == [PIECE_BYTES_MAX, PIECE_BYTES_MAX, 5]
    assert sizes["second"] == []


@pytest.mark.parametrize("fork", [False, True])
def test_later_changes_do_not_show(make, fork):
    """A snapshot is the state of its moment."""
    parts, again = state(), blank()
    checkpointer = make(fork=fork)
    snapshot = checkpointer.take(parts.items(), 10)
    parts["model"].set("bias", 99.0, 11)
    parts["model"].values["weights"]["a"] = 99.0
    store_it(checkpointer, snapshot)
    load(make(), again)
    assert again["model"].values == {"weights": {"a": 1.5}, "bias": 0.25}


@pytest.mark.parametrize("fork", [False, True])
def test_only_what_changed_is_written(make, store, fork):
    """Chunks that did not change since the last stored checkpoint are neither dumped nor put."""
    parts, checkpointer, again = state(), make(fork=fork), blank()
    save(checkpointer, parts, 10)
    parts["model"].set("bias", 7.5, 15)
    saved = save(checkpointer, parts, 20)
    assert (saved.pieces_written, saved.pieces_total) == (1, 4)  # two pieces are alike
    assert saved.bytes_written < 100 < saved.bytes_total
    load(make(), again)
    assert values(again) == values(parts)


def test_a_chunk_that_died_is_gone(make):
    """``alive`` decides."""
    parts, checkpointer, again = state(), make(), blank()
    save(checkpointer, parts, 10)
    del parts["rows"].values["first"]
    save(checkpointer, parts, 20)
    load(make(), again)
    assert list(again["rows"].values) == ["second"]


@pytest.mark.parametrize("fault", ["puts_fail", "advances_fail"])
def test_after_a_failed_save_nothing_is_missed(make, store, fault):
    """The next save holds what changed since the last one that was stored, not since the one that failed."""
    parts, checkpointer, again = state(), make(), blank()
    save(checkpointer, parts, 10)
    parts["model"].set("bias", 7.5, 15)
    setattr(store, fault, True)
    with pytest.raises(StoreUnavailable):
        save(checkpointer, parts, 20)
    setattr(store, fault, False)
    parts["model"].set("weights", {"a": 2.0}, 25)
    save(checkpointer, parts, 30)
    assert load(make(), again) == 30
    assert values(again) == values(parts)


def test_a_restored_checkpoint_is_gone_on_from(make):
    """After ``adopt`` the next save is incremental."""
    parts = state()
    save(make(), parts, 10)
    checkpointer, again = make(), blank()
    load(checkpointer, again)
    again["model"].stamps = dict.fromkeys(again["model"].values, 0)
    again["rows"].stamps = dict.fromkeys(again["rows"].values, 0)
    assert checkpointer.saved_records == 10
    assert save(checkpointer, again, 20).pieces_written == 0


def test_restoring_forgets_what_was_saved(make):
    """A recovery that ends with nothing restored starts over, and so does its next save."""
    checkpointer = make()
    save(checkpointer, state(), 10)
    for _ in checkpointer.restore():
        pass
    assert checkpointer.saved_records == -1


def test_a_newer_owner_refuses_us(make, store):
    """``advanced`` is False, and the newer one's checkpoint is as it was."""
    save(make(), state(), 10, token=5)
    saved = save(make(), {"model": Table(bias=1)}, 20, token=4)
    assert not saved.advanced
    assert next(make().restore()).head.token == 5


def test_a_wiped_store_gets_everything_again(make, store):
    """One save fails, saying so; the next is whole."""
    parts, checkpointer, again = state(), make(), blank()
    save(checkpointer, parts, 10)
    store._tasks.clear()
    parts["model"].set("bias", 7.5, 15)
    with pytest.raises(CheckpointError, match="lost 3 pieces"):
        save(checkpointer, parts, 20)
    save(checkpointer, parts, 30)
    load(make(), again)
    assert values(again) == values(parts)


def test_pieces_lost_between_put_and_advance(make, store, monkeypatch):
    """A former owner's last advance prunes what we put: told from being refused, and repaired by the next save."""
    checkpointer = make()
    advance = store.advance

    def prune_then_advance(task, head, *, digests, **rest):
        store.lose(digests[0])
        return advance(task, head, digests=digests, **rest)

    monkeypatch.setattr(store, "advance", prune_then_advance)
    with pytest.raises(CheckpointError, match="lost 1 pieces"):
        save(checkpointer, state(), 10)
    monkeypatch.undo()
    assert save(checkpointer, state(), 20).advanced


# --- bad parts -----------------------------------------------------------------------------------------------------------


class Liar(Table):
    """Says that a chunk is alive which it never gives."""

    def alive(self):
        return ["ghost"]


@pytest.mark.parametrize("fork", [False, True])
@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Table(f=lambda: 1), "part model, chunk f: .*cannot be serialised"),
        (Table("bytes", f="text"), "part model, chunk f: codec bytes, but it is a str"),
        (Table("json", f=1), "part model has codec 'json'"),
        (Table(**{"": 1}), "part model has a chunk without a name"),
        (Liar(), "part model says that chunk ghost is alive, but never gave it"),
    ],
    ids=["lambda", "not bytes", "codec", "no name", "liar"],
)
def test_a_part_that_cannot_be_saved_is_named(make, store, fork, part, message):
    """In line or from the child, and nothing becomes a checkpoint."""
    with pytest.raises(CheckpointError, match=message):
        save(make(fork=fork), {"model": part}, 10)
    assert list(store.heads(TASK)) == []


def test_two_parts_of_one_name(make):
    """They would overwrite each other."""
    with pytest.raises(CheckpointError, match="two parts of fraud/0 are called model"):
        store_it(make(), make().take([("model", Table()), ("model", Table())], 1))


# --- in line or not ------------------------------------------------------------------------------------------------------


class Ticks:
    """A clock that goes on by a step at each reading."""

    def __init__(self):
        self.now = 0.0
        self.step = 0.0

    def __call__(self):
        self.now += self.step
        return self.now


def test_in_line_when_it_was_cheap_forked_when_it_was_not(make):
    """Decided by the processor time of the last serialising; at first nobody knows, so forked."""
    ticks = Ticks()
    checkpointer = make(fork=None, processor_time=ticks, inline_ms=20)
    part, ways = Table(a=0), []
    for records, step in enumerate([0.0, 0.0, 0.001, 0.1, 0.1, 0.0, 0.0], start=1):
        ticks.step = step
        part.set("a", records, records)
        ways.append(save(checkpointer, {"model": part}, records).forked)
    # Changes are as cheap as the whole was, or cheaper; a dear one in line makes the next one fork.
    assert ways == [True, False, False, False, True, True, False]


def test_first_changes_fork_when_the_whole_was_dear(make):
    """Nobody knows yet that they are cheap."""
    ticks = Ticks()
    ticks.step = 0.1
    checkpointer = make(fork=None, processor_time=ticks)
    assert [save(checkpointer, {"model": Table(a=records)}, records).forked for records in (1, 2)] == [True, True]


def test_the_clock_on_the_wall_does_not_make_it_fork(make):
    """A machine that is busy with others makes no work of ours dear."""
    ticks = Ticks()
    ticks.step = 9.0
    checkpointer = make(fork=None, monotonic=ticks, processor_time=lambda: 0.0)
    assert [save(checkpointer, {"model": Table(a=records)}, records).forked for records in (1, 2)] == [True, False]


def test_without_fork_all_is_in_line(make):
    """``fork=False`` is obeyed whatever it costs."""
    ticks = Ticks()
    ticks.step = 9.0
    checkpointer = make(fork=False, processor_time=ticks)
    assert [save(checkpointer, state(), records).forked for records in (1, 2, 3)] == [False] * 3


def test_records_must_be_the_snapshots(make):
    """A head that says another count than its state holds would be folded from a wrong place."""
    checkpointer = make()
    with pytest.raises(ValueError, match="after 10 records is not one after 11"):
        checkpointer.save(
            checkpointer.take(state().items(), 10), entry_number=1, journal_offset=1, token=1, positions=(1,),
            records=11, stream_time_ms=0, saved_ms=0, lineage={},
        )  # fmt: skip
