"""Writes docs/configuration.md from the models of stream/config.py: every key, its type, its default, its meaning.

``--check`` writes nothing and fails when the page is not what the models say.
"""

import argparse
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pydantic import BaseModel  # noqa: E402
from pydantic.fields import FieldInfo  # noqa: E402
from pydantic_core import PydanticUndefined  # noqa: E402

from stream.config import Config  # noqa: E402
from stream.config_thresholds import AlertRate  # noqa: E402
from stream.config_values import Duration, EventCount, Every, StoreAddress  # noqa: E402

PAGE = ROOT / "docs" / "configuration.md"

HEAD = """# Configuration

<!-- Written by tools/configuration_reference.py from the models. Change the descriptions there, then run `make docs`. -->

One YAML file is one pipeline. `headrace init` writes one that runs, `headrace check` validates one. An unknown key is an
error that names the nearest right one, with file and line.

- **YAML 1.2**: `1e-4` is a number; `on`, `NO` and `12:30` are text.
- **Durations** are `7d`, `30m`, `1h30m`, `250ms`; a bare number is seconds.
- **Paths** are relative to the configuration file.
- **`extends: base.yaml`** takes everything from another file; mappings are merged key by key, everything else is replaced
  (so is a learner, and a setting of `kafka`).
- **Environment**: `HEADRACE_CHECKPOINTS__KEEP=3` is `checkpoints: {keep: 3}`; `__` separates levels, and the value is read
  as YAML. Under `kafka`, `_` is a dot and the value is text: `HEADRACE_KAFKA__BOOTSTRAP_SERVERS` is
  `kafka: {bootstrap.servers: …}`. Keys that hold `__`, `-` or a dot elsewhere cannot be written so.
- **Secrets**: a value under `kafka`, and `checkpoints: {store: …}`, may be `{env: NAME}` or `{file: path}`. What a setting
  such as `sasl.password` holds is printed as `***`.

## Parts

Learners and detectors are *parts*: a `name`, or `{name: parameters}`. A list of learners is a chain. A one-key mapping
whose key contains a dot is constructed, at any depth; parameters in a list are positional; everything else is a value.

```yaml
learners:
  logistic: [river.preprocessing.StandardScaler, {river.linear_model.LogisticRegression: {l2: 1e-4}}]
  adam: {river.linear_model.LogisticRegression: {optimizer: {river.optim.Adam: {lr: 0.01}}}}
  forest: {river.forest.ARFClassifier: {n_models: 10, seed: 1}}
  own: {factory: "my_module:build", parameters: {depth: 3}}
detectors:
  - {signal: error, detector: {adwin: {delta: 0.002}}}
```

"""


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(line for title, model in _sections() for line in _section(title, model)).rstrip() + "\n"


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every model once, under the path at which it is first met."""
    seen: set[type[BaseModel]] = set()
    waiting: list[tuple[str, type[BaseModel]]] = [("", Config)]
    while waiting:
        path, model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield path, model
        inner = [
            (f"{path}.{name}" if path else name, found)
            for name, field in model.model_fields.items()
            for found in _models(field.annotation)
        ]
        waiting = inner + waiting if path else waiting + inner


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## `{path}`" if path else "## Top level"
    yield ""
    yield (model.__doc__ or "").strip()
    yield ""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        meaning = (field.description or "").replace("|", "\\|")
        yield f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {meaning} |"
    yield ""


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, BaseModel)
    ):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Duration: "duration",
    EventCount: "number of events",
    AlertRate: "alerts per time",
    Every: "events or duration",
    StoreAddress: "address",
    Any: "part",
    type(None): "nothing",
}


def _type(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        each = _type(arguments[0])
        return f"list of {each if '`' in each else f'{each}s'}"
    if origin is dict:
        return "mapping"
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(dict.fromkeys(_type(each) for each in arguments if each is not type(None)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    raise TypeError(f"no word for {annotation}")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined:
        return "see there"
    value = field.default
    if isinstance(value, BaseModel):
        return "its defaults"
    if value is None:
        return "none"
    if value in ((), {}):
        return "empty"
    if value == "":
        return "see there"
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    if isinstance(value, float) and value >= 1e6:
        return f"`{value:g}`"
    return f"`{str(value).lower() if isinstance(value, bool) else f'{value:_}' if isinstance(value, int) else value}`"


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is stale")
    if parser.parse_args().check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
            print(f"{PAGE.relative_to(ROOT)} is stale: run `make docs`", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
