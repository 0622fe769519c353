import json
import pickle

import pytest
from pydantic import BaseModel, ConfigDict

from stream.config_values import Duration, Every, KafkaSetting, Secret, StoreAddress, is_secret


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("7d", 604_800_000),
        ("30m", 1_800_000),
        ("1h30m", 5_400_000),
        ("250ms", 250),
        ("0.05s", 50),
        (2, 2000),
        (0.5, 500),
    ],
)
def test_durations(text: object, ms: int) -> None:
    """Durations are read as people write them; a bare number is seconds."""
    assert Duration.parse(text).ms == ms


@pytest.mark.parametrize(
    "text", ["7x", "", "d", "-1d", "1d 2h", True, None, float("nan"), float("inf"), "1e9", "999999w"]
)
def test_no_durations(text: object) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="duration"):
        Duration.parse(text)


@pytest.mark.parametrize("ms", [0, 1, 250, 1000, 61_000, 5_400_000, 90_061_001])
def test_durations_come_back(ms: int) -> None:
    """The text of a duration reads as the same duration."""
    assert Duration.parse(str(Duration(ms))) == Duration(ms)


def test_every_counts_events() -> None:
    """`100_000 events` is a number of records."""
    assert Every.parse("100_000 events") == Every(100_000, None)


def test_every_counts_time() -> None:
    """`30s` is a time."""
    assert Every.parse("30s") == Every(None, 30.0)


@pytest.mark.parametrize("text", ["100_000 events", "1m30s"])
def test_every_comes_back(text: str) -> None:
    """The text of an `every` is as it was written."""
    assert str(Every.parse(text)) == text


@pytest.mark.parametrize("text", [100, "0s", "0 events", "often", None])
def test_no_every(text: object) -> None:
    """A number without a unit, nothing, and never are refused."""
    with pytest.raises(ValueError, match=r"expected|at least"):
        Every.parse(text)


class Holder(BaseModel):
    model_config = ConfigDict(strict=True)
    settings: dict[str, KafkaSetting]


def test_a_secret_never_prints() -> None:
    """Neither repr, nor str, nor the JSON of a model that holds it shows a secret."""
    holder = Holder(settings={"sasl.password": Secret("hunter2")})
    shown = f"{holder} {holder!r} {holder.model_dump_json()} {json.dumps(holder.model_dump())}"
    assert "hunter2" not in shown
    assert "***" in shown


def test_a_secret_is_given_on_demand() -> None:
    """`get` is the one way to the value."""
    assert Secret("hunter2").get() == "hunter2"


def test_a_secret_is_not_pickled() -> None:
    """A secret cannot slip into a checkpoint."""
    with pytest.raises(TypeError):
        pickle.dumps(Secret("hunter2"))


@pytest.mark.parametrize(
    "name",
    ["sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"],
)
def test_secret_settings(name: str) -> None:
    """Kafka's settings that hold secrets are known by name."""
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["bootstrap.servers", "ssl.key.location", "sasl.oauthbearer.token.endpoint.url", "linger.ms"]
)
def test_open_settings(name: str) -> None:
    """Places and numbers are no secrets."""
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("redis://localhost:6379/0", "redis"),
        ("unix:///tmp/r.sock", "redis"),
        ("embedded", "embedded"),
        ("./dir", "files"),
    ],
)
def test_stores(text: str, kind: str) -> None:
    """The kind of store follows from the address."""
    assert StoreAddress.parse(text).kind == kind


def test_a_store_hides_its_password() -> None:
    """An address with a password prints without it, and holds it for the client."""
    store = StoreAddress.parse("redis://me:hunter2@host:6379/0")
    assert (str(store), "hunter2" in repr(store), store.location.get()) == (
        "redis://***@host:6379/0",
        False,
        "redis://me:hunter2@host:6379/0",
    )


@pytest.mark.parametrize("text", ["mongo://me:hunter2@x", "redis//:hunter2@host", "checkpoints", "", 7])
def test_no_stores(text: object) -> None:
    """What is not a store is refused without repeating what may be a password."""
    with pytest.raises(ValueError, match=r"store|expected") as caught:
        StoreAddress.parse(text)
    assert "hunter2" not in str(caught.value)
