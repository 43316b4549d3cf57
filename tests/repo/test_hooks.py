"""Every hook is described, and stands in docs/extensions.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from webui.extensions import v1
from webui.extensions.hookspecs import OFFERS, STEP_HOOKS, HookSpecs

ROOT = Path(__file__).resolve().parents[2]
HOOKS = [name for name in vars(HookSpecs) if not name.startswith("_")]
TABLE = [
    line.split("|")[1]
    for line in (ROOT / "docs" / "extensions.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*/__init__.py"))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_described(hook: str) -> None:
    assert getattr(HookSpecs, hook).__doc__.strip().endswith(".")
    assert any(f"`{hook}`" in row for row in TABLE)


def test_the_docs_name_no_other_hook() -> None:
    assert {name for row in TABLE for name in re.findall(r"`(\w+)`", row)} == set(HOOKS)
    assert set(OFFERS) | set(STEP_HOOKS) <= set(HOOKS)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_are_short_and_use_the_public_api_alone(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count("\n") <= 60
    imported = re.findall(r"^(?:from|import) (webui[\w.]*)", text, flags=re.MULTILINE)
    assert imported == ["webui.extensions.v1"]


def test_everything_public_exists() -> None:
    assert [name for name in v1.__all__ if not hasattr(v1, name)] == []
