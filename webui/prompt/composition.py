"""``a cat :1.2 AND a dog``: a prompt as sub-prompts whose guidance is added up."""

from __future__ import annotations

import re
from typing import NamedTuple

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"[-+]?(?:\d+\.?|\d*\.\d+)")


class WeightedPrompt(NamedTuple):
    """A sub-prompt and its share of the guidance; the prompt alone has 1.0."""

    text: str
    weight: float


def split_composition(prompt: str) -> list[WeightedPrompt]:
    """Split a positive prompt at each word ``AND`` (capitals, whole word).

    A part may end in ``:weight``. Its leading white space stays, the trailing is cut. In a negative
    prompt AND is plain text: do not call this for one.
    """
    return [_weighted(part) for part in _AND.split(prompt)]


def _weighted(part: str) -> WeightedPrompt:
    text, colon, number = part.rstrip().rpartition(":")
    if not colon or not _WEIGHT.fullmatch(number.lstrip()):
        return WeightedPrompt(part.rstrip(), 1.0)
    return WeightedPrompt(text.rstrip(), float(number))
