"""The whole record, before and after its fields: too large, too deep, not JSON; and the reason when one was refused.

Slow but for ``guard``, which every record passes. It never sees what the fast path accepts. Pure. Read codec.py next.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from stream.codec_rules import KINDS, Fields, Refused
from stream.codec_specs import Limits
from stream.records import Reject

# Possessive, so that an unterminated string of escapes costs one pass and not a pass a quote.
_TOKENS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}:]', re.DOTALL)


def guard(value: bytes, limits: Limits) -> None:
    """Refuse what is too large, too deep or too wide, before any parser sees it. Looks only where the length allows it."""
    size = len(value)
    if size > limits.record_bytes:
        raise Refused("too_large", f"{size} bytes, the limit is {limits.record_bytes}")
    deep = size > limits.depth and value.count(b"[") + value.count(b"{") > limits.depth
    wide = size > 5 * limits.width and value.count(b":") > limits.width
    if deep or wide:
        _measure(value, limits)


def _measure(value: bytes, limits: Limits) -> None:
    depth = width = 0
    for match in _TOKENS.finditer(value):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > limits.depth:
                raise Refused("too_deep", f"more than {limits.depth} levels")
        elif token in b"]}":
            depth -= 1
        elif token == b":" and depth == 1:
            width += 1
            if width > limits.width:
                raise Refused("too_wide", f"more than {limits.width} fields")


_LONE_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def _parse(value: bytes) -> tuple[Any, list[str]]:
    """The record as Python's lenient parser reads it, and the numbers in it that JSON or float64 does not have."""
    odd: list[str] = []

    def constant(token: str) -> float:
        odd.append(token)
        return float(token)

    def fraction(token: str) -> float:
        number = float(token)
        return number if math.isfinite(number) else constant(token)

    def integer(token: str) -> float:
        return int(token) if len(token) < 310 else fraction(token)

    try:
        text = value.decode()
        return json.loads(text, parse_constant=constant, parse_float=fraction, parse_int=integer), odd
    except UnicodeDecodeError as error:
        raise Refused("decode", f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        byte = len(text[: error.pos].encode())
        raise Refused("decode", f"not JSON at byte {byte}: {error.msg[0].lower()}{error.msg[1:]}") from None
    except RecursionError:
        raise Refused("too_deep", "more levels than the parser takes") from None


def _examine(value: bytes, limits: Limits, read: Callable[[Fields], object]) -> None:
    """Raises Refused with the first reason found."""
    guard(value, limits)
    fields, odd = _parse(value)
    if not isinstance(fields, dict):
        raise Refused("schema", f"expected object, got {KINDS[type(fields)]}")
    read(fields)
    if odd:
        raise Refused("non_finite", f"{odd[0][:40]} is not a finite number")
    try:
        msgspec.json.decode(value)
    except msgspec.MsgspecError as error:
        lone = _LONE_SURROGATE.search(json.dumps(fields, ensure_ascii=False))
        raise Refused("decode", f"not JSON: {'half a surrogate pair' if lone else error}") from None


def diagnose(value: bytes, limits: Limits, read: Callable[[Fields], object], refusal: str = "") -> Reject:
    """Why a record that was refused is refused. Always finds a reason; to be asked of refused records only.

    Parameters
    ----------
    read : callable
        The reader of such records.
    refusal : str
        What the fast path said; told when the rules find nothing, as when a field stands twice and only its last value,
        which is the one that counts here, is right.
    """
    try:
        _examine(value, limits, read)
    except Refused as refused:
        return Reject(refused.reason, "decode", refused.error)
    return Reject("schema", "decode", refusal or "a field stands twice with different types")
