"""A bad network between a client and a server: plain TCP, two threads a connection, weather that changes on command.

A ``Proxy`` listens on one loopback port and passes bytes to one upstream. ``cut``, ``cut_answer`` and ``refuse`` break
connections; ``hold`` and ``slow`` keep them and let bytes wait, in one direction or both. What waits is passed on when the
weather clears, also when who sent it is long gone: so a request can reach the server after its sender gave up.
Knows no protocol: what the bytes mean is nobody's business here. See faults.py for who makes the weather.
"""

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Literal, Self

Way = Literal["up", "down"]
"""up: what the client asks; down: what the server answers."""
CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing says RST instead of FIN


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to bytes that pass in one direction."""

    held: bool = False
    delay_s: float = 0.0
    """Of each piece of up to 64 KiB; the next one is taken when this one was passed on."""
    bytes_per_s: float | None = None


FAIR = Weather()


class _Link:
    """One connection: two sockets that end together."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server

    def end(self, *, reset: bool) -> None:
        for one in (self.client, self.server):
            with contextlib.suppress(OSError):
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                one.shutdown(socket.SHUT_RDWR)


class Proxy:
    """One port in front of one server.

    Parameters
    ----------
    upstream
        Port of the server on the loopback interface. May be set later (``proxy.upstream = …``), before the first client.
    port
        Where to listen; 0 takes a free one. It stays the same through ``refuse``.
    """

    def __init__(self, upstream: int = 0, port: int = 0) -> None:
        self.upstream = upstream
        self.passed = {"up": 0, "down": 0}
        """Bytes so far."""
        self._weather: dict[Way, Weather] = {"up": FAIR, "down": FAIR}
        self._answers_to_cut = 0
        self._changed = threading.Condition()
        self._links: set[_Link] = set()
        self._closed = False
        self._listener: socket.socket | None = None
        self.port = port
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """Open now."""
        with self._changed:
            return len(self._links)

    # The weather

    def cut(self, *, reset: bool = True) -> None:
        """End every connection; new ones are welcome."""
        with self._changed:
            links = list(self._links)
            self._changed.notify_all()
        for link in links:
            link.end(reset=reset)

    def cut_answer(self, count: int = 1) -> None:
        """End the connections of the next so many answers, each in the middle: half of a piece arrives."""
        with self._changed:
            self._answers_to_cut = count

    def refuse(self) -> None:
        """New connections are refused, as by a machine on which nobody listens. Old ones stay: see ``cut``."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def hold(self, way: Way | None = None) -> None:
        """Pass nothing in this direction, or in none: connections stay, new ones are accepted, silence."""
        self._change(way, Weather(held=True))

    def slow(self, *, delay_s: float = 0.0, bytes_per_s: float | None = None, way: Way | None = None) -> None:
        """Pass everything later, or at most so many bytes a second and connection."""
        self._change(way, Weather(delay_s=delay_s, bytes_per_s=bytes_per_s))

    def clear(self) -> None:
        """Fair weather. What was held is passed on now."""
        with self._changed:
            self._answers_to_cut = 0
        self._change(None, FAIR)
        if self._listener is None and not self._closed:
            self._listen()

    def close(self) -> None:
        """End everything. Idempotent."""
        self._closed = True
        self.refuse()
        with self._changed:
            self._weather = {"up": FAIR, "down": FAIR}
        self.cut()

    def _change(self, way: Way | None, weather: Weather) -> None:
        with self._changed:
            for one in ("up", "down") if way is None else (way,):
                self._weather[one] = weather
            self._changed.notify_all()

    # The traffic

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True, name=f"proxy-{self.port}").start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # refuse() closed it
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        """Only who is answered by the server is connected: a dead server's clients see their connection end."""
        try:
            server = socket.create_connection(("127.0.0.1", self.upstream), 5.0)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(client, server)
        with self._changed:
            self._links.add(link)
        up = threading.Thread(target=self._pump, args=(link, client, server, "up"), daemon=True)
        up.start()
        self._pump(link, server, client, "down")
        up.join()
        with self._changed:
            self._links.discard(link)
        client.close()
        server.close()

    def _pump(self, link: _Link, source: socket.socket, sink: socket.socket, way: Way) -> None:
        """Until one of the two ends; then both end."""
        reset = False
        try:
            while chunk := source.recv(CHUNK):
                self._wait(way, len(chunk))
                if way == "down" and self._takes_cut(len(chunk)):
                    sink.sendall(chunk[: len(chunk) // 2])
                    break
                sink.sendall(chunk)
                self.passed[way] += len(chunk)
        except OSError:
            reset = True
        link.end(reset=reset)

    def _wait(self, way: Way, size: int) -> None:
        """For as long as the weather says."""
        with self._changed:
            while self._weather[way].held:
                self._changed.wait()
            weather = self._weather[way]
        late_s = weather.delay_s + (size / weather.bytes_per_s if weather.bytes_per_s else 0.0)
        until = time.monotonic() + late_s
        while (left := until - time.monotonic()) > 0:
            with self._changed:
                if self._weather[way] is not weather:
                    return
                self._changed.wait(left)

    def _takes_cut(self, size: int) -> bool:
        with self._changed:
            if self._answers_to_cut == 0 or size < 2:
                return False
            self._answers_to_cut -= 1
            return True
