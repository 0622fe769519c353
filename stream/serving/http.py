"""``/healthz``, ``/readyz`` and ``/metrics`` over HTTP, in a thread beside the worker. It reads; it never learns.

Standard library only, some connections at a time, each with a deadline: it serves a scraper and an orchestrator, not
the world. Read metrics.py for what is served.
"""

import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from stream.errors import ConfigError
from stream.serving.metrics import Exposition, Readings

CONNECTIONS_MAX: Final = 16
REQUEST_S: Final = 10.0
"""A connection that is silent for longer is closed."""
_TEXT: Final = "text/plain; charset=utf-8"
PATHS: Final = ("/healthz", "/readyz", "/metrics")


class MetricsServer:
    """Serves readings from a daemon thread until it is closed.

    Parameters
    ----------
    readings : Readings
        What is served.
    host, port
        Where to listen; port 0 takes a free one, which ``port`` then tells.

    Raises
    ------
    ConfigError
        The address cannot be listened on.

    Examples
    --------
    >>> server = MetricsServer(readings, port=0)  # doctest: +SKIP
    >>> server.start()  # doctest: +SKIP
    """

    def __init__(self, readings: Readings, host: str = "127.0.0.1", port: int = 9464) -> None:
        try:
            self._server = _Server((host, port), readings)
        except OSError as error:
            raise ConfigError(
                f"cannot serve on {host}:{port}: {error.strerror or error}",
                "choose another with `serve: {port: …}` (0 takes a free one), or `serve: false`",
            ) from error
        self.host = host
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="headrace-http", daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop listening. Idempotent; open answers end with their connections."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], readings: Readings) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.readings = readings
        self.exposition = Exposition(readings)
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's error; what readings raise is answered in the handler."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "headrace"
    sys_version = ""
    timeout = REQUEST_S

    def do_GET(self) -> None:
        status, content, content_type = self._answer()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 - the base's name

    def _answer(self) -> tuple[HTTPStatus, bytes, str]:
        path = self.path.partition("?")[0]
        if path not in PATHS:
            return HTTPStatus.NOT_FOUND, f"there are {', '.join(PATHS)}\n".encode(), _TEXT
        try:
            if path == "/metrics":
                return HTTPStatus.OK, *self.server.exposition.render(self.headers.get("Accept", ""))
            well = self.server.readings.healthy() if path == "/healthz" else self.server.readings.ready()
        except Exception as error:  # noqa: BLE001 - whatever readings raise, the scraper gets an answer and keeps asking
            return HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}\n".encode(), _TEXT
        word = {"/healthz": ("ok", "not healthy"), "/readyz": ("ready", "not ready")}[path][not well]
        return (HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE), f"{word}\n".encode(), _TEXT

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Scrapes are not logged."""
