"""Reading a configuration: YAML 1.2, ``extends``, environment overrides, secrets; and mistakes put into words.

It does not know which settings there are: config.py does. Every key remembers where it was written, so that an error
can say so. YAML 1.2 because 1.1 reads ``on`` as true, ``NO`` as false and ``1e-4`` as text.
"""

import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stream.config_values import Secret
from stream.errors import ConfigError

_VALUES_MAX: Final = 100_000
KeyPath: TypeAlias = tuple[str | int, ...]

PREFIX: Final = "HEADRACE_"
_REPLACED_WHOLE: Final = ("learners", "kafka")
"""What stands under these keys is one value each; ``extends`` and the environment replace it and never mix two."""


@dataclass(slots=True)
class Source:
    """What was read, and where each key stood: ``fraud.yaml, line 3`` or the name of an environment variable."""

    path: Path
    data: dict[str, Any]
    places: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """Where this key, or the nearest one around it, was written."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return str(self.path)


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean `…`?`` or nothing."""
    choices = {str(choice).lower(): str(choice) for choice in known}
    found = difflib.get_close_matches(name.lower(), choices, n=1, cutoff=0.6)
    return f"; did you mean `{choices[found[0]]}`?" if found else ""


def read(path: Path, environment: Mapping[str, str]) -> Source:
    """Read a file, what it extends, and the environment over it. Raises ConfigError."""
    source = _read_file(path, ())
    _override(source, environment)
    _read_secrets(source, environment)
    return source


def _parser() -> YAML:
    return YAML(typ="safe", pure=True)


def _read_file(path: Path, extended_by: tuple[Path, ...]) -> Source:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        by = f" (extended by {extended_by[-1]})" if extended_by else ""
        raise ConfigError(f"{path}: there is no such file{by}", "headrace init writes one that runs") from None
    except (OSError, ValueError) as error:
        by = f" (extended by {extended_by[-1]})" if extended_by else ""
        raise ConfigError(f"{path}: cannot be read{by}: {error}") from None
    node, data = _parsed(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of settings", "headrace init writes one that runs")
    source = Source(path, data, {place: f"{path}, line {line}" for place, line in _lines(node, ())})
    base = data.pop("extends", None)
    if base is None:
        return source
    if not isinstance(base, str):
        raise ConfigError(f"{source.place(('extends',))}: `extends` is the path of one file, got {base!r}")
    if "\0" in base:
        raise ConfigError(f"{source.place(('extends',))}: `extends` is the path of one file, got {base!r}")
    seen = (*extended_by, path.resolve())
    other = path.parent / base
    if other.resolve() in seen:
        raise ConfigError(f"{source.place(('extends',))}: {path.name} and {base} extend one another")
    return _merged(_read_file(other, seen), source)


def _parsed(text: str, where: str) -> tuple[Node | None, Any]:
    """The nodes, and the plain values that they say."""
    try:
        node = _parser().compose(text)
        _weigh(node, {})
        return node, _parser().load(text)
    except YAMLError as error:
        raise ConfigError(f"{where}{_mark(error)}: not YAML: {_problem(error)}") from None
    except ValueError as error:  # a tag or a date that its text does not fit
        raise ConfigError(f"{where}: not YAML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{where}: not a configuration: nested too deeply, or within itself") from None


def _weigh(node: Node | None, known: dict[int, int]) -> int:
    """How many values a node is with all its aliases written out: nine of nine of nine ... are a few lines of YAML.

    Raises RecursionError where one stands within itself.
    """
    if not isinstance(node, (MappingNode, SequenceNode)):
        return 1
    if id(node) not in known:
        inner = [value for key, value in node.value] if isinstance(node, MappingNode) else node.value
        for key, _ in node.value if isinstance(node, MappingNode) else ():
            if not isinstance(key, ScalarNode):
                raise MarkedYAMLError(problem="a key is a plain text", problem_mark=key.start_mark)
        known[id(node)] = 1 + sum(_weigh(value, known) for value in inner)
        if known[id(node)] > _VALUES_MAX:
            raise MarkedYAMLError(problem=f"more than {_VALUES_MAX} values", problem_mark=node.start_mark)
    return known[id(node)]


def _mark(error: YAMLError) -> str:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    return "" if mark is None else f", line {mark.line + 1}"


def _problem(error: YAMLError) -> str:
    return str(getattr(error, "problem", None) or error)


def _lines(node: Node | None, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """The line of every key and element, counted from 1."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, index), value.start_mark.line + 1
            yield from _lines(value, (*path, index))


def _merged(base: Source, over: Source) -> Source:
    """``over`` upon ``base``: mappings key by key, everything else replaced."""
    data = dict(base.data)
    places = dict(base.places)

    def lay(target: dict[str, Any], source: Mapping[str, Any], path: KeyPath) -> None:
        for key, value in source.items():
            here = (*path, key)
            whole = len(path) == 1 and path[0] in _REPLACED_WHOLE
            if isinstance(value, dict) and isinstance(target.get(key), dict) and not whole:
                target[key] = dict(target[key])
                places.update({place: text for place, text in over.places.items() if place == here})
                lay(target[key], value, here)
                continue
            target[key] = value
            for place in [place for place in places if place[: len(here)] == here]:
                del places[place]
            places.update({place: text for place, text in over.places.items() if place[: len(here)] == here})

    lay(data, over.data, ())
    return Source(over.path, data, places)


def _override(source: Source, environment: Mapping[str, str]) -> None:
    """Lay the environment over the settings.

    ``HEADRACE_KAFKA__BOOTSTRAP_SERVERS`` is ``kafka: {bootstrap.servers: …}``; elsewhere ``__`` separates levels. A
    variable without ``__`` counts only when it names a setting that stands in the file, or is a plain one that may:
    a Kubernetes service named headrace brings variables such as HEADRACE_PORT, which are not ours.
    """
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX):
            continue
        levels = variable[len(PREFIX) :].lower().split("__")
        if len(levels) == 1 and levels[0] not in {*source.data, *_PLAIN}:
            continue
        if not all(levels):
            raise ConfigError(f"{variable}: an empty level; `__` separates levels")
        if levels[0] == "kafka" and len(levels) > 1:
            path: KeyPath = ("kafka", ".".join(levels[1:]).replace("_", "."))
            value: Any = text
        else:
            path, value = _matched(source.data, levels), _scalar(variable, text)
        _set(source.data, path, value, variable)
        source.places[path] = variable


_PLAIN: Final = frozenset(
    {"name", "problem", "out", "champion", "learn_errors_max", "time_jump_max", "group", "delivery", "serve"}
    | {"transaction_timeout", "commit_deadline"}
)


def _matched(data: Any, levels: list[str]) -> KeyPath:
    """The levels with the keys as they are spelled in the file."""
    path: list[str] = []
    for level in levels:
        keys = {str(key).lower(): key for key in data} if isinstance(data, dict) else {}
        path.append(keys.get(level, level))
        data = data.get(path[-1]) if isinstance(data, dict) else None
    return tuple(path)


def _scalar(variable: str, text: str) -> Any:
    return _parsed(text, variable)[1]


def _set(data: dict[Any, Any], path: KeyPath, value: Any, variable: str) -> None:
    for depth, key in enumerate(path[:-1]):
        inner = data.get(key)
        if inner is not None and not isinstance(inner, dict):
            where = ".".join(map(str, path[: depth + 1]))
            raise ConfigError(f"{variable}: `{where}` is not a mapping; write it out in the file, or replace it whole")
        data[key] = data = dict(inner or {})
    data[path[-1]] = value


def _read_secrets(source: Source, environment: Mapping[str, str]) -> None:
    """Values ``{env: NAME}`` and ``{file: path}`` under ``kafka``, and the checkpoint store's address."""
    for section, keys in (("kafka", None), ("checkpoints", ("store",))):
        settings = source.data.get(section)
        if isinstance(settings, dict):
            found = {
                key: _secret(value, (section, key), source, environment)
                for key, value in settings.items()
                if isinstance(value, dict) and len(value) == 1 and (keys is None or key in keys)
            }
            source.data[section] = settings | found


def _secret(value: Mapping[Any, Any], path: KeyPath, source: Source, environment: Mapping[str, str]) -> Any:
    where = f"{source.place(path)}: {_dotted(path)}"
    ((kind, name),) = value.items()
    if kind in {"env", "file"} and (not isinstance(name, str) or "\0" in name):
        raise ConfigError(f"{where}: `{kind}` is followed by a name")
    if kind == "env":
        if name not in environment:
            raise ConfigError(f"{where}: the environment variable {name} is not set")
        return Secret(environment[name])
    if kind == "file":
        try:
            return Secret((source.path.parent / str(name)).read_text(encoding="utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: cannot read {name}: {error}") from None
    return value


def _dotted(path: KeyPath) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def explain(error: ValidationError, model: type[BaseModel], source: Source) -> str:
    """All mistakes of a configuration, a line each."""
    lines: dict[str, None] = {}
    errors = error.errors(include_url=False)
    for details in errors:
        if details["type"] == "default_factory_not_called" or _other_branch(details, errors, source.data):
            continue
        path = _written(details["loc"], source.data, missing=details["type"] == "missing")
        at = _dotted(path[:-1] if details["type"] in {"extra_forbidden", "missing"} else path)
        what = _words(details, path, model)
        lines[f"{source.place(path)}: {at + ': ' if at else ''}{what}"] = None
    if len(lines) == 1:
        return next(iter(lines))
    return f"{source.path}: {len(lines)} mistakes\n" + "\n".join(f"  {line}" for line in lines)


def _other_branch(details: ErrorDetails, errors: list[ErrorDetails], data: Any) -> bool:
    """Whether this speaks of the short form of a setting that was written in its long one."""
    *around, branch = details["loc"] or ("",)
    if (
        details["type"] not in {"literal_error", "string_type"}
        or _written(details["loc"], data, missing=False) == details["loc"]
    ):
        return False
    return any(other["loc"][: len(around)] == tuple(around) and branch not in other["loc"] for other in errors)


def _written(loc: KeyPath, data: Any, *, missing: bool) -> KeyPath:
    """The location without the validator's own steps (branches of unions, the filled-in short forms)."""
    path: list[str | int] = []
    for index, key in enumerate(loc):
        found = (isinstance(data, dict) and key in data) or (
            isinstance(data, list) and isinstance(key, int) and key < len(data)
        )
        if found:
            path.append(key)
            data = data[key]
        elif missing and index == len(loc) - 1:
            path.append(key)
    return tuple(path)


def _words(details: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> str:
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    shown = "a mapping" if isinstance(given, dict) else "a list" if isinstance(given, list) else repr(given)
    if path[:1] == ("kafka",) or (path[:1] == ("checkpoints",) and isinstance(given, str) and "@" in given):
        shown = "something else"
    if kind == "extra_forbidden":
        name = str(path[-1]) if path else str(details["loc"][-1])
        known = _keys(model, details["loc"][:-1])
        return f"unknown key `{name}`{nearest(name, known) or '; there are ' + ', '.join(known)}"
    if kind == "missing":
        return f"`{details['loc'][-1]}` is required"
    if kind == "literal_error":
        choices = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"expected {', '.join(choices)}; got {shown}{nearest(str(given), choices)}"
    expected = {
        "string_type": "text",
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "tuple_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "model_attributes_type": "a mapping",
    }.get(kind)
    if expected is not None:
        return f"expected {expected}, got {shown}"
    if kind == "headrace":
        return details["msg"]
    return f"{details['msg'][:1].lower()}{details['msg'][1:]}, got {shown}"


def _keys(model: type[BaseModel], loc: KeyPath) -> list[str]:
    """The keys that there are at a location."""
    found: list[type[BaseModel]] = [model]
    for key in loc:
        annotations = [one.model_fields[str(key)].annotation for one in found if str(key) in one.model_fields]
        found = [inner for annotation in annotations for inner in _models(annotation)] or found
    return [name for one in found for name in one.model_fields]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, BaseModel)
    ):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
