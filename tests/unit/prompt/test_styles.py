from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.prompt.styles import (
    FoundStyles,
    Style,
    StylesOnPaste,
    apply_styles,
    extract_style,
    find_styles,
    merge_style,
    styles_on_paste,
)

Recorded = Callable[[str], Any]

WATERCOLOR = Style("Watercolor", "watercolor painting, soft edges", "photo, sharp")
WRAP = Style("Wrap", "a sketch of {prompt}, pencil on paper", "{prompt}, colour")
ONLY_NEGATIVE = Style("OnlyNeg", "", "ugly, blurry")
STYLES = [WATERCOLOR, WRAP, ONLY_NEGATIVE]


def test_recorded_merges(recorded: Recorded) -> None:
    cases = recorded("styles_merge")
    assert len(cases) > 5
    for case in cases:
        assert merge_style(case["style"], case["prompt"]) == case["result"], case


def test_recorded_extractions(recorded: Recorded) -> None:
    cases = recorded("styles_extract")
    assert len(cases) > 5
    for case in cases:
        found, rest = case["result"]
        assert extract_style(case["style"], case["prompt"]) == (rest if found else None), case


def test_styles_are_applied_in_the_order_of_selection() -> None:
    assert apply_styles("a red cat", "blurry", [WRAP, WATERCOLOR, ONLY_NEGATIVE]) == (
        "a sketch of a red cat, pencil on paper, watercolor painting, soft edges",
        "blurry, colour, photo, sharp, ugly, blurry",
    )


def test_styles_are_found_again_in_the_order_to_apply_them() -> None:
    chosen = [WRAP, WATERCOLOR, ONLY_NEGATIVE]
    prompt, negative_prompt = apply_styles("a red cat", "low quality", chosen)
    assert find_styles(prompt, negative_prompt, STYLES) == (
        "a red cat",
        "low quality",
        ("Wrap", "Watercolor", "OnlyNeg"),
    )


def test_both_templates_must_fit() -> None:
    prompt = "a red cat, watercolor painting, soft edges"
    assert find_styles(prompt, "photo", STYLES) == (prompt, "photo", ())


def test_a_style_without_text_is_never_found() -> None:
    assert find_styles("a", "b", [Style("empty")]) == ("a", "b", ())


def test_spaces_do_not_hinder_and_the_unfound_is_left_alone() -> None:
    assert extract_style("soft  light", "a cat,  soft light ") == "a cat"
    assert find_styles("a   cat ", "", STYLES)[0] == "a   cat "


@pytest.mark.parametrize(
    ("template", "prompt", "original"),
    [
        ("x {prompt} y {prompt}", "x a cat y a cat", "a cat"),
        ("x {prompt} y {prompt}", "x a cat y a dog", None),
        ("x {prompt} y {prompt}", "x a cat y a cats", None),
        ("ab{prompt}ba", "aba", None),
        ("{prompt}{prompt}", "aa", "a"),
    ],
)
def test_placeholders(template: str, prompt: str, original: str | None) -> None:
    assert extract_style(template, prompt) == original


words = st.lists(st.sampled_from(["red", "cat,", "on", "{x}", "(a:1.2)"]), min_size=1, max_size=4)


@given(words.map(" ".join), words.map(" ".join), words.map(" ".join))
@settings(deadline=None, derandomize=True)
def test_merging_is_undone_by_extracting(before: str, prompt: str, after: str) -> None:
    for template in (after, f"{before} {{prompt}}, {after}", f"{{prompt}} {after}"):
        assert extract_style(template, merge_style(template, prompt)) == prompt


@pytest.mark.parametrize(
    ("mode", "found", "not_found"),
    [
        ("Ignore", ("a, s", None), ("a", None)),
        ("Apply", ("a", ("S",)), ("a", ())),
        ("Discard", ("a", None), ("a", None)),
        ("Apply if any", ("a", ("S",)), ("a", None)),
    ],
)
def test_styles_on_paste(
    mode: StylesOnPaste,
    found: tuple[str, tuple[str, ...] | None],
    not_found: tuple[str, tuple[str, ...] | None],
) -> None:
    styles = [Style("S", "s")]
    for prompt, (rest, names) in (("a, s", found), ("a", not_found)):
        assert styles_on_paste(prompt, "n", styles, mode) == FoundStyles(rest, "n", names)
