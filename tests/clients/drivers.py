"""What a client library must do in the scenes, in one set of verbs; and how an answer of a library is told.

A driver passes on what its library says and repairs nothing. There is one a library: kafka_python.py, aio.py, librdkafka.py.
What is done with them is in scenes.py.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

VERB_S = 45.0
"""No verb of any library should take as long; one that does hangs."""

JOIN_S = 120.0
SESSION_MS = 6_000
"""So long a group waits for a member that is gone without having told so, at most. The libraries' own is up to 45 s."""
POLL_MS = 500


@dataclass(frozen=True)
class Tuning:
    """Of a producer. What a library does not know is left out by its driver."""

    transaction_timeout_ms: int = 300_000
    """Longer than a broker takes to start again on a busy machine."""
    request_timeout_ms: int = 3_000
    send_timeout_ms: int = 30_000


class Hangs(Exception):
    """A verb did not come back."""


class Producing(Protocol):
    """A transactional producer. Every verb returns when the library says that it is done, or raises what it raises."""

    def init(self) -> None: ...

    def begin(self) -> None: ...

    def send(self, topic: str, value: str) -> Callable[[], None]:
        """Without waiting; the answer waits for the acknowledgement, and raises when there is none."""
        ...

    def offsets(self, topic: str, offset: int, member: object) -> None:
        """``member`` is what ``Member.proof`` of the same library gave."""
        ...

    def commit(self) -> None: ...

    def abort(self) -> None: ...

    def close(self) -> None:
        """At once, whatever is open."""
        ...


class Member(Protocol):
    """A member of a consumer group, which has its partition."""

    def proof(self) -> object:
        """What the library can send along with offsets in a transaction."""
        ...

    def close(self) -> None: ...


class Driver(Protocol):
    name: str
    sends_expire: bool
    """Whether a send that finds no broker is given up after ``send_timeout_ms``."""

    def version(self) -> str: ...

    def producer(self, bootstrap: str, transactional_id: str, tuning: Tuning) -> Producing: ...

    def member(self, bootstrap: str, group: str, topic: str) -> Member: ...

    def read(self, bootstrap: str, topic: str, start: int, count: int, *, when_out_of_range: str) -> list[str]:
        """Committed records from an offset on; a list that is shorter when there are no more. Raises what the library
        raises. ``when_out_of_range``: ``stop``, the library's word for it, or ``earliest``.
        """
        ...

    def told(self, error: BaseException) -> str:
        """An error of the library by its name, with its flags."""
        ...


def within(call: Callable[[], Any], seconds: float = VERB_S) -> Any:
    """The call's result. Raises Hangs."""
    done: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:  # noqa: BLE001 (raised again, in the thread that asked)
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Hangs
    if failed:
        raise failed[0]
    return done[0]


class Told:
    """What a driver's library said, verb by verb."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.said: list[str] = []

    def ask(self, verb: str, call: Callable[[], object], seconds: float = VERB_S) -> bool:
        """Whether it returned. What it said is kept; said again, once."""
        answer = self._answer(verb, call, seconds)
        if answer not in self.said[-1:]:
            self.said.append(answer)
        return answer.endswith("returns")

    def _answer(self, verb: str, call: Callable[[], object], seconds: float) -> str:
        try:
            within(call, seconds)
        except Hangs:
            return f"{verb}: hangs"
        except Exception as error:  # noqa: BLE001 (any answer of a library is an answer)
            return f"{verb}: raises {self._driver.told(error)}"
        return f"{verb}: returns"


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of calls that run beside each other."""
    results: list[Any] = [None] * len(calls)
    failed: list[BaseException] = []

    def run(place: int) -> None:
        try:
            results[place] = calls[place]()
        except BaseException as error:  # noqa: BLE001 (raised again, below)
            failed.append(error)

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return results
