"""Textual inversion as a text encoder sees it: names in a prompt that stand for vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from webui.prompt.chunks import Chunk, FindEmbedding, Tokenize, embedding_finder

Slot = Literal["any", "clip_l", "clip_g"]
"""Which text encoder vectors are for; ``any``: the model's only one."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Vectors with a name.

    Args:
        name: what stands for them in a prompt.
        vectors: [n, C] float32 for each text encoder; n is the same for all.
        short_hash: twelve digits of the file's sha256; of a bundled one, the name of its LoRA.
        is_bundled: it came with a LoRA.
        step, checkpoint, checkpoint_name: of its training, where the file tells.
    """

    name: str
    vectors: Mapping[Slot, Tensor]
    short_hash: str = ""
    is_bundled: bool = False
    step: int | None = None
    checkpoint: str | None = None
    checkpoint_name: str | None = None

    @property
    def vector_count(self) -> int:
        """Places that it takes in a prompt."""
        return len(next(iter(self.vectors.values())))

    @property
    def width(self) -> int:
        """Channels of all encoders together."""
        return sum(vectors.shape[1] for vectors in self.vectors.values())

    def fits(self, widths: Mapping[Slot, int]) -> bool:
        """Tell whether a model with text encoders of these widths understands it.

        A pair for SDXL also serves its refiner, which has the second encoder alone.
        """
        own: dict[Slot, int] = {slot: vectors.shape[1] for slot, vectors in self.vectors.items()}
        if set(own) == {"any"}:
            return list(widths.values()) == [own["any"]]
        return all(own.get(slot) == width for slot, width in widths.items()) and (
            set(own) == set(widths) or set(widths) == {"clip_g"}
        )


class Embeddings:
    """The embeddings that prompts may name; equal to itself alone, and never changed.

    Args:
        items: all of them fit the model.
        tokenize: the text encoders' tokenizer.
    """

    def __init__(self, items: Iterable[Embedding], tokenize: Tokenize) -> None:
        self._by_name = {item.name: item for item in items}
        self.find: FindEmbedding = embedding_finder(
            {name: (tokenize(name), item.vector_count) for name, item in self._by_name.items()}
        )
        """Which embedding begins at a token."""

    def get(self, name: str) -> Embedding | None:
        """Return an embedding by its name, None if there is none."""
        return self._by_name.get(name)

    def vectors(self, name: str, slot: Slot) -> Tensor:
        """Return an embedding's vectors [n, C] for a text encoder."""
        vectors = self._by_name[name].vectors
        return vectors.get(slot, vectors.get("any", torch.empty(0)))


NO_EMBEDDINGS = Embeddings((), lambda _text: ())


def used_names(chunks: Iterable[Chunk]) -> tuple[str, ...]:
    """Return the embeddings in some chunks, each once, in order of appearance."""
    return tuple(dict.fromkeys(place.name for chunk in chunks for place in chunk.insertions))


@contextmanager
def inserted(
    token_embedding: nn.Module, chunks: Iterable[Chunk], embeddings: Embeddings, slot: Slot
) -> Iterator[None]:
    """Put vectors in the place of tokens, for the next call of a text encoder.

    Args:
        token_embedding: turns [B, 77] ids into [B, 77, C].
        chunks: B of them, in the batch's order.
    """
    places = [
        (row, place.offset + 1, embeddings.vectors(place.name, slot))
        for row, chunk in enumerate(chunks)
        for place in chunk.insertions
    ]

    def insert(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        changed = output.clone()
        for row, start, vectors in places:
            room = changed.shape[1] - start
            changed[row, start : start + len(vectors)] = vectors[:room].to(changed)
        return changed

    if not places:
        yield
        return
    hook = token_embedding.register_forward_hook(insert)
    try:
        yield
    finally:
        hook.remove()
