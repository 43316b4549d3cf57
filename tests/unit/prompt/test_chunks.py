from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.errors import InvalidRequest
from webui.prompt.chunks import (
    CHUNK_LENGTH,
    Chunk,
    Chunker,
    EmbeddingMatch,
    Insertion,
    SpecialTokens,
    embedding_finder,
    no_embeddings,
    token_limit,
)

Recorded = Callable[[str], Any]
Tokenize = Callable[[str], list[int]]

SMALL = SpecialTokens(bos=-1, eos=-2, pad=-3, comma=ord(","))


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def small_chunker(comma_backtrack: int = 20, **embeddings: int) -> Chunker:
    """Letters are tokens; embeddings are found by their names."""
    finder = embedding_finder({name: (letters(name), count) for name, count in embeddings.items()})
    return Chunker(letters, SMALL, finder, comma_backtrack=comma_backtrack)


def content(chunk: Chunk) -> str:
    """A row without bos, eos and filling; "0" where vectors go."""
    return "".join(chr(token) if token else "0" for token in chunk.tokens if token >= 0)


def test_recorded_chunks(recorded: Recorded, tokenize: Tokenize, clip: SpecialTokens) -> None:
    cases = recorded("chunks")
    assert len(cases) > 30
    find = embedding_finder({"tistyle": (tokenize("tistyle"), 3), "tiobj": (tokenize("tiobj"), 1)})
    for case in cases:
        chunker = Chunker(tokenize, clip, find, comma_backtrack=case["comma_padding_backtrack"])
        chunked = chunker.chunk(case["text"])
        assert chunked.token_count == case["token_count"], case["text"]
        assert token_limit(chunked.token_count) == case["target_length"], case["text"]
        rows = [(list(row.tokens), list(row.multipliers)) for row in chunked.chunks]
        assert rows == [(row["tokens"], row["multipliers"]) for row in case["chunks"]], case["text"]
        for row, expected in zip(chunked.chunks, case["chunks"], strict=True):
            fixes = [(fix["offset"], fix["name"], fix["vectors"]) for fix in expected["fixes"]]
            assert list(row.insertions) == fixes, case["text"]


def test_recorded_tokens(recorded: Recorded, tokenize: Tokenize, clip: SpecialTokens) -> None:
    cases = recorded("tokens")
    assert len(cases) > 5
    chunker = Chunker(tokenize, clip, no_embeddings, emphasis="None", comma_backtrack=0)
    for case in cases:
        chunked = chunker.chunk(case["text"])
        tokens = [token for row in chunked.chunks for token in row.tokens[1:-1]]
        assert tokens[: chunked.token_count] == case["ids"], case["text"]


def test_a_full_row_ends_at_a_near_comma() -> None:
    text = "a" * 60 + "," + "b" * 30
    assert [content(row) for row in small_chunker().chunk(text).chunks] == [
        "a" * 60 + ",",
        "b" * 30,
    ]
    for backtrack in (0, 14):
        rows = small_chunker(backtrack).chunk(text).chunks
        assert [len(content(row)) for row in rows] == [75, 16]


def test_a_comma_at_the_start_of_a_row_is_not_remembered() -> None:
    rows = small_chunker(74).chunk("a" * 75 + "," + "b" * 75).chunks
    assert [content(row) for row in rows] == ["a" * 75, "," + "b" * 74, "b"]


def test_weights_move_with_their_tokens() -> None:
    rows = small_chunker().chunk("a" * 70 + "," + "(bbbbbbbb:1.5)").chunks
    assert rows[1].multipliers[:10] == (1.0, *[1.5] * 8, 1.0)


def test_break_fills_up_the_row() -> None:
    chunked = small_chunker().chunk("a BREAK b BREAK")
    assert [content(row) for row in chunked.chunks] == ["a", "b"]
    assert chunked.token_count == 150
    assert [content(row) for row in small_chunker().chunk("BREAK BREAK a").chunks] == ["", "", "a"]


def test_embeddings_never_straddle() -> None:
    rows = small_chunker(X=3).chunk("a" * 73 + "Xb").chunks
    assert [content(row) for row in rows] == ["a" * 73, "000b"]
    assert rows[1].insertions == (Insertion(0, "X", 3),)


def test_an_embedding_takes_the_weight_around_it() -> None:
    (row,) = small_chunker(X=2).chunk("(aX:1.5)b").chunks
    assert row.multipliers[1:5] == (1.5, 1.5, 1.5, 1.0)
    assert row.insertions == (Insertion(1, "X", 2),)


def test_an_embedding_behind_the_last_comma_stays_in_the_old_row() -> None:
    rows = small_chunker(X=2).chunk("a" * 70 + "," + "bXcd").chunks
    assert [content(row) for row in rows] == ["a" * 70 + ",", "b00cd"]
    assert rows[0].insertions == (Insertion(72, "X", 2),)
    assert rows[1].insertions == ()


def test_an_embedding_larger_than_a_row_is_refused() -> None:
    assert content(small_chunker(X=75).chunk("X").chunks[0]) == "0" * 75
    with pytest.raises(InvalidRequest, match="76 vectors"):
        small_chunker(X=76).chunk("X")


def test_the_longest_embedding_wins_inside_of_words_too() -> None:
    find = embedding_finder({"ab": ([1, 2], 5), "abc": ([1, 2, 3], 6), "nothing": ([], 1)})
    assert find([9, 1, 2, 3], 1) == EmbeddingMatch("abc", 3, 6)
    assert find([1, 2, 4], 0) == EmbeddingMatch("ab", 2, 5)
    assert find([1, 2, 3], 1) is None
    assert find([1], 0) is None


def test_padding_behind_the_first_eos() -> None:
    (row,) = small_chunker().chunk("ab").chunks
    assert row.encoder_tokens(SMALL) == [-1, ord("a"), ord("b"), -2, *[-3] * 73]


def test_texts_of_one_call_have_as_many_rows() -> None:
    short, long = small_chunker().chunk_together(["a", "b" * 80])
    assert [content(row) for row in short.chunks] == ["a", ""]
    assert len(long.chunks) == 2
    assert (short.token_count, long.token_count) == (1, 80)
    assert small_chunker().chunk_together([]) == []


def test_ignored_emphasis_still_breaks() -> None:
    chunker = Chunker(letters, SMALL, no_embeddings, emphasis="Ignore")
    rows = chunker.chunk("(a:1.5) BREAK b").chunks
    assert len(rows) == 2
    assert {weight for row in rows for weight in row.multipliers} == {1.0}


@pytest.mark.parametrize(("used", "limit"), [(0, 75), (1, 75), (75, 75), (76, 150), (150, 150)])
def test_token_limit(used: int, limit: int) -> None:
    assert token_limit(used) == limit


@given(st.text(alphabet="ab,X(:1.5) BREAK", max_size=400), st.integers(0, 74))
@settings(deadline=None, derandomize=True)
def test_rows_are_well_formed_and_lose_nothing(text: str, backtrack: int) -> None:
    chunked = small_chunker(backtrack, X=4).chunk(text)
    plain = Chunker(letters, SMALL, small_chunker(0, X=4).find_embedding, comma_backtrack=0)
    for row in chunked.chunks:
        assert len(row.tokens) == len(row.multipliers) == CHUNK_LENGTH + 2
        assert (row.tokens[0], row.tokens[-1]) == (SMALL.bos, SMALL.eos)
    assert chunked.token_count <= len(chunked.chunks) * CHUNK_LENGTH
    letters_seen = "".join(map(content, chunked.chunks))
    assert letters_seen == "".join(map(content, plain.chunk(text).chunks))
