"""What does not verify, or does not fit, is not used: the checkpoint before it is."""

import os
import threading

import msgspec
import pytest

from stream.checkpoints.heads import open_head, seal_head
from stream.checkpoints.signing import Signer
from stream.errors import CheckpointError, Unverified
from tests.unit.stream.checkpoints.saving import KEY, TASK, Table, blank, load, save, state, values


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
