"""The containers, read as text and held against what they run: no Docker is needed for these tests."""

import argparse
import importlib
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from stream.cli.main import VERBS
from stream.config import load
from stream.feeds.fraud import FraudFeed

ROOT = Path(__file__).parents[2]
COMPOSE = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
CONFIGURATION = ROOT / "deploy" / "compose" / "fraud.yaml"
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)

every_service = pytest.mark.parametrize("name", sorted(SERVICES))
every_service_of_ours = pytest.mark.parametrize("name", OURS)


@pytest.fixture(scope="module")
def config():
    return load(CONFIGURATION, {})


def parsed(name):
    """A service's command through the arguments of its verb."""
    verb, *rest = SERVICES[name]["command"]
    module = importlib.import_module(VERBS[verb].module)
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    return parser.parse_args(rest)


def ends(service):
    return service.get("restart") == "no"


def test_the_services_are_there():
    """A broker, a store, the topics, the worker and a feed."""
    assert set(SERVICES) == {"kafka", "redis", "topics", "worker", "feed"}


@every_service
def test_service_has_an_image_with_a_version(name):
    """An image that is built here, or one with a tag that is not `latest`."""
    service = SERVICES[name]
    assert "build" in service or re.search(r":\d", service["image"])


@every_service
def test_service_that_stays_is_watched(name):
    """What runs on has a health check and comes back; what ends has neither."""
    service = SERVICES[name]
    if ends(service):
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


@every_service
def test_dependency_waits_for_what_it_needs(name):
    """What stays is waited for until it is healthy, what ends until it ended well."""
    for other, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if ends(SERVICES[other]) else "service_healthy"
        assert how["condition"] == wanted, other


@every_service
def test_port_is_on_the_loopback_interface_only(name):
    """Nothing is published to the network."""
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@every_service
def test_volume_is_declared_or_a_file_of_the_repository(name):
    """A named volume stands under `volumes`; a mounted file exists and is read-only."""
    for volume in SERVICES[name].get("volumes", []):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (ROOT / source).is_file()
            assert rest.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_no_declared_volume_is_unused():
    """Each has a service."""
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert set(COMPOSE["volumes"]) <= used


@every_service_of_ours
def test_command_is_a_verb_with_its_arguments(name):
    """The verb exists and takes them."""
    assert parsed(name)


def test_topics_are_created_with_the_inputs():
    """The broker makes none by itself, so the partition count is said here."""
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert parsed("topics").partitions >= 1


def test_kafka_is_the_one_that_tests_run():
    """The image has the version of tools/kafka/pom.xml."""
    pom = ET.parse(ROOT / "tools" / "kafka" / "pom.xml")
    maven = "{http://maven.apache.org/POM/4.0.0}"
    versions = {
        dependency.findtext(f"{maven}artifactId"): dependency.findtext(f"{maven}version")
        for dependency in pom.iter(f"{maven}dependency")
    }
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{versions['kafka_2.13']}"


def test_redis_keeps_what_it_is_given():
    """It writes to its volume and never evicts."""
    command = SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


@every_service_of_ours
def test_configuration_is_mounted_where_the_command_looks(name):
    """A path in a command is a mounted file."""
    targets = {volume.split(":")[1] for volume in SERVICES[name]["volumes"]}
    paths = {word for word in SERVICES[name]["command"] if word.startswith("/")}
    assert paths <= targets


def test_configuration_lies_where_the_key_can_be_kept():
    """Its directory is a named volume that the image's user owns: a generated checkpoint key outlives the container."""
    volumes = dict(volume.split(":")[:2] for volume in SERVICES["worker"]["volumes"])
    state = volumes["worker-state"]
    assert str(Path(SERVICES["worker"]["command"][-1]).parent) == state
    assert f"--home-dir {state}" in DOCKERFILE
    assert f"VOLUME {state}" in DOCKERFILE


def test_configuration_names_the_services(config):
    """The worker's broker and store are the services, by name and inner port."""
    assert config.kafka["bootstrap.servers"] == "kafka:9092"
    assert "INSIDE://kafka:9092" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert str(config.checkpoints.store) == "redis://redis:6379/0"


def test_feed_sends_to_the_topics_that_the_worker_reads(config):
    """The same topics, the same cluster."""
    feed = parsed("feed")
    assert feed.events_topic == config.events.topic
    assert feed.labels_topic == config.labels.topic
    assert feed.kafka == config.kafka["bootstrap.servers"]


def test_configuration_reads_the_feeds_fields(config):
    """Ids, keys, times and features are fields of the feed, of the types that it sends."""
    feed = FraudFeed(1, 1, customers=50)
    event, label = next(feed.events()), next(feed.labels())
    types = {"number": (int, float), "boolean": bool, "text": str}
    assert {config.events.id, config.events.key, config.events.time.field} <= event.keys()
    assert all(isinstance(event[feature.name], types[feature.type]) for feature in config.events.features)
    assert {config.labels.id, config.labels.value, config.labels.time.field} <= label.keys()


def test_health_is_asked_where_the_worker_serves(config):
    """The image, the service and the published port speak of the configured port."""
    address = f"http://127.0.0.1:{config.serve.port}/healthz"
    assert address in DOCKERFILE
    assert address in SERVICES["worker"]["healthcheck"]["test"][-1]
    assert SERVICES["worker"]["ports"] == [f"127.0.0.1:{config.serve.port}:{config.serve.port}"]


def test_image_installs_the_lock_and_runs_as_nobody_special():
    """Hashes are required, and the last user is not root."""
    assert "--require-hashes --requirement requirements.lock" in DOCKERFILE
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)[-1] == "headrace"


@pytest.mark.parametrize("package", ["learners", "detectors", "stream"])
def test_image_gets_every_package(package):
    """Each is copied, and let through to the build."""
    assert f"COPY {package} ./{package}" in DOCKERFILE
    assert f"!{package}" in (ROOT / ".dockerignore").read_text().splitlines()
