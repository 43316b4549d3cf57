"""The first emphasis implementation, for pictures made with `use_old_emphasis_implementation`.

It tokenises the text with its brackets, reads weights off the tokens that contain brackets, and has
one row: what does not fit is cut. For SD1's text encoder only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from webui.prompt.attention import ROUND_WEIGHT
from webui.prompt.chunks import CHUNK_LENGTH, Chunk, Chunker, Insertion


class OldChunk(NamedTuple):
    """The row, and the ids that did not fit into it (0 for an embedding's vectors)."""

    chunk: Chunk
    overflow: tuple[int, ...]


def bracket_multipliers(vocabulary: Mapping[str, int]) -> dict[int, float]:
    """Return, by id, what each token with brackets multiplies the weight of its successors by.

    ``(`` and ``]`` multiply by 1.1, ``)`` and ``[`` divide by it; a token whose brackets cancel out
    is a word like any other.
    """
    multipliers: dict[int, float] = {}
    for token, identifier in vocabulary.items():
        multiplier = 1.0
        for character in token:
            if character in "(]":
                multiplier *= ROUND_WEIGHT
            elif character in ")[":
                multiplier /= ROUND_WEIGHT
        if multiplier != 1.0:
            multipliers[identifier] = multiplier
    return multipliers


@dataclass(frozen=True, slots=True)
class OldChunker:
    """Cuts texts the old way.

    Args:
        chunker: gives tokenizer, special ids, embeddings and the emphasis mode.
        multipliers: `bracket_multipliers` of the tokenizer's vocabulary.
    """

    chunker: Chunker
    multipliers: Mapping[int, float]

    def chunk(self, text: str) -> OldChunk:
        """Make a text's row; with emphasis "None" brackets are words."""
        chunker = self.chunker
        changes = {} if chunker.emphasis == "None" else self.multipliers
        source = chunker.tokenize(text)
        tokens: list[int] = []
        weights: list[float] = []
        insertions: list[Insertion] = []
        weight = 1.0
        position = 0
        while position < len(source):
            match = chunker.find_embedding(source, position)
            change = changes.get(source[position])
            if change is not None:
                weight *= change
                position += 1
            elif match is None:
                tokens.append(source[position])
                weights.append(weight)
                position += 1
            else:
                insertions.append(Insertion(len(tokens), match.name, match.vector_count))
                tokens += [0] * match.vector_count
                weights += [weight] * match.vector_count
                position += match.token_count
        if chunker.emphasis == "Ignore":
            weights = [1.0] * len(weights)
        overflow = tuple(tokens[CHUNK_LENGTH:])
        return OldChunk(self._row(tokens, weights, insertions), overflow)

    def _row(self, tokens: list[int], weights: list[float], insertions: list[Insertion]) -> Chunk:
        special = self.chunker.special
        missing = max(CHUNK_LENGTH - len(tokens), 0)
        return Chunk(
            (special.bos, *tokens[:CHUNK_LENGTH], *[special.eos] * (missing + 1)),
            (1.0, *weights[:CHUNK_LENGTH], *[1.0] * (missing + 1)),
            tuple(one for one in insertions if one.offset < CHUNK_LENGTH),
        )
