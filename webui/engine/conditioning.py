"""From prompts to what the denoising network reads at each of its calls."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from webui.families.base import EncodeOptions, LoadedModel, PromptEmbeds
from webui.prompt.composition import split_composition
from webui.prompt.schedule import SchedulePart, part_index, prompt_schedule

CACHED_TEXTS = 64


@dataclass(frozen=True, slots=True)
class Timeline:
    """How long a pass is, for prompt editing.

    Attributes:
        calls: model calls of the first pass (twice the steps for second-order samplers).
        hires_calls: model calls of the hires pass, if this is for that pass.
        old: A1111's rules before 1.6.
    """

    calls: int
    hires_calls: int | None = None
    old: bool = False


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One text over a pass: its variants, when each is in force, and their embeddings."""

    parts: tuple[SchedulePart, ...]
    embeds: tuple[PromptEmbeds, ...]

    def at(self, call_index: int) -> int:
        """Index of the variant that serves a model call (from 0)."""
        return part_index(self.parts, call_index)


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What a pass is told: sub-prompts (joined by AND), their weights, the negative prompt."""

    prompts: tuple[Scheduled, ...]
    weights: tuple[float, ...]
    negative: Scheduled

    @property
    def embeddings(self) -> tuple[str, ...]:
        """Names of the embeddings in use, as A1111 lists them: those of later texts first."""
        texts = (self.negative, *self.prompts)
        return tuple(name for text in reversed(texts) for name in text.embeds[0].embeddings)


class ConditioningCache:
    """Keeps the embeddings of the last texts, so that the next picture need not encode them again.

    Used by one thread, the worker's.
    """

    def __init__(self, capacity: int = CACHED_TEXTS) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, Scheduled] = OrderedDict()

    def get(self, key: Hashable) -> Scheduled | None:
        """What was put under the key, if it is still there."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: Hashable, value: Scheduled) -> None:
        """Keep a value; the one that was not asked for the longest goes."""
        self._entries[key] = value
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget all, e.g. because the model is gone."""
        self._entries.clear()


def encode(
    model: LoadedModel,
    prompt: str,
    negative_prompt: str,
    timeline: Timeline,
    options: EncodeOptions,
    negative_options: EncodeOptions,
    cache: ConditioningCache,
    model_key: Hashable,
) -> Conditioning:
    """Encode the prompts of a pass.

    Args:
        prompt, negative_prompt: with styles, without comments and extra-network tags.
        model_key: equal for two calls only if the text encoder holds the same weights.
    Raises: InvalidRequest: the prompt cannot be read.
    """

    def scheduled(text: str, chosen: EncodeOptions) -> Scheduled:
        key = (model_key, text, timeline, chosen)
        found = cache.get(key)
        if found is None:
            parts = prompt_schedule(
                text, timeline.calls, timeline.hires_calls, old_timelines=timeline.old
            )
            embeds = model.encode_prompts([part.text for part in parts], chosen)
            found = Scheduled(tuple(parts), tuple(embeds))
            cache.put(key, found)
        return found

    composition = split_composition(prompt)
    return Conditioning(
        prompts=tuple(scheduled(part.text, options) for part in composition),
        weights=tuple(part.weight for part in composition),
        negative=scheduled(negative_prompt, negative_options),
    )


def pad_by_last(cross: Tensor, tokens: int) -> Tensor:
    """Lengthen embeddings [T, C] to `tokens` by repeating the last vector, or cut them."""
    if cross.shape[0] >= tokens:
        return cross[:tokens]
    rest = cross[-1:].expand(tokens - cross.shape[0], -1)
    return torch.cat([cross, rest])


def pad_by_empty(cross: Tensor, empty: Tensor, tokens: int) -> Tensor:
    """Lengthen embeddings [T, C] with whole copies of the empty prompt's [77, C]."""
    copies = (tokens - cross.shape[0]) // empty.shape[0]
    return torch.cat([cross, empty.repeat(copies, 1)])


def equal_lengths(crosses: Sequence[Tensor]) -> list[Tensor]:
    """Lengthen all to the longest by their last vectors (sub-prompts of AND)."""
    longest = max(cross.shape[0] for cross in crosses)
    return [pad_by_last(cross, longest) for cross in crosses]
