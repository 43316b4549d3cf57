"""The counter in the corner of a prompt box."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from webui.errors import InvalidRequest
from webui.prompt.chunks import Chunker, token_limit
from webui.prompt.comments import strip_comments
from webui.prompt.composition import split_composition
from webui.prompt.extra_networks import parse_extra_networks
from webui.prompt.schedule import prompt_schedule
from webui.prompt.styles import merge_styles


class TokenCount(NamedTuple):
    """Tokens used, and those that fit into as many chunks; shown as ``used/limit``."""

    used: int
    limit: int

    def __str__(self) -> str:
        return f"{self.used}/{self.limit}"


def count_prompt(
    text: str, chunker: Chunker, steps: int, *, templates: Iterable[str] = (), comments: bool = True
) -> TokenCount:
    """Count a positive prompt: its longest sub-prompt at any step.

    Args:
        text: as typed.
        chunker: of the model's first text encoder.
        steps: the sampling steps chosen at the moment.
        templates: of the styles chosen; give none if the setting excludes them from the count.
        comments: whether ``#`` begins a comment.
    """
    return _count(_prepared(text, templates, comments=comments), chunker, steps, positive=True)


def count_negative_prompt(
    text: str, chunker: Chunker, steps: int, *, templates: Iterable[str] = (), comments: bool = True
) -> TokenCount:
    """Count a negative prompt, like `count_prompt`; AND is a word in it."""
    return _count(_prepared(text, templates, comments=comments), chunker, steps, positive=False)


def _prepared(text: str, templates: Iterable[str], *, comments: bool) -> str:
    return merge_styles(templates, strip_comments(text) if comments else text)


def _count(text: str, chunker: Chunker, steps: int, *, positive: bool) -> TokenCount:
    try:
        used = max(
            chunker.chunk(variant).token_count for variant in _variants(text, steps, positive)
        )
    except InvalidRequest:
        # Half-typed text: count it as it stands.
        used = replace(chunker, emphasis="None").chunk(text).token_count
    return TokenCount(used, token_limit(used))


def _variants(text: str, steps: int, positive: bool) -> set[str]:
    """Return all texts that will be encoded."""
    text = parse_extra_networks(text).text
    prompts = [part.text for part in split_composition(text)] if positive else [text]
    return {part.text for prompt in prompts for part in prompt_schedule(prompt, steps)}
