"""From settings to a fold: the plain arguments that the pure rooms get. No logic of its own; read build.py next."""

import functools
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from learners.aged import bare
from learners.base import Learner, Problem
from learners.explanations.background import Background
from learners.features.base import FeatureStage
from learners.metrics.build import make as make_metrics
from learners.metrics.coverage import Coverage
from learners.rows import Layout
from stream.build_features import build_features
from stream.build_finds import build_finds
from stream.codec import EventDecoder, LabelDecoder
from stream.config import Config, fold_config
from stream.config_learners import members_of
from stream.config_loading import nearest
from stream.config_sections import DetectorSpec, FeatureSignal, FieldDelay
from stream.config_specs import codec_specs, exempt_if
from stream.config_thresholds import AlertThreshold
from stream.config_values import Duration, EventCount
from stream.errors import ConfigError
from stream.parts import build_detector, build_learner
from stream.pipeline.budget import Budget
from stream.pipeline.clock import Clock
from stream.pipeline.fold import Fold
from stream.pipeline.join import Join
from stream.pipeline.rules import FOREVER, JoinRules
from stream.pipeline.state import PipelineState, Plan, Roles, Watch
from stream.records import Input

VERSIONS = ("headrace", "river", "numpy", "numba", "scipy")
"""Distributions whose version may change an answer."""


def lineage(config: Config, identity: Mapping[str, object]) -> dict[str, object]:
    """What results depend on beside the records: settings that change answers, versions, topics.

    Parameters
    ----------
    identity : mapping
        The log's: topic ids and partition counts.
    """
    versions = {name: importlib.metadata.version(name) for name in VERSIONS}
    python = ".".join(platform.python_version_tuple()[:2])
    told = {"answers": config.answers(), "versions": {"python": python, **versions}, "log": dict(identity)}
    plain: dict[str, object] = json.loads(json.dumps(told))
    return plain


def lineage_digest(lineage: Mapping[str, object]) -> str:
    """Eight hexadecimal digits for people and headers."""
    return hashlib.sha256(json.dumps(lineage, sort_keys=True).encode()).hexdigest()[:8]


def build_fold(lineage: dict[str, object], inputs: Sequence[Input], *, allow: Collection[str] | None = None) -> Fold:
    """A fresh fold, as the lineage tells.

    Parameters
    ----------
    lineage : dict
        As ``lineage`` makes it. It may come from a journal, so it constructs nothing but what ``allow`` admits.
    inputs : sequence of Input
        The task's: events first.
    allow : collection of str, optional
        Top-level packages that parts may come from; None admits all.

    Raises
    ------
    ConfigError
        Something cannot be built, or is not available in this version.
    """
    answers = lineage["answers"]
    assert isinstance(answers, dict)
    config = fold_config(answers)
    specs = codec_specs(config)
    problem = specs.target.problem
    layout = Layout(specs.events.features)
    width = _width(config)
    learners = build_learners(config, problem, width, allow=allow)
    _check_layout(layout, learners)
    _check_weights(config, learners)
    log = lineage["log"]
    features = build_features(config, layout, log if isinstance(log, dict) else {}) if config.features else ()
    _check_signals(config, layout, features)
    threshold, budget = _threshold(config)
    state = PipelineState(
        clock=Clock(config.time_jump_max.ms),
        join=Join(_rules(config), layout, specs.target.classes),
        learners=learners,
        roles=Roles(config.champion),
        metrics={
            name: make_metrics(problem, threshold=threshold, window=config.metrics.window, width=width)
            for name in learners
        },
        coverage=Coverage(),
        watches=tuple(_watch(spec, config, allow) for spec in config.detectors),
        features=features,
        finds=build_finds(config, layout),
        background=Background() if config.predictions.reasons else None,
        budgets={} if budget is None else {name: budget() for name in learners},
    )
    return Fold(
        state=state,
        plan=Plan(
            problem=problem,
            champion=config.champion,
            inputs=tuple(inputs),
            threshold=threshold,
            learn_errors_max=config.learn_errors_max,
            reasons=config.predictions.reasons,
            lineage=lineage_digest(lineage),
            limits=specs.limits,
        ),
        event_decoder=EventDecoder(specs.events, specs.limits, specs.target),
        label_decoder=None if specs.labels is None else LabelDecoder(specs.labels, specs.limits, specs.target),
        specifications=_specifications(answers, state),
    )


def build_learners(
    config: Config, problem: Problem, width: int, *, allow: Collection[str] | None = None
) -> dict[str, Learner]:
    """Fresh ones, by name, in the configured order. Raises ConfigError naming the learner."""
    learners = {}
    for name, spec in config.learners.items():
        try:
            learners[name] = build_learner(spec, problem, width, allow=allow)
        except ConfigError as error:
            raise ConfigError(f"learner {name}: {error.message}", error.hint) from error
    return learners


def _threshold(config: Config) -> tuple[float, Callable[[], Budget] | None]:
    """The fixed one, or what it is at first and who says what it is then."""
    asked, fixed = config.predictions.threshold, config.predictions.fixed_threshold
    if not isinstance(asked, AlertThreshold):
        assert fixed is not None
        return fixed, None
    count, period_ms, by_key = asked.alerts.count, asked.alerts.period_ms, asked.per == "key"
    return asked.at_first, functools.partial(
        Budget, count, period_ms, by_key=by_key, at_first=asked.at_first, median_of=asked.median_of, most=asked.most
    )


def _check_layout(layout: Layout, learners: Mapping[str, Learner]) -> None:
    for name, learner in learners.items():
        if layout.is_open and getattr(learner, "needs_matrix", False):
            raise ConfigError(
                f"learner {name} runs on arrays, so the features must be known beforehand",
                "list them: `events: {features: [...]}`",
            )


def _check_signals(config: Config, layout: Layout, features: Sequence[FeatureStage]) -> None:
    """Where features are computed, a detector may watch one of them (of others config.py has seen)."""
    names = {*layout.names, *(name for stage in features for name in stage.names)}
    for spec in config.detectors if features else ():
        if isinstance(spec.signal, FeatureSignal) and (name := spec.signal.feature) not in names:
            raise ConfigError(f"detector {spec.name}: there is no feature {name!r}{nearest(name, names)}")


def _check_weights(config: Config, learners: Mapping[str, Learner]) -> None:
    assume = config.labels.assume if config.labels is not None else None
    if assume is None or assume.correction_weight == 1.0:
        return
    for name, learner in learners.items():
        if not getattr(bare(learner), "takes_weight", True):
            raise ConfigError(
                f"learner {name} learns without weights, and `correction_weight` is {assume.correction_weight:g}",
                "leave it out, or take a linear model, a Hoeffding tree or a bagging of them",
            )


def _classes(config: Config) -> Sequence[str]:
    return (config.labels.classes or ()) if config.labels is not None else ()


def _width(config: Config) -> int:
    if config.problem != "multiclass" or config.labels is None:
        return 1
    return config.labels.classes_max if config.labels.new_classes else len(_classes(config))


def _rules(config: Config) -> JoinRules:
    labels = config.labels
    if labels is None:
        return JoinRules(wait_ms=config.events.remember.ms, field_delay_ms=0, park_ms=0)
    assume, rides, delay = labels.assume, labels.field is not None, labels.delay
    after_ms = 0 if labels.at_once else delay.ms if isinstance(delay, Duration) else None
    return JoinRules(
        wait_ms=config.events.remember.ms if labels.at_once else labels.wait.ms,
        field_delay_ms=after_ms if rides else None,
        field_delay_events=delay.events if isinstance(delay, EventCount) and after_ms is None else None,
        field_delays=isinstance(delay, FieldDelay),
        assume=None if assume is None else _assumed(config, assume.value),
        assume_after_ms=FOREVER if assume is None else assume.after.ms,
        correction_weight=1.0 if assume is None else assume.correction_weight,
        exempt=exempt_if(config),
        last_wins=labels.conflict == "last",
        park_ms=labels.park.ms,
        park_max=labels.park_max,
        waiting_max=labels.waiting_max,
        broadcast=labels.partitioning == "broadcast",
        open_classes=labels.new_classes,
        classes_max=labels.classes_max,
        truths=config.problem in {"binary", "anomaly"},
    )


def _assumed(config: Config, value: Any) -> float:
    if config.problem != "multiclass":
        return float(value)
    classes = list(_classes(config))
    name = str(value).lower() if isinstance(value, bool) else str(value)
    if name not in classes:
        raise ConfigError(f"labels.assume: {name!r} is not one of the classes", f"classes are {', '.join(classes)}")
    return float(classes.index(name))


def _watch(spec: DetectorSpec, config: Config, allow: Collection[str] | None) -> Watch:
    detector = build_detector(spec.detector, allow=allow)
    feature = spec.signal.feature if isinstance(spec.signal, FeatureSignal) else None
    if getattr(detector, "binary", False) and (spec.signal != "error" or config.problem == "regression"):
        raise ConfigError(
            f"detector {spec.name} takes only 0 and 1, so it watches `signal: error` of a classification",
            "use adwin, page_hinkley or kswin for other signals",
        )
    return Watch(
        name=spec.name,
        signal="feature" if isinstance(spec.signal, FeatureSignal) else spec.signal,
        feature=feature,
        detector=detector,
        response=spec.response,
        learners=tuple(config.champion if name == "champion" else name for name in spec.learners),
    )


def _specifications(answers: Mapping[str, Any], state: PipelineState) -> dict[str, object]:
    """Of each part, the settings that its state depends on."""
    shape = {key: answers["events"][key] for key in ("id", "key", "time", "features", "exclude")}
    labels = answers["labels"] or {}
    target = {"problem": answers["problem"], "classes": labels.get("classes"), "open": labels.get("new_classes")}
    rows = {"features": shape["features"], "keeps_rows": state.join.keeps_rows, **target}
    if hidden := [one.name for one in state.join.layout.features or () if one.hidden]:
        rows["hidden"] = hidden
    if answers["features"]:
        shape["computed"] = answers["features"]
    specifications: dict[str, object] = {"clock": None, "coverage": None, "join": rows}
    if state.join.rules.field_delays:  # each row says when it is due, which others' rows do not
        rows["delays"] = True
    specifications["roles"] = {"champion": answers["champion"], "learners": answers["order"]}
    detectors = {spec["name"]: spec for spec in answers["detectors"]}
    for name in state.learners:
        specifications[f"learner/{name}"] = {**_learner(answers["learners"], name), "events": shape, **target}
        specifications[f"metrics/{name}"] = {
            "threshold": {"threshold": answers["predictions"]["threshold"]},
            "metrics": {"window": answers["metrics"]["window"]}, **target,
        }  # fmt: skip
    for name in state.budgets:
        learner = specifications[f"learner/{name}"]
        specifications[f"threshold/{name}"] = {"learner": learner, **answers["predictions"]["threshold"]}
    for watch in state.watches:
        specifications[f"detector/{watch.name}"] = detectors[watch.name]
    specs = [one for one in answers["features"] if "window" in one]
    for stage, spec in zip([stage for stage in state.features if stage.codec], specs, strict=True):
        specifications[f"features/{stage.name}"] = {"stage": spec, "events": {**shape, "computed": None}}
    if state.finds is not None:
        specifications["finds"] = {"metrics": answers["metrics"], "key": answers["events"]["key"], "labels": labels}
    if state.background is not None:
        specifications["background"] = {"events": shape}
    return specifications


def _learner(specs: Mapping[str, Any], name: str) -> dict[str, object]:
    """A learner's specification; of a blend its members' too, for its weights are of them."""
    members = {one: _learner(specs, one) for one in members_of(specs[name])}
    return {"learner": specs[name], "members": members} if members else {"learner": specs[name]}
