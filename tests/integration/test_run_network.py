"""Connections between a worker and Kafka end while it works."""

from pathlib import Path

import pytest

from tests.campaign.proxy import Proxy
from tests.integration.running import Run, equals_calm, fill, pipeline
from tests.servers import KafkaServer

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]
CUTS = 6


@pytest.mark.timeout(600)
def test_connections_that_end_hold_nobody_up(redis_url: str, tmp_path: Path) -> None:
    """All connections to Kafka are cut again and again: the worker goes on each time, with the results of a calm run.

    Found by the campaign: librdkafka's send_offsets_to_transaction never came back, and the worker stood still for ever.
    """
    with Proxy() as link, KafkaServer(proxy_ports=[link.port]) as broker:
        link.upstream = broker.proxied_ports[0]
        stream = fill(broker.bootstrap, 6000)
        made = pipeline(stream, tmp_path, redis_url, kafka={"bootstrap.servers": link.address})
        run = Run(made.path)
        for cut in range(CUTS):
            run.folded(stream.total * (cut + 1) // (CUTS + 2))
            link.cut()
        run.folded(stream.total)
        run.stop()
        equals_calm(made, redis_url)
