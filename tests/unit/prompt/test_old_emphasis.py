from __future__ import annotations

from collections.abc import Callable

import pytest

from webui.prompt.attention import Emphasis
from webui.prompt.chunks import Chunker, Insertion, SpecialTokens, embedding_finder, no_embeddings
from webui.prompt.old_emphasis import OldChunker, bracket_multipliers

SMALL = SpecialTokens(bos=-1, eos=-2, pad=-3, comma=ord(","))
LETTERS = {letter: ord(letter) for letter in "abcdX()[]"}


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def old_chunker(emphasis: Emphasis = "Original") -> OldChunker:
    finder = embedding_finder({"X": ([ord("X")], 2)})
    chunker = Chunker(letters, SMALL, finder, emphasis=emphasis)
    return OldChunker(chunker, bracket_multipliers(LETTERS))


def test_brackets_weigh_what_follows() -> None:
    chunk, overflow = old_chunker().chunk("a(b)[c](d")
    assert chunk.tokens == (-1, *letters("abcd"), *[-2] * 72)
    assert chunk.multipliers[:5] == pytest.approx((1.0, 1.0, 1.1, 1 / 1.1, 1.1))
    assert chunk.multipliers[5:] == (1.0,) * 72
    assert overflow == ()


def test_emphasis_modes() -> None:
    assert old_chunker("None").chunk("(a").chunk.tokens[1:3] == tuple(letters("(a"))
    assert old_chunker("Ignore").chunk("(a").chunk.multipliers == (1.0,) * 77


def test_what_does_not_fit_is_cut_and_told() -> None:
    chunk, overflow = old_chunker().chunk("(" + "a" * 74 + "Xbc")
    assert chunk.tokens == (-1, *letters("a" * 74), 0, -2)
    assert chunk.multipliers == (1.0, *[1.1] * 75, 1.0)
    assert chunk.insertions == (Insertion(74, "X", 2),)
    assert overflow == (0, ord("b"), ord("c"))
    assert old_chunker().chunk("a" * 80 + "X").chunk.insertions == ()


def test_the_vocabulary_knows_tokens_of_several_brackets(
    vocabulary: dict[str, int], tokenize: Callable[[str], list[int]], clip: SpecialTokens
) -> None:
    multipliers = bracket_multipliers(vocabulary)
    assert multipliers[vocabulary["((</w>"]] == pytest.approx(1.21)
    assert multipliers[vocabulary["]</w>"]] == pytest.approx(1.1)
    assert vocabulary["()</w>"] not in multipliers
    chunker = OldChunker(Chunker(tokenize, clip, no_embeddings), multipliers)
    chunk = chunker.chunk("a (very (red) [fluffy] cat) on a mat").chunk
    words = tokenize("a very red fluffy cat on a mat")
    assert chunk.tokens[1:9] == tuple(words)
    expected = [1.0, 1.1, 1.21, 1.0, 1.1, 1.0, 1.0, 1.0]
    assert chunk.multipliers[1:9] == pytest.approx(expected)
