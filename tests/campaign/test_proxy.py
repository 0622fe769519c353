"""The proxy does what it is told: each kind of bad weather against a server that says everything back."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.campaign.proxy import Proxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1 << 16):
            self.server.heard.append(data)
            try:
                self.request.sendall(data)
            except OSError:
                return


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.heard: list[bytes] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server
        server.shutdown()


@pytest.fixture
def proxy(echo: EchoServer) -> Iterator[Proxy]:
    with Proxy(echo.server_address[1]) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 5)


def ask(link: socket.socket, words: bytes, timeout_s: float = 5.0) -> bytes:
    link.settimeout(timeout_s)
    link.sendall(words)
    said = b""
    while len(said) < len(words) and (more := link.recv(1 << 16)):
        said += more
    return said


def is_ended(link: socket.socket) -> bool:
    link.settimeout(5)
    try:
        return link.recv(1) == b""
    except ConnectionResetError:
        return True


def test_fair_weather_passes_everything(proxy: Proxy) -> None:
    """A megabyte comes back as it was sent."""
    words = bytes(range(256)) * 4096
    with connect(proxy) as link:
        reader: list[bytes] = []
        thread = threading.Thread(target=lambda: reader.append(ask(link, b"")))
        thread.start()
        thread.join()
        sender = threading.Thread(target=link.sendall, args=(words,))
        sender.start()
        said = b""
        while len(said) < len(words):
            said += link.recv(1 << 16)
        sender.join()
    assert said == words


def test_cut_ends_every_connection_and_welcomes_new_ones(proxy: Proxy) -> None:
    """Two connections end, a third one works."""
    with connect(proxy) as one, connect(proxy) as two:
        assert ask(one, b"a") + ask(two, b"b") == b"ab"
        proxy.cut()
        assert is_ended(one)
        assert is_ended(two)
    with connect(proxy) as three:
        assert ask(three, b"c") == b"c"


def test_refused_until_it_clears(proxy: Proxy) -> None:
    """Nobody listens; then somebody does, on the same port. Who was connected stays so."""
    with connect(proxy) as old:
        assert ask(old, b"a") == b"a"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        assert ask(old, b"b") == b"b"
    proxy.clear()
    with connect(proxy) as new:
        assert ask(new, b"c") == b"c"


def test_what_was_held_arrives_later(proxy: Proxy, echo: EchoServer) -> None:
    """Silence in both directions, then the answer; nothing is lost."""
    with connect(proxy) as link:
        assert ask(link, b"a") == b"a"
        proxy.hold()
        with pytest.raises(TimeoutError):
            ask(link, b"b", 0.2)
        assert echo.heard == [b"a"]
        proxy.clear()
        assert link.recv(1) == b"b"


def test_a_request_outlives_its_sender(proxy: Proxy, echo: EchoServer) -> None:
    """What was on its way when the client died reaches the server after all."""
    with connect(proxy) as link:
        assert ask(link, b"a") == b"a"
        proxy.hold("up")
        link.sendall(b"late")
        time.sleep(0.1)
    proxy.clear()
    until = time.monotonic() + 5
    while b"late" not in echo.heard:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_held_one_way_only(proxy: Proxy, echo: EchoServer) -> None:
    """The server hears and answers, the client hears nothing."""
    with connect(proxy) as link:
        assert ask(link, b"a") == b"a"
        proxy.hold("down")
        with pytest.raises(TimeoutError):
            ask(link, b"b", 0.2)
        assert echo.heard == [b"a", b"b"]


def test_an_answer_is_cut_in_the_middle(proxy: Proxy) -> None:
    """Half of one answer arrives, then the end; the next connection is whole."""
    with connect(proxy) as link:
        proxy.cut_answer()
        assert ask(link, b"0123456789") == b"01234"
    with connect(proxy) as link:
        assert ask(link, b"0123456789") == b"0123456789"


def test_slow_is_late_and_whole(proxy: Proxy) -> None:
    """A delay each way and a bandwidth both take their time; what arrives is what was sent."""
    with connect(proxy) as link:
        proxy.slow(delay_s=0.1)
        begun = time.monotonic()
        assert ask(link, b"a") == b"a"
        assert time.monotonic() - begun >= 0.2
        proxy.slow(bytes_per_s=100_000, way="up")
        begun = time.monotonic()
        assert ask(link, b"x" * 20_000) == b"x" * 20_000
        assert time.monotonic() - begun >= 0.2


def test_a_dead_server_ends_its_clients(proxy: Proxy, echo: EchoServer) -> None:
    """Nobody is connected to nothing."""
    echo.shutdown()
    echo.server_close()
    with connect(proxy) as link:
        assert is_ended(link)
