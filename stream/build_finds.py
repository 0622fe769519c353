"""From `metrics: {top: 100}` to what measures it. Read learners/metrics/finds.py for what that is."""

from learners.metrics.finds import Finds
from learners.rows import TEXTS, Layout
from stream.config import Config
from stream.errors import ConfigError


def build_finds(config: Config, layout: Layout) -> Finds | None:
    """Nothing measured yet; None where nothing is to be. Raises ConfigError where it cannot be measured."""
    if config.metrics.top is None:
        return None
    key, labels = config.events.key, config.labels
    if config.problem not in {"binary", "anomaly"} or labels is None:
        raise ConfigError("metrics.top: the best keys of a day are told of labels that are true or false")
    if key is None:
        raise ConfigError("metrics.top: events have no key", "name its field: `events: {key: card_id}`")
    kind = next((feature.kind for feature in layout.features or () if feature.name == key), None)
    if kind not in TEXTS:
        raise ConfigError(
            f"metrics.top: {key!r} is not kept with events whose features are open"
            if kind is None
            else f"metrics.top: {key!r} is listed as a {kind}",
            "list the features: `events: {features: [...]}`, without the key or with it as text",
        )
    wait = labels.wait if labels.assume is None else labels.assume.after
    return Finds(config.metrics.top, key, wait_ms=wait.ms)
