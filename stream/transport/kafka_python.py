"""kafka-python by librdkafka's settings, and its failures in our words. What only librdkafka knows is left out.

The second client beside librdkafka, so that what one wrote the other can witness. Read admin.py or feeder.py next.
"""

import contextlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import kafka.errors
from kafka.net.compat import KafkaNetClient

from stream.errors import LogError, LogMisfit, LogUnavailable, OutputTooLarge
from stream.transport.kafka_client import Settings, knock

_NAMES = {
    "client.id": "client_id",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "sasl.kerberos.service.name": "sasl_kerberos_service_name",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "ssl.crl.location": "ssl_crlfile",
}


def translate(settings: Mapping[str, object]) -> dict[str, Any]:
    """From librdkafka's settings to kafka-python's."""
    servers = str(settings.get("bootstrap.servers") or settings.get("metadata.broker.list") or "localhost:9092")
    ours: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in servers.split(",")],
        "security_protocol": str(settings.get("security.protocol", "PLAINTEXT")).upper(),
        "client_id": "headrace-admin",
        "bootstrap_timeout_ms": 15_000,
        "request_timeout_ms": 30_000,
        "reconnect_backoff_max_ms": 1_000,
    }
    ours |= {_NAMES[name]: value for name, value in settings.items() if name in _NAMES}
    if str(settings.get("ssl.endpoint.identification.algorithm", "https")).lower() == "none":
        ours["ssl_check_hostname"] = False
    if "SSL" in ours["security_protocol"] and _is_false(settings.get("enable.ssl.certificate.verification", True)):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        ours["ssl_context"] = context
    return ours


def _is_false(value: object) -> bool:
    return str(value).lower() in {"false", "0", "no"}


@contextlib.contextmanager
def said(ours: Mapping[str, Any], doing: str) -> Iterator[None]:
    """kafka-python's errors in our words; no secret in them."""
    mechanism = (
        f", {ours['sasl_mechanism']}" if "SASL" in ours["security_protocol"] and "sasl_mechanism" in ours else ""
    )
    where = f"{','.join(ours['bootstrap_servers'])} ({ours['security_protocol'].lower()}{mechanism})"
    try:
        yield
    except kafka.errors.TopicAlreadyExistsError as failure:
        raise LogMisfit(f"{doing}: it exists already") from failure
    except (kafka.errors.AuthorizationError, kafka.errors.SaslAuthenticationFailedError) as failure:
        raise LogMisfit(f"{doing}: Kafka at {where} refuses us: {failure}", "check the user's rights") from failure
    except kafka.errors.UnknownTopicOrPartitionError as failure:
        raise LogMisfit(f"{doing}: there is no such topic", "`headrace topics check CONFIG` says which") from failure
    except (kafka.errors.MessageSizeTooLargeError, kafka.errors.RecordListTooLargeError) as failure:
        raise OutputTooLarge(f"{doing}: {failure}", "raise max.message.bytes on the topic") from failure
    except kafka.errors.KafkaError as failure:
        raise LogUnavailable(f"{doing}: Kafka at {where} does not answer: {failure}") from failure


@contextlib.contextmanager
def connected(settings: Mapping[str, object], ours: Mapping[str, Any]) -> Iterator[Callable[..., KafkaNetClient]]:
    """Makes kafka-python's network client for the constructor called inside; closes it when that fails.

    kafka-python 3.0.12 would leave its thread and sockets behind, and calls a refused login a timeout: so librdkafka knocks
    first.
    """
    knock(Settings(settings, str(ours["client_id"])))
    made: list[KafkaNetClient] = []

    def make(**config: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**config))
        return made[-1]

    try:
        with said(ours, "connecting"):
            yield make
    except LogError:
        for client in made:
            client.close()
            client._net.stop()  # noqa: SLF001 (as KafkaAdminClient.close does)
        raise
