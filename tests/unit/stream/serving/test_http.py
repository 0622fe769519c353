import http.client
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from stream.errors import ConfigError
from stream.serving.http import MetricsServer
from stream.serving.metrics import Sample


@dataclass
class Told:
    """Readings as a test sets them."""

    well: bool = True
    answers: bool = True
    numbers: list[Sample] = field(default_factory=list)
    broken: bool = False

    def healthy(self) -> bool:
        return self.well

    def ready(self) -> bool:
        return self.answers

    def samples(self) -> Iterable[Sample]:
        if self.broken:
            raise RuntimeError("no numbers")
        return self.numbers


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def server(told: Told) -> Iterator[MetricsServer]:
    server = MetricsServer(told, port=0)
    server.start()
    yield server
    server.close()


def ask(server: MetricsServer, path: str, verb: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(verb, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(("well", "status"), [(True, 200), (False, 503)])
def test_health(server: MetricsServer, told: Told, well: bool, status: int) -> None:
    """`/healthz` says whether the process is worth keeping."""
    told.well = well
    assert ask(server, "/healthz")[0] == status


@pytest.mark.parametrize(("answers", "status"), [(True, 200), (False, 503)])
def test_readiness(server: MetricsServer, told: Told, answers: bool, status: int) -> None:
    """`/readyz` is refused while the worker recovers."""
    told.answers = answers
    assert ask(server, "/readyz")[0] == status


def test_a_gauge(server: MetricsServer, told: Told) -> None:
    """A gauge stands on the page with its labels."""
    told.numbers.append(Sample("headrace_lag_records", {"topic": "t"}, 7, "gauge", "Records to come."))
    assert 'headrace_lag_records{topic="t"} 7.0' in ask(server, "/metrics")[1]


def test_a_counter_keeps_its_name(server: MetricsServer, told: Told) -> None:
    """A counter ends in `_total` once."""
    told.numbers.append(Sample("headrace_events_total", {}, 3, "counter", "Events."))
    assert "\nheadrace_events_total 3.0\n" in ask(server, "/metrics")[1]


def test_samples_of_a_name_are_one_family(server: MetricsServer, told: Told) -> None:
    """Samples that come apart stand together, with one line of help."""
    for name, partition in (("headrace_a", "0"), ("headrace_b", "0"), ("headrace_a", "1")):
        told.numbers.append(Sample(name, {"partition": partition}, 1, "gauge", "A number."))
    assert ask(server, "/metrics")[1].count("# HELP headrace_a ") == 1


def test_every_scrape_asks_again(server: MetricsServer, told: Told) -> None:
    """The page shows the numbers of the moment."""
    before = ask(server, "/metrics")[1]
    told.numbers.append(Sample("headrace_new", {}, 1, "gauge", "A number."))
    assert ("headrace_new" in before, "headrace_new" in ask(server, "/metrics")[1]) == (False, True)


def test_readings_that_fail_are_answered(server: MetricsServer, told: Told) -> None:
    """An error of the readings is an answer with status 500, and the server lives on."""
    told.broken = True
    assert (ask(server, "/metrics")[0], ask(server, "/healthz")[0]) == (500, 200)


def test_other_paths(server: MetricsServer) -> None:
    """An unknown path is told which there are."""
    status, text = ask(server, "/x")
    assert (status, "/metrics" in text) == (404, True)


def test_a_query_is_passed_over(server: MetricsServer) -> None:
    """What follows a question mark does not matter."""
    assert ask(server, "/healthz?verbose")[0] == 200


def test_head(server: MetricsServer) -> None:
    """HEAD has no body."""
    assert ask(server, "/healthz", "HEAD") == (200, "")


def test_nothing_can_be_posted(server: MetricsServer) -> None:
    """It reads only."""
    assert ask(server, "/metrics", "POST")[0] == 501


def test_a_port_in_use() -> None:
    """An address that is taken is the operator's mistake, with what to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match=r"serve: \{port"):
        MetricsServer(Told(), port=taken.getsockname()[1])


def test_closing_twice(told: Told) -> None:
    """Closing is idempotent, also when it never started."""
    server = MetricsServer(told, port=0)
    server.close()
    server.close()
    assert server.port > 0
