"""Stored checkpoints as whoever can write to the store would leave them, drawn from a seed. No tests: test_checkpoints.py.

There are four walls, and every tampered checkpoint says at which it must end: the *signature* (nothing has been parsed
then), the *head* (signed by us, but of another task or malformed), the *digest* of a piece, and the unpickler's list
(*pickle*: signed by us, naming what is not admitted), the second wall should the key be lost.
"""

import bz2
import gzip
import lzma
import pickle
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import msgspec

from stream.checkpoints.base import ChunkEntry, Digest, Head
from stream.checkpoints.heads import digest_of, open_head
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.signing import Signer
from tests.harness import KEY, Service, config, dumps

Wall: TypeAlias = Literal["signature", "head", "digest", "pickle"]
SIGNER = Signer(KEY)
OTHERS = Signer(b"o" * 32)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Stored:
    """What a store holds of one checkpoint."""

    blob: bytes
    pieces: Mapping[Digest, bytes]

    @property
    def head(self) -> Head:
        return open_head(self.blob, SIGNER, self.task)

    @property
    def body(self) -> bytes:
        return self.blob[44:]

    @property
    def task(self) -> str:
        return str(msgspec.json.decode(self.body)["task"])


@dataclass(frozen=True)
class Tampered:
    """One that must be refused, and where."""

    kind: str
    wall: Wall
    stored: Stored


def genuine(name: str = "test", records: int = 90) -> list[Stored]:
    """Checkpoints that a real service saved, newest first."""
    store = MemoryStore()
    draw = random.Random(name)
    service = Service(config(name=name), _broker(draw, records), store, checkpoint_records=30, batch_records=15)
    service.run()
    task = store._tasks[f"{name}/0"]
    return [Stored(one.head, dict(task.pieces)) for _, one in sorted(task.heads.items(), reverse=True)]


def _broker(draw: random.Random, records: int) -> Any:
    from stream.transport.memory import MemoryBroker  # noqa: PLC0415 - beside its use

    broker = MemoryBroker({"events": 1, "labels": 1})
    events = [{"id": f"e{n}", "card": "c", "time": 1000 * n, "a": draw.gauss(0, 1), "b": 1.0} for n in range(records)]
    broker.append("events", dumps(events))
    broker.append("labels", dumps({"id": one["id"], "y": draw.random() < 0.5, "time": one["time"]} for one in events))
    return broker


# --- the signature ----------------------------------------------------------------------------------------------


def _flipped(draw: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for at in draw.sample(range(len(changed)), min(draw.choice((1, 1, 2, 16)), len(changed))):
        changed[at] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _flip_head(draw: random.Random, one: Stored, other: Stored) -> bytes:
    return _flipped(draw, one.blob)


def _flip_front(draw: random.Random, one: Stored, other: Stored) -> bytes:
    """In the 44 bytes before the body."""
    return _flipped(draw, one.blob[:44]) + one.blob[44:]


def _cut(draw: random.Random, one: Stored, other: Stored) -> bytes:
    return one.blob[: draw.choice((draw.randrange(60), draw.randrange(len(one.blob))))]


def _extended(draw: random.Random, one: Stored, other: Stored) -> bytes:
    more = draw.choice((b" ", b"\x00", b"\n", draw.randbytes(20), one.blob))
    return draw.choice((one.blob + more, more + one.blob, one.blob[:44] + more + one.blob[44:]))


def _unsigned(draw: random.Random, one: Stored, other: Stored) -> bytes:
    mac = draw.choice((b"", bytes(32), b"\xff" * 32, draw.randbytes(32)))
    front = draw.choice(
        (b"", b"HRC1", b"HRC0", b"hrc1", b"HRC1" + SIGNER.key_id.encode(), b"HRC1" + bytes(8), b"HRC1none0000")
    )
    return front + mac + one.body


def _edited(draw: random.Random, one: Stored, other: Stored) -> bytes:
    """A body that says something else under the signature of what it said."""
    fields = msgspec.json.decode(one.body)
    change = draw.choice(("entry_number", "token", "records", "task", "chunks", "lineage", "journal_offset"))
    fields[change] = {"task": "other/1", "chunks": [], "lineage": {}}.get(change, draw.choice((0, 10**6, -1)))
    return one.blob[:44] + _encode(fields)


def _another_key(draw: random.Random, one: Stored, other: Stored) -> bytes:
    """The same bytes signed with another key: as it is, or claiming to be ours."""
    blob = draw.choice((OTHERS, Signer(draw.randbytes(32)))).sign(draw.choice((one.body, _bomb(draw))))
    return draw.choice((blob, b"HRC1" + SIGNER.key_id.encode() + blob[12:]))


def _older_signature(draw: random.Random, one: Stored, other: Stored) -> bytes:
    """The front of one of our checkpoints, the body of another."""
    return other.blob[:44] + one.body


def _bare_bomb(draw: random.Random, one: Stored, other: Stored) -> bytes:
    """A pickle that runs something, or what swells, where a head should be."""
    return draw.choice(
        (
            _bomb(draw),
            b"HRC1" + _bomb(draw),
            one.blob[:44] + _bomb(draw),
            _swelling(draw),
            one.blob[:44] + _swelling(draw),
        )
    )


def _rubbish(draw: random.Random, one: Stored, other: Stored) -> bytes:
    return draw.randbytes(draw.choice((0, 1, 43, 44, 45, 300)))


_HEADS = (
    _flip_head, _flip_head, _flip_front, _cut, _extended, _unsigned, _edited, _another_key, _another_key, _older_signature, _bare_bomb,
    _rubbish,
)  # fmt: skip


def _unverified(draw: random.Random, one: Stored, other: Stored) -> Tampered:
    way = draw.choice(_HEADS)
    blob = one.blob
    while blob in (one.blob, other.blob):
        blob = way(draw, one, other)
    return Tampered(way.__name__.strip("_"), "signature", replace(one, blob=blob))


# --- heads that we signed ---------------------------------------------------------------------------------------


def _signed(one: Stored, fields: Mapping[str, Any]) -> Stored:
    return replace(one, blob=SIGNER.sign(_encode(fields)))


def _of_another(draw: random.Random, one: Stored, other: Stored) -> Stored:
    """A true checkpoint, of another task or another pipeline."""
    fields = msgspec.json.decode(one.body)
    return _signed(
        one, fields | {"task": draw.choice(("test/1", "other/0", "test/00", "TEST/0", "test/0 ", "test/0\x00", ""))}
    )


def _malformed(draw: random.Random, one: Stored, other: Stored) -> Stored:
    fields = msgspec.json.decode(one.body)
    name = draw.choice(list(fields))
    odd = draw.choice((None, [], {}, "x", 1e308, True, [[]], 2**64, -(2**63) - 1))
    changed = (
        fields | {name: odd} if draw.random() < 0.7 else {key: value for key, value in fields.items() if key != name}
    )
    if name == "lineage" and isinstance(odd, dict):
        changed["chunks"] = {}
    if changed.get(name) == fields.get(name) or (name == "chunks" and odd == []) or _still_a_head(changed):
        changed = draw.choice(([], "head", 1, None))  # type: ignore[assignment]
    return _signed(one, changed)


def _still_a_head(fields: Mapping[str, Any]) -> bool:
    try:
        msgspec.json.decode(_encode(fields), type=Head)
    except msgspec.DecodeError:
        return False
    return True


def _odd_chunk(draw: random.Random, one: Stored, other: Stored) -> Stored:
    """Sizes that nobody could hold, digests that are paths, codecs that there are not, one name twice."""
    fields = msgspec.json.decode(one.body)
    chunks = fields["chunks"]
    chunk = draw.choice([chunk for chunk in chunks if chunk["pieces"]])
    kind = draw.randrange(5)
    if kind == 0:
        chunk["size"] = draw.choice((2**62, 10**15, -1, chunk["size"] + (1 << 20), 2**63 - 1))
    elif kind == 1:
        digest = chunk["pieces"][0]
        chunk["pieces"] = [
            draw.choice(
                ("../../../etc/passwd", digest.upper() + "A", digest[:-1], digest + "0", "", f"{digest}\n", "x" * 64)
            )
        ]
    elif kind == 2:
        chunk["codec"] = draw.choice(("", "zlib", "gzip", "PICKLE", "json", "pickle\x00", "eval"))
    elif kind == 3:
        chunks.append(dict(draw.choice(chunks)))
    else:
        chunk["pieces"] = chunk["pieces"] * 2
    return _signed(one, fields)


def _wrong_head(draw: random.Random, one: Stored, other: Stored) -> Tampered:
    way = draw.choice((_of_another, _malformed, _odd_chunk))
    return Tampered(way.__name__.strip("_"), "head", way(draw, one, other))


# --- pieces -----------------------------------------------------------------------------------------------------


def _wrong_piece(draw: random.Random, one: Stored, other: Stored) -> Tampered:
    """The head is ours; a piece is not what it lists."""
    used = [digest for chunk in one.head.chunks for digest in chunk.pieces]
    digest = draw.choice(used)
    piece, pieces = one.pieces[digest], dict(one.pieces)
    kind = draw.choice(("flipped", "cut", "extended", "swapped", "gone", "bomb", "swelling", "huge", "empty"))
    another = pieces[draw.choice([each for each in pieces if pieces[each] != piece])]
    if kind == "gone":
        del pieces[digest]
    elif kind == "swapped":
        pieces[digest] = another
    else:
        pieces[digest] = {
            "flipped": partial(_flipped, draw, piece),
            "cut": lambda: piece[: draw.randrange(len(piece))],
            "extended": lambda: piece + draw.choice((b"\x00", b".", draw.randbytes(9))),
            "bomb": partial(_bomb, draw),
            "swelling": partial(_swelling, draw),
            "huge": lambda: b"\x00" * ((1 << 20) + 1),
            "empty": lambda: b"",
        }[kind]()
    return Tampered(f"piece {kind}", "digest", replace(one, pieces=pieces))


# --- pickles ----------------------------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of a function by its name, with or without arguments."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self.module, self.name, self.arguments = module, name, arguments

    def pickle(self, draw: random.Random) -> bytes:
        """In one of the ways in which a pickle can name a global."""
        module, name = self.module.encode(), self.name.encode()
        if draw.random() < 0.5:
            named = b"c" + module + b"\n" + name + b"\n"
        else:
            named = b"".join(b"\x8c" + bytes([len(text)]) + text for text in (module, name)) + b"\x93"
        arguments = pickle.dumps(self.arguments, protocol=2)[2:-1]
        return b"\x80\x04" + named + arguments + draw.choice((b"R", b"R0N", b"\x81")) + b"."


BOMBS = (
    Calls("os", "system", "touch sprung"), Calls("posix", "system", "touch sprung"), Calls("builtins", "eval", "1"),
    Calls("builtins", "exec", "x = 1"), Calls("builtins", "__import__", "os"), Calls("builtins", "open", "sprung", "w"),
    Calls("builtins", "compile", "1", "x", "eval"), Calls("builtins", "getattr", "x", "__class__"), Calls("builtins", "input"),
    Calls("builtins", "map"), Calls("builtins", "type", "X", (), {}), Calls("builtins", "globals"), Calls("builtins", "vars"),
    Calls("builtins", "setattr", "x", "y", 1), Calls("__builtin__", "eval", "1"), Calls("__main__", "main"),
    Calls("subprocess", "Popen", "true"), Calls("subprocess", "check_output", ["true"]), Calls("socket", "create_connection", ("127.0.0.1", 1)),
    Calls("importlib", "import_module", "this"), Calls("runpy", "run_path", "x"), Calls("code", "interact"), Calls("pdb", "set_trace"),
    Calls("operator", "attrgetter", "a"), Calls("operator", "methodcaller", "system", "true"), Calls("functools", "reduce"),
    Calls("types", "FunctionType"), Calls("types", "CodeType"), Calls("ctypes", "CDLL", "libc.so.6"), Calls("shutil", "rmtree", "sprung"),
    Calls("pickle", "loads", b"."), Calls("_pickle", "loads", b"."), Calls("marshal", "loads", b"N"), Calls("sys", "exit", 1),
    Calls("webbrowser", "open", "x"), Calls("asyncio", "run"), Calls("threading", "Thread"), Calls("signal", "alarm", 1),
    Calls("numpy", "load", "x"), Calls("numpy", "fromfile", "x"), Calls("numpy.core.multiarray", "scalar"), Calls("numpy", "memmap", "x"),
    Calls("numpy.testing._private.utils", "runstring", "1", {}), Calls("numpy.f2py", "compile", "x"), Calls("pandas", "read_pickle", "x"),
    Calls("river.datasets", "Phishing"), Calls("river.stream", "iter_csv", "x"), Calls("river.utils.pandas", "x"), Calls("river.api", "x"),
    Calls("river.base.base", "inspect.os.system", "true"), Calls("river.linear_model", "base.os.system", "true"),
    Calls("river.compose.pipeline", "pd.read_pickle", "x"), Calls("river", "utils"), Calls("river.checks", "check_estimator"),
    Calls("stream.config", "load", "x", {}), Calls("stream.parts", "construct", "os.getpid"), Calls("stream.checkpoints.pickles", "loads", b"."),
    Calls("stream.checkpoints.signing", "load_key", None, None, "x"), Calls("learners.river", "RiverLearner"), Calls("detectors.names", "make", "x"),
    Calls("copyreg", "add_extension", "os", "system", 1), Calls("copyreg", "pickle"), Calls("random", "SystemRandom"), Calls("random", "os.system", "true"),
    Calls("collections", "namedtuple", "x", "a"), Calls("collections", "abc"), Calls("datetime", "sys.exit"), Calls("re", "template", "x"),
    Calls("re", "copyreg.pickle"), Calls("functools", "partial.__class__"), Calls("tests.harness", "Service"), Calls("nowhere", "nothing"),
    Calls("", ""), Calls("os.path", "os.system", "true"), Calls("builtins", "str.__class__"), Calls("builtins", "breakpoint"),
)  # fmt: skip


def _bomb(draw: random.Random) -> bytes:
    return draw.choice(BOMBS).pickle(draw)


def _swelling(draw: random.Random) -> bytes:
    """Small here, gigantic to whoever unpacks it or believes what it says of its size."""
    kind = draw.randrange(8)
    packers: tuple[Callable[[bytes], bytes], ...] = (zlib.compress, gzip.compress, bz2.compress, lzma.compress)
    if kind < len(packers):
        return packers[kind](bytes(2_000_000))
    size = draw.choice((2**62, 2**63 - 1, 2**64 - 1, 2**48))
    if kind == 4:
        return b"\x80\x05" + draw.choice((b"\x8e", b"\x8d", b"\x96")) + struct.pack("<Q", size) + b"x."
    if kind == 5:
        return b"\x80\x05\x95" + struct.pack("<Q", size) + b"N."
    if kind == 6:
        return b"\x80\x05\x8b" + struct.pack("<I", 2**31 - 1) + b"x."
    return b"\x80\x05" + b"(" * 100_000  # marks without an end


_TORN = (
    b"",
    b".",
    b"N",
    b"\x80\x05",
    b"\x80\xff.",
    b"R.",
    b"00.",
    b"}\x8c\x05a.",
    b"I1\n2\n.",
    b"P1\n.",
    b"\x82\x01.",
    b"i\n\n.",
    b"j\xff\xff\xff\xff.",
)


def _wrong_pickle(draw: random.Random, one: Stored, other: Stored) -> Tampered:
    """Everything is ours, digest and signature too, but what a chunk holds: as if the key had been lost."""
    kind = draw.choice(("bomb", "bomb", "bomb", "hidden bomb", "swelling", "torn"))
    data = {
        "bomb": partial(_bomb, draw),
        "hidden bomb": lambda: pickle.dumps([1, {"a": 2}], protocol=4)[:-1] + b"0" + _bomb(draw)[2:],
        "swelling": partial(_swelling, draw),
        "torn": lambda: draw.choice(_TORN),
    }[kind]()
    fields, head = msgspec.json.decode(one.body), one.head
    at = draw.choice([at for at, chunk in enumerate(head.chunks) if chunk.pieces and chunk.codec == "pickle"])
    digest = digest_of(data)
    entry = ChunkEntry(head.chunks[at].part, head.chunks[at].name, "pickle", (digest,) if data else (), len(data))
    fields["chunks"][at] = msgspec.to_builtins(entry)
    changed = _signed(one, fields)
    return Tampered(f"ours, {kind}", "pickle", replace(changed, pieces={**one.pieces, digest: data}))


def tampered(seed: int, stored: list[Stored]) -> Tampered:
    """The same for ever for a seed and the same checkpoints."""
    draw = random.Random(seed)
    one, other = draw.sample(stored, 2)
    makes = (_unverified, _wrong_head, _wrong_piece, _wrong_pickle)
    return draw.choices(makes, (6, 1, 2, 2))[0](draw, one, other)
