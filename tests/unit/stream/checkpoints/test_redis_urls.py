"""What is said of a Redis without one: endpoints, secrets, wrong URLs, nobody there."""

import pytest

from stream.checkpoints.redis import RedisStore
from stream.errors import ConfigError, StoreUnavailable

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("redis://localhost", "localhost:6379/0"),
        (f"redis://user:{SECRET}@example:6380/3", "example:6380/3"),
        (f"rediss://:{SECRET}@example", "example:6379/0"),
        (f"unix://:{SECRET}@/run/redis.sock?db=2", "/run/redis.sock/2"),
    ],
)
def test_the_endpoint_names_the_place_and_not_the_secret(url, endpoint):
    """In messages and in repr."""
    store = RedisStore(url)
    assert store.endpoint == endpoint
    assert SECRET not in repr(store)


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://localhost:port", f"{SECRET}@x"])
def test_a_wrong_url_is_the_operators_mistake(url):
    """With the forms that there are, and without what was given: it may hold a secret."""
    with pytest.raises(ConfigError, match="redis://host:port/0") as caught:
        RedisStore(url)
    assert SECRET not in str(caught.value)


def test_nobody_there_is_unavailable(tmp_path):
    """Every call says so with the endpoint, and never with the password."""
    store = RedisStore(f"unix://{tmp_path}/none.sock", password=SECRET, timeout_s=0.2)
    for call in (
        store.verify,
        store.tasks,
        lambda: list(store.heads("t/0")),
        lambda: store.missing("t/0", ["0" * 64]),
        lambda: store.put("t/0", {"0" * 64: b""}),
        lambda: store.advance("t/0", b"", token=1, position=1, digests=[], keep=1),
    ):
        with pytest.raises(StoreUnavailable, match=r"none\.sock") as caught:
            call()
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("task", ["", "a{b", "a}b"])
def test_a_task_keeps_its_hash_tag_whole(task):
    """Braces in a name would spread its keys over a cluster's slots."""
    with pytest.raises(ValueError, match="braces"):
        RedisStore("redis://localhost").put(task, {"0" * 64: b""})
