from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.errors import InvalidRequest
from webui.prompt.attention import WeightedText, parse_attention, weighted_texts

Recorded = Callable[[str], Any]


def test_recorded_prompts(recorded: Recorded) -> None:
    cases = [case for case in recorded("prompt_attention") if "error" not in case]
    assert len(cases) > 30
    for case in cases:
        pieces = [list(piece) for piece in parse_attention(case["prompt"])]
        assert pieces == case["result"], case["prompt"]


@pytest.mark.parametrize("weight", ["1.2.3", "..", "1" * 400])
def test_a_weight_that_is_no_number_is_refused_with_a_sentence(weight: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a number") as caught:
        parse_attention(f"a (b:{weight})")
    assert caught.value.field == "prompt"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("(a: +1.5 )", [("a", 1.5)]),
        ("(a:1e2)", [("a:1e2", 1.1)]),
        ("[a:1.2]", [("a:1.2", 1 / 1.1)]),
        ("a:1.2)", [("a:1.2)", 1.0)]),
        ("(a [b:1.2)]", [("a ", 1.2), ("b", 1.2 * (1 / 1.1))]),
        ("(a)) b", [("a", 1.1), (") b", 1.0)]),
        ("((a:1.5)", [("a", 1.5 * 1.1)]),
        ("[(a", [("a", 1.1 * (1 / 1.1))]),
        (r"\\(a)", [("\\", 1.0), ("a", 1.1)]),
        ("a\\", [("a", 1.0)]),
        ("a : b :: c", [("a : b :: c", 1.0)]),
        ("(a::1.2)", [("a:", 1.2)]),
        ("(a:0)", [("a", 0.0)]),
    ],
)
def test_brackets(text: str, pieces: list[tuple[str, float]]) -> None:
    assert parse_attention(text) == pieces


def test_break_swallows_the_white_space_around_it_and_only_there() -> None:
    texts = [piece.text for piece in parse_attention(" a \n BREAK\t b BREAK BREAK")]
    assert texts == [" a", "BREAK", "b", "BREAK", "", "BREAK", ""]


def test_break_is_one_outside_of_brackets_only() -> None:
    assert [piece.starts_chunk for piece in parse_attention("a BREAK b")] == [False, True, False]
    assert parse_attention("(a BREAK b:1.3)")[1] == ("BREAK", -1.3)
    assert not any(piece.starts_chunk for piece in parse_attention("(a BREAK b:1.3)"))


def test_emphasis_modes() -> None:
    text = "(a:1.5) BREAK [b]"
    assert weighted_texts(text, "None") == [(text, 1.0)]
    assert weighted_texts(text, "No norm") == weighted_texts(text, "Original")
    ignored = weighted_texts(text, "Ignore")
    assert [piece.text for piece in ignored] == ["a", "", "BREAK", "", "b"]
    assert [piece.weight for piece in ignored if not piece.starts_chunk] == [1.0] * 4


@given(st.text(alphabet="ab ()[]:.1\\BREAK"))
@settings(deadline=None, derandomize=True)
def test_neighbours_are_merged_and_no_text_is_invented(text: str) -> None:
    try:
        pieces = parse_attention(text)
    except InvalidRequest:
        pieces = [WeightedText("", 1.0)]
    weights = [piece.weight for piece in pieces]
    assert all(one != other for one, other in pairwise(weights))
    remaining = iter(text)
    assert all(character in remaining for piece in pieces for character in piece.text)


@pytest.mark.parametrize("bracket", ["(", "[", "((["])
def test_deep_nesting_needs_no_recursion(bracket: str) -> None:
    pieces = parse_attention(bracket * 100_000 + "word")
    assert [piece.text for piece in pieces] == ["word"]


def test_many_pieces_in_deep_nesting_have_the_product_of_their_brackets() -> None:
    pieces = parse_attention("(b" * 2_000 + ":1.01)" * 2_000)
    expected = [1.01 ** (depth + 1) for depth in range(2_000)]
    assert [piece.weight for piece in pieces] == pytest.approx(expected, rel=1e-9)


def test_sign_and_zero_survive_deep_nesting() -> None:
    pieces = parse_attention("(x:0)" + "(b" * 1_000 + ":-1.0)" * 1_000)
    assert pieces[0] == ("x", 0.0)
    assert [piece.weight for piece in pieces[1:]] == [-1.0, 1.0] * 500


@pytest.mark.parametrize("text", ["a" * 10**6, " " * 10**6, ":" * 10**6, ": 1" + " " * 10**6])
def test_long_plain_text_is_one_piece(text: str) -> None:
    assert parse_attention(text) == [(text, 1.0)]
