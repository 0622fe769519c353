"""Digests of outputs: the same bytes give the same digest, whatever the cuts; anything else gives another."""

import random

import pytest

from stream.records import OutputRecords
from stream.replay.digest import BLOCK, Digests, OutputDigest


def said(count: int) -> OutputRecords:
    return OutputRecords(0, [b"k%d" % (i % 7) for i in range(count)], [b'{"id":%d}' % i for i in range(count)])


def cut(out: OutputRecords, start: int, stop: int) -> OutputRecords:
    headers = None if out.headers is None else out.headers[start:stop]
    return OutputRecords(start, out.keys[start:stop], out.values[start:stop], headers)


def digest_of(out: OutputRecords) -> str:
    digest = OutputDigest()
    digest.add(out)
    return digest.hex


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
def test_cuts_change_nothing(count):
    """However the records come, and although the replay goes on from a state in between, the digest is the same."""
    out, rng = said(count), random.Random(count)
    digest, at = OutputDigest(), 0
    while at < count:
        stop = min(at + rng.randint(1, BLOCK), count)
        digest.add(cut(out, at, stop))
        digest = OutputDigest(digest.state())
        at = stop
    assert digest.hex == digest_of(out)
    assert digest.records == count


def test_any_change_shows():
    """Another key, another value, another order, one record less, or a byte moved from key to value: another digest."""
    whole = said(2 * BLOCK + 5)
    found = {digest_of(whole)}
    for place in (0, BLOCK - 1, BLOCK, 2 * BLOCK + 4):
        for change in ("key", "value", "border"):
            other = cut(whole, 0, len(whole))
            key, value = other.keys[place], other.values[place]
            other.keys[place] = key + b"{" if change == "border" else key + b"!" * (change == "key")
            other.values[place] = value[1:] if change == "border" else value + b"!" * (change == "value")
            found.add(digest_of(other))
    found.add(digest_of(cut(whole, 0, len(whole) - 1)))
    swapped = cut(whole, 0, len(whole))
    swapped.values[0], swapped.values[1] = swapped.values[1], swapped.values[0]
    found.add(digest_of(swapped))
    assert len(found) == 1 + 12 + 2


def test_headers_count_by_name_and_seq_does_not():
    """Of rejects the headers are digested whatever their order; ``seq`` is told by the order of records."""
    first = OutputRecords(0, [b""], [b"x"], [{"reason": b"schema", "stage": b"decode"}])
    again = OutputRecords(0, [b""], [b"x"], [{"stage": b"decode", "seq": b"0", "reason": b"schema"}])
    other = OutputRecords(0, [b""], [b"x"], [{"reason": b"decode", "stage": b"schema"}])
    assert digest_of(first) == digest_of(again) != digest_of(other)


def test_each_output_has_its_own():
    """What was never said has the digest of nothing."""
    digests = Digests()
    digests.add({"predictions": said(3), "alarms": OutputRecords(0), "rejects": OutputRecords(0, headers=[])})
    told = digests.told()
    assert told["predictions"] == {"records": 3, "digest": digest_of(said(3))}
    assert told["alarms"] == told["rejects"] == {"records": 0, "digest": OutputDigest().hex}
