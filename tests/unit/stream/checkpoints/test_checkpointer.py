"""Snapshots into a store and back: in line and forked alike, only what changed, all or nothing, the one before at need."""

import atexit
import os
import signal
import threading
from collections.abc import Iterator, Mapping

import msgspec
import pytest

from stream.checkpoints.base import PIECE_BYTES_MAX
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.heads import open_head, seal_head
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.signing import Signer
from stream.checkpoints.snapshot import ChunkFrame
from stream.errors import CheckpointError, StoreUnavailable, Unverified

KEY = bytes(range(32))
TASK = "fraud/0"


class Table:
    """A part: named values, each stamped with the record that changed it last."""

    def __init__(self, codec="pickle", **values):
        self.codec = codec
        self.values = dict(values)
        self.stamps = dict.fromkeys(values, 0)

    def set(self, name, value, record):
        self.values[name], self.stamps[name] = value, record

    def alive(self):
        return list(self.values)

    def dump(self, since) -> Iterator[tuple[str, object]]:
        for name, value in self.values.items():
            if self.stamps[name] > since:
                yield name, value

    def load(self, chunks: Mapping[str, object]):
        self.values = dict(chunks)


class Store(MemoryStore):
    """Memory, with faults to order and an account of what was put."""

    def __init__(self):
        super().__init__()
        self.put_names: list[set[str]] = []
        self.puts_fail = False
        self.advances_fail = False

    def put(self, task, pieces):
        if self.puts_fail:
            raise StoreUnavailable("down")
        self.put_names.append(set(pieces))
        super().put(task, pieces)

    def advance(self, task, head, **rest):
        if self.advances_fail:
            raise StoreUnavailable("down")
        return super().advance(task, head, **rest)

    def damage(self, digest):
        self._tasks[TASK].pieces[digest] = b"torn"

    def lose(self, digest):
        del self._tasks[TASK].pieces[digest]

    def replace_head(self, position, blob):
        self._tasks[TASK].heads[position].head = blob


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def said():
    return []


@pytest.fixture
def make(store, said):
    def make(*, key=KEY, task=TASK, fork=False, **rest):
        return Checkpointer(store, Signer(key), task, keep=5, fork=fork, on_unverified=said.append, **rest)

    return make


def save(checkpointer, parts, records, *, entry=None, token=1):
    """Take and save, with the entry's number equal to the records."""
    return store_it(checkpointer, checkpointer.take(parts.items(), records), entry=entry, token=token)


def store_it(checkpointer, snapshot, *, entry=None, token=1):
    records = snapshot.records
    return checkpointer.save(
        snapshot, entry_number=records if entry is None else entry, journal_offset=records + 7, token=token,
        positions=(records, 2), records=records, stream_time_ms=5, saved_ms=6, lineage={"code": "1"},
    )  # fmt: skip


def load(checkpointer, parts):
    """As a recovery does it: the newest that can be used. Its entry's number, or None."""
    for restored in checkpointer.restore():
        try:
            restored.load(parts.items())
        except Unverified:
            continue
        checkpointer.adopt(restored)
        return restored.head.entry_number
    return None


def state():
    return {
        "model": Table(weights={"a": 1.5}, bias=0.25),
        "rows": Table("bytes", first=b"x" * (2 * PIECE_BYTES_MAX + 5), second=b""),
        "empty": Table(),
    }


def blank():
    return {"model": Table(), "rows": Table("bytes"), "empty": Table(left="over")}


def values(parts):
    return {name: part.values for name, part in parts.items()}


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


# --- what does not verify ------------------------------------------------------------------------------------------------


@pytest.fixture
def two(make):
    """Two checkpoints: entry 10 with bias 0.25, entry 20 with bias 7.5."""
    parts, checkpointer = state(), make()
    save(checkpointer, parts, 10)
    parts["model"].set("bias", 7.5, 15)
    save(checkpointer, parts, 20)


def only_in_newest(make):
    newest, before = ({d for c in r.head.chunks for d in c.pieces} for r in make().restore())
    (digest,) = newest - before
    return digest


@pytest.mark.parametrize("fault", ["damage", "lose"])
def test_a_bad_piece(make, store, said, two, fault):
    """The one before is used, and both are named."""
    getattr(store, fault)(only_in_newest(make))
    again = blank()
    assert load(make(), again) == 10
    assert again["model"].values["bias"] == 0.25
    (message,) = said
    assert message.startswith(f"checkpoint entry 20 of fraud/0 failed verification (key {Signer(KEY).key_id}…): piece")
    assert message.endswith("; using 10")


def test_no_part_is_touched_by_a_bad_checkpoint(make, store, two):
    """All pieces are verified before any part is loaded, whichever piece is bad."""
    for restored in make().restore():
        for digest in {digest for chunk in restored.head.chunks for digest in chunk.pieces}:
            good = store.get(TASK, digest)
            store.damage(digest)
            again = blank()
            with pytest.raises(Unverified):
                restored.load(again.items())
            assert values(again) == values(blank())
            store.put(TASK, {digest: good})


def test_a_damaged_piece_is_put_again(make, store, two):
    """It is there, so ``missing`` does not name it: who found it torn repairs it."""
    digest = only_in_newest(make)
    store.damage(digest)
    checkpointer, parts = make(), blank()
    load(checkpointer, parts)
    for part in parts.values():
        part.stamps = dict.fromkeys(part.values, 0)
    parts["model"].set("bias", 7.5, 25)  # the same value, the same piece
    save(checkpointer, parts, 30)
    assert store.get(TASK, digest) != b"torn"
    assert load(make(), blank()) == 30


def test_a_tampered_head(make, store, said, two):
    """It is not even parsed."""
    blob = next(iter(store.heads(TASK)))
    store.replace_head(20, blob.replace(b'"token":1', b'"token":9'))
    assert load(make(), blank()) == 10
    assert "a checkpoint of fraud/0 failed verification" in said[0]
    assert said[0].endswith("; using 10")


def test_another_key(make, said, two):
    """Nothing is used, and the message names the key that signed."""
    assert load(make(key=bytes(32)), blank()) is None
    assert len(said) == 2
    assert f"signed with key {Signer(KEY).key_id}…" in said[0]
    assert said[0].endswith("; no other checkpoint is left")


def test_another_task(make, store, said, two):
    """A head of one task, well signed, in the place of another's."""
    other = make(task="fraud/1")
    save(other, state(), 20)
    store.replace_head(20, next(iter(store.heads("fraud/1"))))
    assert load(make(), blank()) == 10
    assert "it is a checkpoint of 'fraud/1'" in said[0]


@pytest.mark.parametrize(
    "change",
    [
        {"size": 3},
        {"size": -1},
        {"size": 1 << 40},
        {"pieces": ("../../etc/passwd",)},
        {"codec": "eval"},
        {"pieces": ()},
    ],
    ids=str,
)
def test_a_head_that_does_not_add_up(make, store, said, two, change):
    """Signed or not, sizes and digests bound what is read."""
    signer = Signer(KEY)
    head = open_head(next(iter(store.heads(TASK))), signer, TASK)
    chunk = msgspec.structs.replace(head.chunks[0], **change)
    head = msgspec.structs.replace(head, chunks=(chunk, *head.chunks[1:]))
    store.replace_head(20, seal_head(head, signer))
    assert load(make(), blank()) == 10
    assert len(said) == 1


def test_a_pickle_that_is_not_admitted(make, said):
    """Well signed, yet it names what no estimator needs: the one before is used."""
    save(make(), state(), 10)
    save(make(), {**state(), "model": Table(weights=os.system, bias=0)}, 20)
    assert load(make(), blank()) == 10
    assert "posix.system" in said[0]


def test_users_modules_are_admitted(make):
    """``admitted`` reaches the unpickler."""
    save(make(), {"model": Table(weights=threading.active_count)}, 10)
    again = {"model": Table()}
    assert load(make(admitted=["threading"]), again) == 10


def test_nothing_is_said_when_all_is_well(make, said, two):
    """The callback is for trouble."""
    load(make(), blank())
    assert said == []


def test_an_empty_store_restores_nothing(make, said):
    """No checkpoint, no message."""
    assert list(make().restore()) == []
    assert said == []


def test_parts_that_do_not_fit_are_an_error(make, two):
    """Not Unverified: an older checkpoint would not fit either. Both directions name the part."""
    restored = next(make().restore())
    with pytest.raises(CheckpointError, match="no state of part another") as caught:
        restored.load({**blank(), "another": Table()}.items())
    assert not isinstance(caught.value, Unverified)
    with pytest.raises(CheckpointError, match="state of empty, rows, which nothing takes up"):
        restored.load({"model": Table()}.items())


def test_only_some_parts(make, two):
    """With ``only``, the named parts are loaded, and the others left as they are."""
    restored, again = next(make().restore()), blank()
    restored.load(again.items(), only={"model"})
    assert again["model"].values["bias"] == 7.5
    assert again["empty"].values == {"left": "over"}


def test_a_part_that_refuses_its_state_is_named(make, two):
    """The error says which part, of which checkpoint."""

    class Picky(Table):
        def load(self, chunks):
            raise KeyError("weights2")

    with pytest.raises(
        CheckpointError, match="part model cannot take up its state from checkpoint entry 20 of fraud/0"
    ):
        next(make().restore()).load({**blank(), "model": Picky()}.items())


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


# --- the child -----------------------------------------------------------------------------------------------------------


class Trap(Table):
    """Does something on its way to being dumped."""

    def __init__(self, act, **values):
        super().__init__(**values)
        self.act = act

    def dump(self, since):
        yield from super().dump(since)
        self.act()


@pytest.fixture
def no_child(monkeypatch):
    """Call it to see that every child of the test is gone and reaped; others' children are not touched."""
    pids, fork = [], os.fork

    def recorded():
        pid = fork()
        pids.append(pid)
        return pid

    def check():
        assert pids
        for pid in pids:
            with pytest.raises(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    monkeypatch.setattr(os, "fork", recorded)
    return check


def test_a_child_that_dies(make, store, no_child):
    """CheckpointError, nothing stored, nothing left behind; the next save is complete."""
    checkpointer = make(fork=True)
    with pytest.raises(CheckpointError, match="died"):
        save(checkpointer, {"model": Trap(lambda: os.kill(os.getpid(), signal.SIGKILL), a=1)}, 10)
    assert list(store.heads(TASK)) == []
    no_child()
    assert save(checkpointer, state(), 20).advanced


def test_a_child_that_hangs(make, no_child):
    """It is killed when its time is over, and reaped."""
    with pytest.raises(CheckpointError, match="too long"):
        save(make(fork=True, child_timeout_s=0.05), {"model": Trap(signal.pause, a=1)}, 10)
    no_child()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RuntimeError("odd")], ids=repr)
def test_a_child_never_returns_into_the_parents_code(make, error, no_child):
    """Whatever a part raises there, it is told to the parent, by name."""

    def act():
        raise error

    with pytest.raises(CheckpointError, match=type(error).__name__):
        save(make(fork=True), {"model": Trap(act, a=1)}, 10)
    no_child()


def test_a_child_runs_no_exit_handler(make, tmp_path):
    """Those are the parent's."""
    handler = (tmp_path / "ran").touch
    atexit.register(handler)
    try:
        save(make(fork=True), state(), 10)
    finally:
        atexit.unregister(handler)
    assert not (tmp_path / "ran").exists()


def test_a_child_does_not_run_the_parents_signal_handlers(make):
    """TERM ends it silently, where the parent's handler would have stopped the parent's loop in its copy."""
    before = signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"handled"))
    try:
        with pytest.raises(CheckpointError, match="died"):
            save(make(fork=True), {"model": Trap(lambda: os.kill(os.getpid(), signal.SIGTERM), a=1)}, 10)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_terminals_interrupt_is_not_for_the_child(make):
    """^C goes to the whole process group; the parent's last checkpoint is saved all the same."""
    assert save(make(fork=True), {"model": Trap(lambda: os.kill(os.getpid(), signal.SIGINT), a=1)}, 10).advanced


def test_a_discarded_snapshot_leaves_nothing(make, no_child):
    """A batch that was not committed: its snapshot goes, with its child; twice is no harm."""
    snapshot = make(fork=True).take(state().items(), 10)
    snapshot.discard()
    snapshot.discard()
    no_child()


def test_a_failing_store_ends_the_child(make, store, no_child):
    """The error is the store's, and the child is reaped."""
    store.puts_fail = True
    with pytest.raises(StoreUnavailable):
        save(make(fork=True), state(), 10)
    no_child()


def test_fork_beside_busy_threads(make):
    """Other threads hold locks and allocate; the child does not care."""
    done, lock = threading.Event(), threading.Lock()

    def busy():
        while not done.is_set():
            with lock:
                sorted(str(number) for number in range(500))

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        checkpointer = make(fork=True, inline_ms=0)
        for records in range(1, 15):
            assert save(checkpointer, {"model": Table(a=records)}, records).forked
    finally:
        done.set()
        for thread in threads:
            thread.join()


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
