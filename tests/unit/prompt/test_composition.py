from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from webui.prompt.composition import split_composition

Recorded = Callable[[str], Any]


def test_recorded_prompts(recorded: Recorded) -> None:
    cases = recorded("prompt_and")
    assert len(cases) > 5
    for case in cases:
        assert [list(part) for part in split_composition(case["prompt"])] == case["parts"], case


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a:1.2", [("a", 1.2)]),
        (":1.2", [("", 1.2)]),
        ("a : 1 : 2", [("a : 1", 2.0)]),
        ("a :\n.5 \n", [("a", 0.5)]),
        ("a :5.", [("a", 5.0)]),
        ("a :1e5", [("a :1e5", 1.0)]),
        ("a : +3 AND(b)", [("a", 3.0), ("(b)", 1.0)]),
        ("a and b ANDc", [("a and b ANDc", 1.0)]),
        ("", [("", 1.0)]),
        ("a AND", [("a", 1.0), ("", 1.0)]),
        ("(a:1.2)", [("(a:1.2)", 1.0)]),
    ],
)
def test_weights(prompt: str, parts: list[tuple[str, float]]) -> None:
    assert split_composition(prompt) == parts


def test_long_prompts() -> None:
    assert len(split_composition("AND " * 100_000)) == 100_001
    assert split_composition("a" + " " * 10**6 + ":" + " " * 10**6 + "2") == [("a", 2.0)]
