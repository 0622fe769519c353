"""From the `features:` section to the stages that compute them. Read learners/features/windows.py for what they do."""

from collections.abc import Mapping
from typing import Any

from learners.features.base import FeatureStage
from learners.rows import TEXTS, Layout
from stream.config import Config
from stream.config_features import FeatureStage as StageSpec
from stream.config_features import LabelValue, Window
from stream.config_loading import nearest
from stream.errors import ConfigError


def build_features(config: Config, layout: Layout, log: Mapping[str, Any]) -> tuple[FeatureStage, ...]:
    """Fresh stages, in the configured order.

    Parameters
    ----------
    layout : Layout
        Of the events' own fields, hidden ones included.
    log : mapping
        The log's identity: with several partitions a window must be kept by the events' key.

    Raises
    ------
    ConfigError
        What cannot be computed, and why.
    """
    stages: list[FeatureStage] = []
    texts = {feature.name for feature in layout.features or () if feature.kind in TEXTS}
    taken = {feature.name for feature in layout.features or ()}
    parts: set[str] = set()
    hidden = {feature.name for feature in layout.features or () if feature.hidden}
    for place, spec in enumerate(config.features):
        at = f"features[{place}]"
        try:
            if spec.window is not None:
                _check_window(config, spec.window, int(log.get("partitions", 1)))
            stage = _stage(config, spec, texts, taken)
        except ValueError as error:
            raise ConfigError(f"{at}: {error}") from error
        except ConfigError as error:
            raise ConfigError(f"{at}: {error.message}", error.hint) from error
        for name in stage.names:
            if name in hidden:
                raise ConfigError(
                    f"{at}: {name!r} is computed, and windows are over fields of the events and over labels"
                )
            if name in taken:
                raise ConfigError(f"{at}: there is a feature {name!r} already", "give one of the two another `name`")
            taken.add(name)
        if stage.codec:
            if stage.name in parts:
                raise ConfigError(
                    f"{at}: there are windows {stage.name!r} already", "give one of the two another `name`"
                )
            parts.add(stage.name)
        stages.append(stage)
    return tuple(stages)


def _stage(config: Config, spec: StageSpec, texts: set[str], taken: set[str]) -> FeatureStage:
    from learners.features import stages  # noqa: PLC0415 - only where features are computed

    if spec.calendar is not None:
        return stages.Calendar(spec.calendar.compute, spec.calendar.zone, spec.calendar.night)
    if spec.window is not None:
        return _windows(config, spec.window, texts)
    pair = spec.ratio or spec.difference
    assert pair is not None
    for name in (pair.of, pair.to):
        if name not in taken or name in texts:
            if name in texts:
                raise ConfigError(f"{name!r} is text; ratios and differences are of numbers")
            what = f"{name!r} is no feature of the events, and none that is computed above"
            raise ConfigError(what + nearest(name, taken - texts), f"there are {', '.join(sorted(taken - texts))}")
    return stages.Pair("difference" if spec.ratio is None else "ratio", pair.of, pair.to, pair.name)


def _windows(config: Config, window: Window, texts: set[str]) -> FeatureStage:
    from learners.features.windows import Windows  # noqa: PLC0415 - Numba takes a second to import

    of, lag_ms = window.of, None
    if isinstance(of, LabelValue):
        if config.labels is None or config.problem == "multiclass":
            raise ConfigError("windows of labels need labels that are numbers or true and false")
        lag_ms = None if of.label is None else of.label.lag.ms
        of = None
    elif of is None:
        of = ""
    return Windows(
        [one.field for one in window.by],
        of,
        window.compute,
        {str(span): span.ms for span in window.over},
        lag_ms=lag_ms,
        late_ms=window.late.ms,
        present=window.present,
        tiles=window.tiles,
        text=of in texts,
        name=window.name,
    )


def _check_window(config: Config, window: Window, partitions: int) -> None:
    by = [one.field for one in window.by]
    if len(set(by)) < len(by):
        raise ConfigError(f"`by` names {by[0]!r} twice")
    if partitions > 1 and not window.partial and config.events.key not in by:
        raise ConfigError(
            f"the events are in {partitions} partitions by {config.events.key or 'no key'}, so a task sees only its part of "
            f"each {' and '.join(by)}",
            f"key the events by {by[0]}, use one partition, or accept it with `partial: true`",
        )
