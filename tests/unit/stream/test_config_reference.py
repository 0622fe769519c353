"""The page that is written from the models."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from stream.config import Config

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "configuration_reference", ROOT / "tools" / "configuration_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_not_stale(tool: ModuleType) -> None:
    """docs/configuration.md is what the models say."""
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page()


def test_every_key_has_a_meaning(tool: ModuleType) -> None:
    """No setting is without a description."""
    bare = [
        f"{path}.{name}"
        for path, model in tool._sections()
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert bare == []


def test_every_top_level_key_is_on_the_page(tool: ModuleType) -> None:
    """The page names every key of a configuration."""
    page = tool.page()
    assert [name for name in Config.model_fields if f"| `{name}` |" not in page] == []
