"""Chunks: a text as rows of 75 tokens, each with its multiplier, and where embeddings go.

No tokenizer in here: who calls gives one, and tells which embedding begins at a token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from webui.errors import InvalidRequest
from webui.prompt.attention import Emphasis, weighted_texts

CHUNK_LENGTH = 75  # tokens between the first and the last of a row


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids with a meaning.

    Args:
        bos: first of every row.
        eos: last of every row, and what fills it up.
        pad: what the text encoder expects behind the first `eos`; CLIP-L: `eos`, OpenCLIP: 0.
        comma: id of "," as a word of its own; None: the vocabulary has none.
    """

    bos: int
    eos: int
    pad: int
    comma: int | None


class EmbeddingMatch(NamedTuple):
    """An embedding whose name begins at some token.

    Args:
        name: of the embedding.
        token_count: tokens that its name takes, at least 1.
        vector_count: vectors to put in their place.
    """

    name: str
    token_count: int
    vector_count: int


Tokenize = Callable[[str], Sequence[int]]
FindEmbedding = Callable[[Sequence[int], int], EmbeddingMatch | None]


class Insertion(NamedTuple):
    """Vectors of an embedding in a row, `offset` counted from the row's second token."""

    offset: int
    name: str
    vector_count: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One row for the text encoder.

    Args:
        tokens: 77 ids: bos, 75 tokens filled up with eos, eos; 0 where an embedding's vectors go.
        multipliers: 77 weights, 1.0 for bos, filling and eos.
        insertions: the embeddings' places, in order.
    """

    tokens: tuple[int, ...]
    multipliers: tuple[float, ...]
    insertions: tuple[Insertion, ...] = ()

    def encoder_tokens(self, special: SpecialTokens) -> list[int]:
        """Return the ids with everything behind the first eos replaced by pad."""
        end = self.tokens.index(special.eos) + 1
        return [*self.tokens[:end], *[special.pad] * (len(self.tokens) - end)]


@dataclass(frozen=True, slots=True)
class ChunkedText:
    """A text's rows and its length as the counter shows it: full rows as 75, the last as it is."""

    chunks: tuple[Chunk, ...]
    token_count: int


@dataclass(frozen=True, slots=True)
class Chunker:
    """Cuts texts into chunks for one text encoder.

    Args:
        tokenize: text to ids, without special tokens, of any length.
        special: the encoder's special ids.
        find_embedding: which embedding's name begins at an index of the tokens, if any.
        emphasis: setting; see `weighted_texts`.
        comma_backtrack: setting, 0 to 74: a full row ends at its last comma if that is at most so
            many tokens back; 0: never.
    """

    tokenize: Tokenize
    special: SpecialTokens
    find_embedding: FindEmbedding
    emphasis: Emphasis = "Original"
    comma_backtrack: int = 20

    def chunk(self, text: str) -> ChunkedText:
        """Cut a text into rows; an empty one is one row of eos.

        Raises: InvalidRequest: malformed weight; an embedding that no row can hold.
        """
        rows = _Rows(self.special)
        for piece in weighted_texts(text, self.emphasis):
            if piece.starts_chunk:
                rows.finish()
            else:
                self._add(rows, self.tokenize(piece.text), piece.weight)
        return rows.result()

    def chunk_together(self, texts: Sequence[str]) -> list[ChunkedText]:
        """Cut texts that are encoded in one call: the shorter ones get empty rows at their end."""
        chunked = [self.chunk(text) for text in texts]
        longest = max((len(one.chunks) for one in chunked), default=0)
        empty = _Rows(self.special).result().chunks
        return [
            ChunkedText(one.chunks + empty * (longest - len(one.chunks)), one.token_count)
            for one in chunked
        ]

    def _add(self, rows: _Rows, tokens: Sequence[int], weight: float) -> None:
        position = 0
        while position < len(tokens):
            token = tokens[position]
            rows.make_room(token, self.comma_backtrack)
            match = self.find_embedding(tokens, position)
            if match is None:
                rows.append(token, weight)
                position += 1
            else:
                rows.insert(match, weight)
                position += match.token_count


def no_embeddings(_tokens: Sequence[int], _position: int) -> EmbeddingMatch | None:
    """Find nothing; for encoders without embeddings."""
    return None


def embedding_finder(embeddings: Mapping[str, tuple[Sequence[int], int]]) -> FindEmbedding:
    """Make a `FindEmbedding` from names, each with its name's tokens and its number of vectors.

    Where several begin at one token, the longest wins. The match is one of tokens, not of words: a
    name is also found inside of a longer word, if that is tokenised so.
    """
    by_first: dict[int, list[tuple[list[int], EmbeddingMatch]]] = {}
    for name, (tokens, vector_count) in embeddings.items():
        if tokens:
            match = EmbeddingMatch(name, len(tokens), vector_count)
            by_first.setdefault(tokens[0], []).append((list(tokens), match))
    for candidates in by_first.values():
        candidates.sort(key=lambda candidate: len(candidate[0]), reverse=True)

    def find(tokens: Sequence[int], position: int) -> EmbeddingMatch | None:
        for name_tokens, match in by_first.get(tokens[position], ()):
            if list(tokens[position : position + len(name_tokens)]) == name_tokens:
                return match
        return None

    return find


def token_limit(token_count: int) -> int:
    """Return the tokens that fit into the rows that `token_count` tokens need: 75, 150, …"""
    return ceil(max(token_count, 1) / CHUNK_LENGTH) * CHUNK_LENGTH


@dataclass(slots=True)
class _Rows:
    """Rows in the making; the last one is open."""

    special: SpecialTokens
    finished: list[Chunk] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    multipliers: list[float] = field(default_factory=list)
    insertions: list[Insertion] = field(default_factory=list)
    last_comma: int | None = None  # index in the open row

    def make_room(self, token: int, comma_backtrack: int) -> None:
        """Close the row if it is full, before its last comma's successors if that is near.

        A1111's quirks, kept for its pictures: a comma that would be the first of a row is not
        remembered as one; embeddings among the tokens that move to the next row stay behind, so
        that their vectors lie in the filling of the old row and the new one has token 0 instead.
        """
        full = len(self.tokens) == CHUNK_LENGTH
        if token == self.special.comma:
            self.last_comma = len(self.tokens)
        elif (
            full
            and self.last_comma is not None
            and len(self.tokens) - self.last_comma <= comma_backtrack
        ):
            keep = self.last_comma + 1
            moved, moved_multipliers = self.tokens[keep:], self.multipliers[keep:]
            del self.tokens[keep:], self.multipliers[keep:]
            self.finish()
            self.tokens, self.multipliers = moved, moved_multipliers
        if len(self.tokens) == CHUNK_LENGTH:
            self.finish()

    def append(self, token: int, weight: float) -> None:
        self.tokens.append(token)
        self.multipliers.append(weight)

    def insert(self, match: EmbeddingMatch, weight: float) -> None:
        """Reserve an embedding's place, in the next row if this one has too little."""
        if match.vector_count > CHUNK_LENGTH:
            reason = (
                f"The embedding {match.name} has {match.vector_count} vectors, "
                f"but only {CHUNK_LENGTH} can stand together: leave it out."
            )
            raise InvalidRequest("prompt", reason)
        if len(self.tokens) + match.vector_count > CHUNK_LENGTH:
            self.finish()
        self.insertions.append(Insertion(len(self.tokens), match.name, match.vector_count))
        self.tokens += [0] * match.vector_count
        self.multipliers += [weight] * match.vector_count

    def finish(self) -> None:
        """Fill up the open row, close it and open the next."""
        missing = CHUNK_LENGTH - len(self.tokens)
        eos = self.special.eos
        self.finished.append(
            Chunk(
                (self.special.bos, *self.tokens, *[eos] * missing, eos),
                (1.0, *self.multipliers, *[1.0] * missing, 1.0),
                tuple(self.insertions),
            )
        )
        self.tokens, self.multipliers, self.insertions = [], [], []
        self.last_comma = None

    def result(self) -> ChunkedText:
        """Close the last row, if it holds something or is the only one."""
        token_count = CHUNK_LENGTH * len(self.finished) + len(self.tokens)
        if self.tokens or not self.finished:
            self.finish()
        return ChunkedText(tuple(self.finished), token_count)
