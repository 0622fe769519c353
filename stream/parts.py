"""Parts from their grammar: a name, or one name with its parameters, becomes a learner or a detector.

One rule: a one-key mapping whose key contains a dot is constructed, at any depth; its parameters are a mapping (by
name), a list (by position), one such mapping (a single object), or nothing; everything else is a value. A list of
parts is a chain. Modules are imported when they are named, never before. It does not check what a learner promises
(learners/conformance.py) and knows no settings; read learners/river.py and detectors/names.py next.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from types import ModuleType
from typing import Any

from detectors.base import Detector
from learners.aged import Aged
from learners.base import Learner, Problem
from learners.blend import Blend
from stream.config_learners import ages_of, learned_by, members_of
from stream.config_loading import nearest
from stream.errors import ConfigError


def construct(spec: object, *, allow: Collection[str] | None = None) -> Any:
    """The object that a part says.

    Parameters
    ----------
    spec : str or mapping
        ``river.preprocessing.StandardScaler`` or ``{river.linear_model.LogisticRegression: {l2: 1e-4}}``.
    allow : collection of str, optional
        Top-level packages that may be imported; None allows all. For specifications that come from the log.

    Raises
    ------
    ConfigError
        Unknown module, class or parameter (with the nearest right one), or a constructor that refuses.

    Examples
    --------
    >>> construct({"river.optim.SGD": [0.1]}).lr.value
    0.1
    """
    name, parameters = _split(spec)
    if "." not in name:
        raise ConfigError(f"`{name}` is not a dotted path{_in_river(name)}")
    target = _import(name, allow)
    return _call(name, target, *_arguments(name, parameters, allow))


def build_learner(spec: object, problem: Problem, width: int = 1, *, allow: Collection[str] | None = None) -> Learner:
    """The learner that a configuration describes: a part, a chain of parts, a factory, a blend, or one with its labels.

    An object that keeps ``learners.base.Learner`` already is used as it is; a River estimator is wrapped.

    Parameters
    ----------
    spec : object
        As under ``learners:``.
    problem : Problem
        What is predicted.
    width : int
        Columns of scores: of a multiclass problem the number of classes, else 1.
    allow : collection of str, optional
        As for ``construct``.

    Raises
    ------
    ConfigError
        It cannot be constructed, or does not fit the problem.
    """
    if (ages := ages_of(spec)) is not None:
        return Aged(build_learner(learned_by(spec), problem, width, allow=allow), *ages)
    if members_of(spec):
        return _blend(spec, problem, width)  # type: ignore[arg-type] # it has members, so it is a mapping
    model = _model(spec, allow)
    if isinstance(model, Learner):
        fits = getattr(model, "problems", (problem,))
        if problem not in fits:
            raise ConfigError(f"{type(model).__name__} is for {' and '.join(fits)} problems, not for {problem}")
        return model
    from learners.river import RiverLearner  # noqa: PLC0415 - River takes a second to import

    try:
        return RiverLearner(model, problem, width)
    except ValueError as error:
        raise ConfigError(f"{_title(spec)}: {error}") from error


def _blend(spec: Mapping[str, Any], problem: Problem, width: int) -> Learner:
    told = {str(key): value for key, value in spec["blend"].items()}
    for name in ("problem", "width"):
        if name in told:
            raise ConfigError(f"a blend has no parameter `{name}`")
    try:
        return Blend(problem=problem, width=width, **told)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"blend: {error}") from error


def build_detector(part: object, *, allow: Collection[str] | None = None) -> Detector:
    """The detector that a part names: one of ours by name, or a River drift detector by its dotted path.

    Raises
    ------
    ConfigError
        Unknown name or parameter, or one that cannot be used (unseeded).
    """
    name, parameters = _split(part)
    from detectors.names import make  # noqa: PLC0415 - River takes a second to import
    from detectors.river import RiverDetector  # noqa: PLC0415

    try:
        if "." in name:
            detector = construct(part, allow=allow)
            if _keeps(detector, "watch"):
                return detector  # type: ignore[no-any-return]
            if not _keeps(detector, "update") or not hasattr(detector, "drift_detected"):
                raise ConfigError(f"{name} is not a drift detector: it has no `update` and `drift_detected`")
            return RiverDetector(detector)
        if parameters is not None and not isinstance(parameters, Mapping):
            raise ConfigError(f"{name}: parameters of a detector are named: {{{name}: {{…: …}}}}")
        return make(name, {key: _value(item, allow) for key, item in (parameters or {}).items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"detector {name}: {error}") from error


def _keeps(thing: object, verb: str) -> bool:
    return callable(getattr(thing, verb, None))


def _model(spec: object, allow: Collection[str] | None) -> Any:
    if isinstance(spec, Mapping) and "factory" in spec:
        return _from_factory(str(spec["factory"]), spec.get("parameters") or {}, allow)
    if not isinstance(spec, (list, tuple)):
        return construct(spec, allow=allow)
    steps = [construct(part, allow=allow) for part in spec]
    if len(steps) == 1:
        return steps[0]
    from river.compose import Pipeline  # noqa: PLC0415

    return _call("a chain", Pipeline, steps, {})


def _from_factory(factory: str, parameters: Mapping[str, object], allow: Collection[str] | None) -> Any:
    module_name, _, function_name = factory.partition(":")
    module = _module(module_name, allow)
    if module is None:
        raise ConfigError(f"factory {factory}: there is no module {module_name}")
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ConfigError(
            f"factory {factory}: {module_name} has no function {function_name}{_near(function_name, module)}"
        )
    _check_home(factory, function, allow)
    return _call(factory, function, [], {key: _value(item, allow) for key, item in parameters.items()})


def _split(part: object) -> tuple[str, object]:
    if isinstance(part, str):
        return part, None
    if isinstance(part, Mapping) and len(part) == 1:
        ((name, parameters),) = part.items()
        return str(name), parameters
    raise ConfigError(f"a part is `name` or `{{name: parameters}}`, got {part!r}")


def _title(spec: object) -> str:
    if isinstance(spec, (list, tuple)):
        return " | ".join(_split(part)[0].rpartition(".")[2] for part in spec)
    if isinstance(spec, Mapping) and "factory" in spec:
        return f"factory {spec['factory']}"
    return _split(spec)[0]


def _is_part(value: object) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and "." in str(next(iter(value)))


def _value(value: object, allow: Collection[str] | None) -> Any:
    """A parameter: constructed where it is a part, at any depth."""
    if _is_part(value):
        return construct(value, allow=allow)
    if isinstance(value, Mapping):
        return {key: _value(item, allow) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item, allow) for item in value]
    return value


def _arguments(name: str, parameters: object, allow: Collection[str] | None) -> tuple[list[Any], dict[str, Any]]:
    if parameters is None:
        return [], {}
    if _is_part(parameters):
        return [_value(parameters, allow)], {}
    if isinstance(parameters, Mapping):
        return [], {str(key): _value(item, allow) for key, item in parameters.items()}
    if isinstance(parameters, (list, tuple)):
        return [_value(item, allow) for item in parameters], {}
    raise ConfigError(f"{name}: parameters are a mapping or a list, got {parameters!r}")


def _import(path: str, allow: Collection[str] | None) -> Callable[..., Any]:
    """What a dotted path names: the longest module of it, then attributes."""
    pieces = path.split(".")
    for cut in range(len(pieces) - 1, 0, -1):
        module = _module(".".join(pieces[:cut]), allow)
        if module is None:
            continue
        found: Any = module
        for place, piece in enumerate(pieces[cut:], start=cut):
            if not hasattr(found, piece):
                around = ".".join(pieces[:place])
                raise ConfigError(f"{path}: {around} has no {piece}{_near(piece, found) or _in_river(pieces[-1])}")
            found = getattr(found, piece)
        if not callable(found):
            raise ConfigError(f"{path} is not a class")
        _check_home(path, found, allow)
        return found  # type: ignore[no-any-return]
    raise ConfigError(
        f"{path}: there is no module {pieces[0]}", "is it installed beside headrace, or in this directory?"
    )


def _check_home(path: str, found: object, allow: Collection[str] | None) -> None:
    """What an admitted module only imported is not admitted: ``river.base.base.inspect.os.system`` is a way out."""
    if allow is None:
        return
    home = getattr(found, "__module__", None)
    if not isinstance(home, str) or home.partition(".")[0] not in allow:
        raise ConfigError(
            f"{path} is not of an admitted package, but of {home}; allowed are {', '.join(sorted(allow))}",
            "if it is your own, name it in the configuration by the module that defines it",
        )


def _module(name: str, allow: Collection[str] | None) -> ModuleType | None:
    """The module, None when there is none of that name."""
    package = name.partition(".")[0]
    if allow is not None and package not in allow:
        raise ConfigError(
            f"{name}: importing from {package} is not allowed here; allowed are {', '.join(sorted(allow))}"
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise ConfigError(f"{name} cannot be imported: {error}") from error
    except Exception as error:  # a module of the user's runs its own code
        raise ConfigError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def _call(name: str, target: Callable[..., Any], positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
    _check_parameters(name, target, positional, named)
    try:
        return target(*positional, **named)
    except ConfigError:
        raise
    except Exception as error:  # a constructor may raise anything
        raise ConfigError(f"{name}: {type(error).__name__}: {error}") from error


def _check_parameters(
    name: str, target: Callable[..., Any], positional: Sequence[Any], named: Mapping[str, Any]
) -> None:
    """Python's own check with the nearest names added."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return
    parameters = signature.parameters
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        known = [key for key, one in parameters.items() if one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}]
        for key in named:
            if key not in known:
                others = f"; there are {', '.join(known)}" if known else "; it takes none"
                raise ConfigError(f"{name} has no parameter `{key}`{nearest(key, known) or others}")
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from error


def _near(name: str, around: object) -> str:
    return nearest(name, (each for each in dir(around) if not each.startswith("_")))


def _in_river(name: str) -> str:
    """Where River has a class of this name, or of nearly this name."""
    import river  # noqa: PLC0415 - only to help with a mistake

    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(river.__path__, "river."):
        if module.ispkg and not module.name.endswith((".datasets", ".checks")):
            for each in getattr(importlib.import_module(module.name), "__all__", ()):
                found.setdefault(each, f"{module.name}.{each}")
    near = nearest(name, found)
    return (
        f"; did you mean `{found[near.split('`')[1]]}`?"
        if near
        else "; write one such as river.linear_model.LogisticRegression"
    )
