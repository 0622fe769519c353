"""What a runtime tells, as Prometheus reads it. The protocol, and the text; where it is served is http.py.

It keeps no numbers of its own: each scrape asks the readings again, in a registry of its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector


class Sample(NamedTuple):
    """One number. All samples of a name have the same kind, help and label names."""

    name: str
    """In base units: ``_seconds``, ``_bytes``; a counter ends in ``_total``."""
    labels: Mapping[str, str]
    value: float
    kind: Literal["counter", "gauge"]
    help: str


class Readings(Protocol):
    """What is served. Asked from other threads than the one that works, so it must not change under the reader."""

    def healthy(self) -> bool:
        """Whether the process is worth keeping: false asks whoever watches for a restart."""
        ...

    def ready(self) -> bool:
        """Whether it answers now: false while it recovers."""
        ...

    def samples(self) -> Iterable[Sample]:
        """All numbers as of now."""
        ...


class _Samples(Collector):
    """Samples in the shape of prometheus_client, grouped by name in order of appearance."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for sample in self._readings.samples():
            family = families.get(sample.name)
            if family is None:
                make = CounterMetricFamily if sample.kind == "counter" else GaugeMetricFamily
                family = families[sample.name] = make(sample.name, sample.help, labels=tuple(sample.labels))
            family.add_metric(list(sample.labels.values()), sample.value)
        yield from families.values()

    def describe(self) -> Iterable[Metric]:
        """Nothing: readings are not asked before the first scrape."""
        return ()


class Exposition:
    """The page of numbers.

    Parameters
    ----------
    readings : Readings
        Asked at every scrape.
    process : bool
        Whether memory, processor time and open files of this process are on it too.
    """

    def __init__(self, readings: Readings, *, process: bool = True) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Samples(readings))
        if process:
            ProcessCollector(registry=self._registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type, in the format that the ``Accept`` header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
