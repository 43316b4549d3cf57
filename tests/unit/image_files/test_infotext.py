import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from webui.image_files.infotext import format_infotext, quote, split_infotext, unquote

A1111_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def test_values_are_quoted_as_recorded(golden: Path) -> None:
    for case in json.loads((golden / "vectors/infotext_quote.json").read_text()):
        assert quote(case["in"]) == str(case["quoted"])
        if case["unquoted"] is not None:
            assert unquote(quote(case["in"])) == case["unquoted"]


@pytest.mark.parametrize("text", ['"', '""x"', '"\\q"', "plain", "", '"open', "'a, b'"])
def test_what_is_no_json_string_stays_as_it_is(text: str) -> None:
    assert unquote(text) == text


def test_pairs_without_a_value_vanish_and_equal_ones_stand_alone() -> None:
    text = format_infotext("a", "", {"One": None, "Two": 2.0, "Alone": "Alone", "Empty": ""})
    assert text == "a\nTwo: 2.0, Alone, Empty:"


def test_the_negative_line_is_left_out_when_empty() -> None:
    assert format_infotext("a\nb", "", {"Steps": 1}) == "a\nb\nSteps: 1"
    assert format_infotext("", "dog", {"Steps": 1}) == "Negative prompt: dog\nSteps: 1"
    assert format_infotext("", "", {}) == ""


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a cat", "dog"),
        ("two\nlines", "also\ntwo"),
        ("", "only"),
        ("Steps: 1, b", ""),
        ("猫", "犬"),
    ],
)
def test_what_is_written_is_read_again(prompt: str, negative: str) -> None:
    pairs = {
        "Steps": 20,
        "Quoted": 'with "quotes", commas\nand: lines',
        "Non-ASCII": "고양이, 猫",
        "Size": "512x768",
        "Script": "X/Y/Z plot",
    }
    got = split_infotext(format_infotext(prompt, negative, pairs))
    assert (got.prompt, got.negative_prompt) == (prompt, negative)
    assert got.pairs == {
        "Steps": "20",
        "Quoted": pairs["Quoted"],
        "Non-ASCII": "고양이, 猫",
        "Size-1": "512",
        "Size-2": "768",
        "Script": "X/Y/Z plot",
    }


def test_a_last_line_of_two_pairs_belongs_to_the_prompt() -> None:
    got = split_infotext("a cat\nSteps: 20, Seed: 1")
    assert got == ("a cat\nSteps: 20, Seed: 1", "", {})


def test_pairs_are_found_where_a1111s_expression_finds_them() -> None:
    dice = random.Random(0)
    for _ in range(30_000):
        line = "".join(dice.choice('ab: ,"\\-/\t.é1') for _ in range(dice.randrange(1, 24)))
        text = f"p\nxx: 1, yy: 2, zz: 3,{line}"
        expected = {}
        for key, raw in A1111_PAIR.findall(text.strip().split("\n")[-1]):
            if raw:
                expected[key] = unquote(raw)
        assert split_infotext(text).pairs == expected, line


HOSTILE: dict[str, Callable[[int], str]] = {
    "one word": lambda n: "a" * n,
    "colons": lambda n: "a:" * (n // 2),
    "open quotes": lambda n: 'aa:"' * (n // 4),
    "broken escapes": lambda n: 'aa:"\\",' * (n // 7),
    "dashes": lambda n: "- " * (n // 2),
    "quotes": lambda n: '"' * n,
    "spaces": lambda n: " " * n + "a",
    "tabs": lambda n: "aa:" + "\t" * n,
    "backslashes": lambda n: ("\\" * 9 + '"aa:') * (n // 13),
    "pairs": lambda n: "Steps: 1, " * (n // 10),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_million_characters_are_read(name: str) -> None:
    """A quadratic search would take hours here, not fail an assertion."""
    got = split_infotext("prompt\n" + HOSTILE[name](1_000_000))
    assert got.prompt.startswith("prompt")
    assert len(got.pairs) <= 5000
