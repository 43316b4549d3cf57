"""Emphasis: ``(word)``, ``(word:1.3)``, ``[word]`` and ``BREAK`` as a list of weighted pieces."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

from webui.errors import InvalidRequest

Emphasis = Literal["None", "Ignore", "Original", "No norm"]

BREAK = "BREAK"
ROUND_WEIGHT = 1.1
SQUARE_WEIGHT = 1 / 1.1

_CLOSING = {")": ("(", ROUND_WEIGHT), "]": ("[", SQUARE_WEIGHT)}
_NUMBER = r":\s*+[+-]?[.\d]++\s*+\)"
_TOKEN = re.compile(
    rf"\\[()\[\]\\]?|\(++|\[++|\)++|\]++|{_NUMBER}|(?:[^\\()\[\]:]++|:(?!{_NUMBER[1:]}))++"
)
_BREAK = re.compile(r"\bBREAK\b")

# Products of weights are taken one bracket after the other, innermost first, as floats round
# differently in another order. Text with so many brackets around so many pieces that this would
# exceed the following number of multiplications gets its products from sums of logarithms.
_EXACT_MULTIPLICATIONS = 300_000


class WeightedText(NamedTuple):
    """A piece of a prompt and the factor for its tokens; 1.0 is plain text."""

    text: str
    weight: float

    @property
    def starts_chunk(self) -> bool:
        """Whether this is a ``BREAK`` in force, not text."""
        return self.text == BREAK and self.weight == -1.0


# A bracket that is no longer open: (start, end, factor) multiplies the pieces [start, end).
_Scaling: TypeAlias = tuple[int, int, float]


def weighted_texts(text: str, emphasis: Emphasis = "Original") -> list[WeightedText]:
    """Split a text into weighted pieces as the setting `emphasis` asks.

    ``"None"`` takes the text literally, ``"Ignore"`` parses it and drops the weights, the other two
    give the weights (they differ in what is done with them after the text encoder).

    Raises: InvalidRequest: see `parse_attention`.
    """
    if emphasis == "None":
        return [WeightedText(text, 1.0)]
    pieces = parse_attention(text)
    if emphasis == "Ignore":
        return [piece if piece.starts_chunk else piece._replace(weight=1.0) for piece in pieces]
    return pieces


def parse_attention(text: str) -> list[WeightedText]:
    r"""Split a text into weighted pieces; neighbours of equal weight are merged.

    ``(x)`` multiplies by 1.1, ``[x]`` divides by it, ``(x:w)`` multiplies by w; nesting multiplies.
    An unclosed bracket reaches to the end; an unmatched closing one is text. ``\( \) \[ \] \\`` are
    text, any other backslash vanishes. ``BREAK`` becomes a piece of its own with weight -1 and
    swallows the white space around it.

    A1111's quirk, kept for its pictures: brackets multiply the mark of a ``BREAK`` too, so that
    inside of them it is the word "BREAK" with a negative weight.

    Raises: InvalidRequest: a weight is not a number, as in ``(a:1.2.3)``.
    """
    texts, scalings = _scan(text)
    return _merged(texts, _weights(texts, scalings))


def _scan(text: str) -> tuple[list[str], list[_Scaling]]:
    """Return the pieces, and the brackets in the order of closing, unclosed ones last."""
    texts: list[str] = []
    scalings: list[_Scaling] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    round_starts = opened["("]
    for token in _TOKEN.findall(text):
        first = token[0]
        if first in opened:
            opened[first] += [len(texts)] * len(token)
        elif first in _CLOSING:
            opening, factor = _CLOSING[first]
            starts = opened[opening]
            if len(token) == 1 and starts:
                scalings.append((starts.pop(), len(texts), factor))
            else:
                texts += _closed(token, starts, factor, len(texts), scalings)
        elif first == ":" and round_starts and token[-1] == ")":
            scalings.append((round_starts.pop(), len(texts), _number(token[1:-1])))
        elif first == "\\":
            texts.append(token[1:])
        elif BREAK in token:
            texts += _split_at_breaks(token)
        else:
            texts.append(token)
    scalings += [(start, len(texts), ROUND_WEIGHT) for start in round_starts]
    scalings += [(start, len(texts), SQUARE_WEIGHT) for start in opened["["]]
    return texts, scalings


def _closed(
    brackets: str, starts: list[int], factor: float, end: int, scalings: list[_Scaling]
) -> Iterable[str]:
    """Close as many brackets as are open; return the rest, which are text."""
    count = min(len(brackets), len(starts))
    if count:
        scalings += [(start, end, factor) for start in reversed(starts[-count:])]
        del starts[-count:]
    return [brackets[count:]] if count < len(brackets) else ()


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        reason = f'The emphasis weight "{text.strip()[:40]}" in the prompt is not a number.'
        raise InvalidRequest("prompt", reason)
    return number


def _split_at_breaks(text: str) -> list[str]:
    """Return the text's parts with `BREAK` as an item of its own between them."""
    parts = _BREAK.split(text)
    items = [parts[0]]
    for part in parts[1:]:
        items[-1] = items[-1].rstrip()
        items += (BREAK, part.lstrip())
    return items


def _weights(texts: list[str], scalings: list[_Scaling]) -> list[float]:
    """Apply the scalings in their order."""
    weights = [-1.0 if text == BREAK else 1.0 for text in texts]
    effective = [one for one in scalings if one[0] < one[1] and one[2] != 1.0]
    if sum(end - start for start, end, _ in effective) > _EXACT_MULTIPLICATIONS:
        products = _products(len(texts), effective)
        return [weight * factor for weight, factor in zip(weights, products, strict=True)]
    for start, end, factor in effective:
        for index in range(start, end):
            weights[index] *= factor
    return weights


def _products(count: int, scalings: list[_Scaling]) -> list[float]:
    """Return each piece's product of factors, to about 12 digits, in time linear in both."""
    logarithms = [0.0] * (count + 1)
    negatives = [0] * (count + 1)
    zeros = [0] * (count + 1)
    known = {factor: math.log(abs(factor)) if factor else 0.0 for _, _, factor in scalings}
    for start, end, factor in scalings:
        logarithm = known[factor]
        logarithms[start] += logarithm
        logarithms[end] -= logarithm
        if factor <= 0.0:
            changes = negatives if factor else zeros
            changes[start] += 1
            changes[end] -= 1
    sums = zip(accumulate(logarithms), accumulate(negatives), accumulate(zeros), strict=True)
    products = [
        0.0 if zero else (-1.0) ** odd * (math.exp(log) if log < 709 else math.inf)
        for log, odd, zero in sums
    ]
    return products[:count]


def _merged(texts: list[str], weights: list[float]) -> list[WeightedText]:
    merged: list[WeightedText] = []
    start = 0
    for index in range(1, len(texts) + 1):
        if index == len(texts) or weights[index] != weights[start]:
            merged.append(WeightedText("".join(texts[start:index]), weights[start]))
            start = index
    return merged or [WeightedText("", 1.0)]
