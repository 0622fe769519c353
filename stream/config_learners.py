"""The shape of what stands under ``learners:``: a part, a chain, a factory, a blend, and which labels one learns.

Shapes only: what a blend's members are is checked against the other learners in config.py, and parts.py constructs. A
learner is told apart by its key: a dotted path is a part, ``factory``, ``blend`` and ``learn`` are what they say.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from stream.config_values import Duration, part_shape, plain, wrong


class Ages(NamedTuple):
    """Which labels a learner learns, by the time from the event to its label: ``after < age <= within``."""

    after_ms: int | None
    within_ms: int | None


def learner_shape(value: Any) -> Any:
    """The shape of a learner; durations in it are written as ``Duration`` writes them."""
    if isinstance(value, Mapping):
        for key, shape in (("learn", _learn_shape), ("factory", _factory_shape), ("blend", _blend_shape)):
            if key in value:
                return shape(value)
    if isinstance(value, (list, tuple)):
        if not value:
            raise wrong("a chain needs at least one part")
        for item in value:
            part_shape(item)
        return value
    return part_shape(value)


def _only(value: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    if unknown := sorted(str(key) for key in value if key not in keys):
        there = f"there is `{'`, `'.join(keys[1:])}`" if keys[1:] else "it stands alone"
        raise wrong(f"unknown key `{unknown[0]}` beside `{keys[0]}`; {there}")


def _factory_shape(value: Mapping[str, Any]) -> Any:
    _only(value, ("factory", "parameters"))
    factory, parameters = value["factory"], value.get("parameters") or {}
    if not isinstance(factory, str) or factory.count(":") != 1 or not all(factory.split(":")):
        raise wrong(f"`factory` is `module:function`, got {factory!r}")
    if not isinstance(parameters, Mapping):
        raise wrong("`parameters` of a factory is a mapping")
    plain(parameters)
    return value


def _blend_shape(value: Mapping[str, Any]) -> Any:
    _only(value, ("blend",))
    told = value["blend"]
    if not isinstance(told, Mapping) or "of" not in told:
        raise wrong("a blend is `{blend: {of: [names of learners], by: fixed_share}}`")
    members = told["of"]
    if not isinstance(members, (list, tuple)) or not all(isinstance(name, str) and name for name in members):
        raise wrong("`of` of a blend lists the names of learners")
    if len(members) < 2:
        raise wrong("a blend is `of` two learners or more")
    if twice := sorted({name for name in members if members.count(name) > 1}):
        raise wrong(f"a blend has {twice[0]!r} twice")
    plain(told)
    return value


def _learn_shape(value: Mapping[str, Any]) -> Any:
    _only(value, ("learn", "labels"))
    inner = learner_shape(value["learn"])
    if isinstance(inner, Mapping) and "learn" in inner:
        raise wrong("`learn` stands in `learn`; once is enough")
    labels = value.get("labels")
    if not isinstance(labels, Mapping) or not labels:
        raise wrong("beside `learn` say which labels: `labels: {within: 1h}` or `labels: {after: 1h}`")
    if unknown := sorted(str(key) for key in labels if key not in {"within", "after"}):
        raise wrong(f"unknown key `{unknown[0]}` in a learner's `labels`; there are `within` and `after`")
    ages = {key: Duration.parse(labels[key]) for key in ("after", "within") if key in labels}
    if len(ages) == 2 and ages["after"] >= ages["within"]:
        raise wrong(f"no label comes after {ages['after']} and within {ages['within']}")
    return {"learn": inner, "labels": {key: str(age) for key, age in ages.items()}}


def learned_by(spec: Any) -> Any:
    """The learner of a specification that says which labels it learns; any other as it is."""
    return spec["learn"] if isinstance(spec, Mapping) and "learn" in spec else spec


def ages_of(spec: Any) -> Ages | None:
    """Which labels a specification says to learn; None: all."""
    if not isinstance(spec, Mapping) or "learn" not in spec:
        return None
    after, within = (spec["labels"].get(key) for key in ("after", "within"))
    return Ages(*(None if age is None else Duration.parse(age).ms for age in (after, within)))


def members_of(spec: Any) -> tuple[str, ...]:
    """Names of the learners that a specification blends; empty for others."""
    inner = learned_by(spec)
    return tuple(inner["blend"]["of"]) if isinstance(inner, Mapping) and "blend" in inner else ()
