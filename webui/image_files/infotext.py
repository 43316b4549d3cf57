"""The grammar of the text that travels with a picture: prompt, negative prompt, a line of pairs.

::

    a cat
    Negative prompt: dog
    Steps: 20, Sampler: Euler a, Lora hashes: "one: 1234, two: 5678"
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

Value = str | int | float | bool | list[str]
Params = dict[str, Value]
"""What an infotext says, by key; "Prompt" and "Negative prompt" among them."""

NEGATIVE = "Negative prompt:"
_MIN_PAIRS = 3
_MAX_PAIRS = 5000

# A1111 searches for \s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$) at every position, which
# takes quadratic time on a long line without colons. A key is always the end of a run of key
# characters, so that looking only where a run begins finds the same pairs in linear time.
_PAIR = re.compile(
    r"(?<![\w \-/])[ \-/]*+(\w[\w \-/]++):\s*+(\"(?:\\.|[^\\\"])++\"(?=,|$)|[^,]*+)(?:,|$)"
)
_SIZE = re.compile(r"(\d+)x(\d+)")


class SplitInfotext(NamedTuple):
    """The parts of an infotext, before anything is completed."""

    prompt: str
    negative_prompt: str
    pairs: Params


def quote(value: object) -> str:
    """A value as it stands in the line of pairs: as JSON if it holds a comma, colon or newline."""
    text = str(value)
    if not any(mark in text for mark in ",:\n"):
        return text
    return json.dumps(value if isinstance(value, dict | list) else text, ensure_ascii=False)


def unquote(text: str) -> str:
    """The value of a quoted text; what is not valid JSON is taken as it stands."""
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def format_infotext(prompt: str, negative_prompt: str, pairs: Mapping[str, object]) -> str:
    """Write an infotext.

    Args:
        pairs: in order; those whose value is None are left out.
    """
    line = ", ".join(
        key if key == value else f"{key}: {quote(value)}"
        for key, value in pairs.items()
        if value is not None
    )
    negative = f"\n{NEGATIVE} {negative_prompt}" if negative_prompt else ""
    return f"{prompt}{negative}\n{line}".strip()


def split_infotext(text: str) -> SplitInfotext:
    """Read an infotext; time grows linearly with its length.

    The last line holds the pairs (5000 are read) if there are at least three in it, else it belongs
    to the prompt.
    ``512x768`` becomes two pairs, ``Size-1`` and ``Size-2``; a pair without a value is left out.
    """
    *lines, last = text.strip().split("\n")
    matches = itertools.islice(_PAIR.finditer(last), _MAX_PAIRS)
    found = [(match[1], match[2]) for match in matches]
    if len(found) < _MIN_PAIRS:
        lines.append(last)
        found = []
    prompt, negative_prompt = _split_prompts(lines)
    return SplitInfotext(prompt, negative_prompt, _pairs(found))


def _split_prompts(lines: list[str]) -> tuple[str, str]:
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for raw in lines:
        line = raw.strip()
        if line.startswith(NEGATIVE):
            current, line = negative, line.removeprefix(NEGATIVE).strip()
        if line or current:  # leading empty lines vanish
            current.append(line)
    return "\n".join(prompt), "\n".join(negative)


def _pairs(found: list[tuple[str, str]]) -> Params:
    pairs: Params = {}
    for key, raw in found:
        if not raw:
            continue
        value = unquote(raw)
        size = _SIZE.fullmatch(value)
        if size:
            pairs[f"{key}-1"], pairs[f"{key}-2"] = size.groups()
        else:
            pairs[key] = value
    return pairs
