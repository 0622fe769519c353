"""The machine: which core is under test and which serve, what a process has used, and what all of it is called.

The process under test has one core to itself, broker, Redis, and this program the others, as far as the system has
cores and lets us choose. Linux; elsewhere nothing is pinned, and memory and processor time of others are unknown.
"""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import confluent_kafka

ROOT = Path(__file__).parent.parent

CAN_PIN = hasattr(os, "sched_setaffinity")


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if CAN_PIN else []


@contextmanager
def on_cores(wanted: list[int]) -> Iterator[None]:
    """Processes and threads started here run on these cores only."""
    if not CAN_PIN or not wanted:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move(pid: int, wanted: list[int]) -> None:
    """All threads that a process has by now run on these cores from here on."""
    if CAN_PIN and wanted:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), wanted)


def cpu_s(pid: int) -> float:
    """Processor time that the living threads of a process have used; NaN where the system does not say."""
    total = 0
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return float("nan")
    return total / 1e9


class CoreTime(NamedTuple):
    """Seconds since the system started that a core was busy (without interrupts), and that it had nothing to do."""

    busy_s: float
    idle_s: float


def core_time(core: int) -> CoreTime:
    """To a hundredth of a second; NaN where the system does not say."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
        fields = next(line.split() for line in lines if line.startswith(f"cpu{core} "))
    except (OSError, StopIteration):
        return CoreTime(float("nan"), float("nan"))
    user, nice, system, idle, iowait, _, _, steal, *_ = (int(field) for field in fields[1:])
    tick = os.sysconf("SC_CLK_TCK")
    return CoreTime((user + nice + system + steal) / tick, (idle + iowait) / tick)


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def facts() -> list[str]:
    """The machine and the versions, for a report. No date: git knows when."""
    processor = f"{_processor()}, {os.cpu_count()} cores, {_memory_gb()}, {platform.system()} {platform.machine()}"
    clients = f"confluent-kafka {version('confluent-kafka')} (librdkafka {confluent_kafka.libversion()[0]})"
    python = f"Python {platform.python_version()}, river {version('river')}, {clients}"
    return [f"Machine: {processor}", f"{python}, kafka {_kafka()}, redis server {_redis()}"]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )


def _memory_gb() -> str:
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"


def _kafka() -> str:
    """The broker's version is in the names of its jars."""
    said = subprocess.run([str(ROOT / "tools" / "fetch")], check=False, capture_output=True, text=True)
    jars = Path(said.stdout.strip().splitlines()[-1]) if said.returncode == 0 else Path()
    names = [jar.stem.partition("-")[2] for jar in jars.glob("kafka_*.jar")]
    return names[0] if names else "unknown"


def _redis() -> str:
    from tests.servers import redis_binary  # noqa: PLC0415 - only for the report

    said = subprocess.run([redis_binary(), "--version"], check=True, capture_output=True, text=True).stdout
    return next((word[2:] for word in said.split() if word.startswith("v=")), "unknown")
