from __future__ import annotations

import pytest

from webui.prompt.chunks import Chunker, SpecialTokens, no_embeddings
from webui.prompt.token_count import TokenCount, count_negative_prompt, count_prompt

SMALL = SpecialTokens(bos=-1, eos=-2, pad=-3, comma=ord(","))
CHUNKER = Chunker(lambda text: [ord(letter) for letter in text], SMALL, no_embeddings)


@pytest.mark.parametrize(
    ("text", "used", "limit"),
    [
        ("", 0, 75),
        ("abc", 3, 75),
        ("a" * 75, 75, 75),
        ("a" * 76, 76, 150),
        ("(abc:1.2)", 3, 75),
        ("ab<lora:name:1>", 2, 75),
        ("abc AND de", 3, 75),
        ("[abc:d:0.5]", 3, 75),
        ("[a|bcde|f]", 4, 75),
        ("a BREAK b", 76, 150),
        ("a # b", 1, 75),
        ("(a:1.2.3)", 9, 75),
    ],
)
def test_the_longest_text_is_counted(text: str, used: int, limit: int) -> None:
    assert count_prompt(text, CHUNKER, 20) == TokenCount(used, limit)


def test_only_texts_in_force_at_some_step_count() -> None:
    assert count_prompt("[a:bcdef:30]", CHUNKER, 20).used == 1
    assert count_prompt("[a:bcdef:30]", CHUNKER, 40).used == 5


def test_and_and_tags_in_a_negative_prompt() -> None:
    assert count_negative_prompt("ab AND c", CHUNKER, 20).used == 8
    assert count_negative_prompt("a<lora:b>", CHUNKER, 20).used == 1


def test_styles_and_comments() -> None:
    assert count_prompt("ab", CHUNKER, 20, templates=["x{prompt}", "y"]).used == len("xab, y")
    assert count_prompt("ab#c", CHUNKER, 20, comments=False).used == 4
    assert str(count_prompt("ab", CHUNKER, 20)) == "2/75"
