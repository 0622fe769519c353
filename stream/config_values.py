"""Small values of the configuration: durations, how often, secrets, where checkpoints live, the shape of parts.

Each is a type that reads what people write (``7d``, ``100_000 events``, ``redis://…``) and writes the same again.
They are not settings: those are in config_sections.py and config.py.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION_MS_MAX: Final = 100 * 366 * 86_400_000
_PIECE = re.compile(r"(\d+(?:_\d+)*(?:\.\d+)?)(ms|s|m|h|d|w)")
_RECORDS = re.compile(r"(\d+(?:_\d+)*)\s+(?:events?|records?)")
_EVENTS = re.compile(r"(\d+(?:_\d+)*)\s+events?")


def wrong(message: str) -> PydanticCustomError:
    """A value that is refused, in our own words."""
    return PydanticCustomError("headrace", "{message}", {"message": message})


class Section(BaseModel):
    """Base of all models of the configuration: strict, frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time: ``7d``, ``30m``, ``1h30m``, ``250ms``; a bare number is seconds.

    Examples
    --------
    >>> Duration.parse("1h30m").ms
    5400000
    >>> str(Duration(5_400_000))
    '1h30m'
    """

    ms: int

    @property
    def seconds(self) -> float:
        return self.ms / 1000

    @classmethod
    def parse(cls, value: object) -> "Duration":
        """From what people write. Raises PydanticCustomError (a ValueError)."""
        if isinstance(value, Duration):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            total = value * 1000
        elif isinstance(value, str) and (pieces := _PIECE.findall(value)) and "".join(map("".join, pieces)) == value:
            total = sum(float(number) * UNITS_MS[unit] for number, unit in pieces)
        else:
            raise wrong(f"expected a duration such as 7d, 30m, 1h30m, 250ms or a number of seconds, got {value!r}")
        if not 0 <= total <= _DURATION_MS_MAX:
            raise wrong(f"a duration lies between 0 and 100 years, got {value!r}")
        return cls(round(total))

    def __str__(self) -> str:
        rest, text = self.ms, ""
        for unit in ("d", "h", "m", "s", "ms"):
            count, rest = divmod(rest, UNITS_MS[unit])
            text += f"{count}{unit}" if count else ""
        return text or "0s"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


@dataclass(frozen=True, slots=True)
class Every:
    """How often: ``100_000 events`` or a duration such as ``30s``. Exactly one of the two is set."""

    records: int | None
    seconds: float | None

    @classmethod
    def parse(cls, value: object) -> "Every":
        if isinstance(value, Every):
            return value
        if isinstance(value, str) and (found := _RECORDS.fullmatch(value.strip())):
            records = int(found[1])
            if records < 1:
                raise wrong("must be at least 1 event")
            return cls(records, None)
        if isinstance(value, str):
            try:
                duration = Duration.parse(value)
            except PydanticCustomError:
                duration = Duration(0)
            if duration.ms > 0:
                return cls(None, duration.seconds)
        raise wrong(f"expected `100_000 events` or a duration such as `30s`, got {value!r}")

    def __str__(self) -> str:
        if self.records is not None:
            return f"{self.records:_} events"
        return str(Duration(round((self.seconds or 0.0) * 1000)))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


@dataclass(frozen=True, slots=True)
class EventCount:
    """A distance in events: ``2 events``, ``1 event``, ``1_000 events``.

    Examples
    --------
    >>> EventCount.parse("1_000 events").events
    1000
    >>> str(EventCount(1))
    '1 event'
    """

    events: int

    @classmethod
    def parse(cls, value: object) -> "EventCount":
        if isinstance(value, EventCount):
            return value
        if isinstance(value, str) and (found := _EVENTS.fullmatch(value.strip())):
            return cls(int(found[1]))
        raise wrong(f"expected a number of events such as `2 events`, got {value!r}")

    def __str__(self) -> str:
        return f"{self.events:_} event{'' if self.events == 1 else 's'}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


class Secret:
    """A value that prints as ``***`` everywhere; ``get()`` gives it to the one client that needs it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where checkpoints live: ``redis://…`` (or rediss, unix), ``embedded``, or a directory such as ``./checkpoints``."""

    kind: Literal["redis", "embedded", "files"]
    location: Secret
    """The address as written. A Redis address may hold a password, so it is a secret; ``str()`` leaves that out."""

    @classmethod
    def parse(cls, value: object) -> "StoreAddress":
        if isinstance(value, StoreAddress):
            return value
        text = value.get() if isinstance(value, Secret) else value
        if not isinstance(text, str) or not text:
            raise wrong("expected redis://host:6379/0, embedded, or a directory such as ./checkpoints")
        if text.startswith(("redis://", "rediss://", "unix://")):
            return cls("redis", Secret(text))
        if text == "embedded":
            return cls("embedded", Secret(text))
        if "://" in text:
            raise wrong(f"there is no store for {text.split('://')[0]}://; use redis://, embedded, or a directory")
        if ("/" not in text and text not in {".", ".."}) or "@" in text:
            raise wrong("expected redis://host:6379/0, embedded, or a directory written as ./checkpoints")
        return cls("files", Secret(text))

    def __str__(self) -> str:
        text = self.location.get()
        if self.kind != "redis":
            return text
        # everything before the last @ goes: a password with / ? or # in it ends the host's part early, and would be told
        scheme, _, rest = text.partition("://")
        before, at, after = rest.rpartition("@")
        place, mark, query = after.partition("?")
        hidden = "***" if at and before else before
        return f"{scheme}://{hidden}{at}{place}{mark}{'***' if 'pass' in query.lower() else query}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


KafkaValue: TypeAlias = str | int | float | bool | Secret


def _kafka_value(value: object) -> KafkaValue:
    if isinstance(value, (str, int, float, bool, Secret)):
        return value
    raise wrong("expected text, a number, a boolean, {env: NAME} or {file: path}")


def _printable(value: KafkaValue) -> str | int | float | bool:
    return str(value) if isinstance(value, Secret) else value


KafkaSetting = Annotated[Any, BeforeValidator(_kafka_value), PlainSerializer(_printable)]
"""A librdkafka setting: text, number, boolean, or a Secret."""

_SECRET_NAME = re.compile(r"password|secret|passphrase|private\.key|ssl\.key\.pem|jaas|oauthbearer\.config")


def is_secret(name: str) -> bool:
    """Whether a Kafka setting of this name is never printed."""
    return _SECRET_NAME.search(name) is not None


OWNED_BY_HEADRACE: Final = {
    "group.id": "write `group:` beside `kafka:` instead",
    "group.instance.id": "workers come and go; members are dynamic",
    "transactional.id": "each task has its own",
    "isolation.level": "inputs are read committed",
    "auto.offset.reset": "positions come from the journal; a lost position stops the worker",
    "enable.auto.commit": "positions are committed with the outputs",
    "enable.auto.offset.store": "positions are committed with the outputs",
    "enable.idempotence": "always on",
    "enable.partition.eof": "always on",
    "partition.assignment.strategy": "cooperative-sticky keeps tasks in place",
    "transaction.timeout.ms": "write `transaction_timeout:` beside `kafka:` instead",
}
"""Settings on which the promises rest, with the reason or the setting to use instead."""


def finite(value: float) -> float:
    """The number, unless it is NaN or infinite."""
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124
        raise wrong("expected a finite number")
    return value


def part_shape(value: Any) -> Any:
    """The shape of a part: a name, or one name with its parameters."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping) and len(value) == 1 and isinstance(next(iter(value)), str):
        plain(value)
        return value
    raise wrong("a part is `name` or `{name: parameters}`")


def plain(value: Any) -> None:
    """Refuse what has no place in the canonical text of a configuration."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise wrong(f"names are text; quote {key!r}")
            plain(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            plain(item)
    elif isinstance(value, float):
        finite(value)
    elif value is not None and not isinstance(value, (str, int, bool)):
        raise wrong(f"{value} is read as a {type(value).__name__}; quote it")
