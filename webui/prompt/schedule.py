r"""Prompt editing: which text is in force at which model call.

The grammar, on a text of plain characters, ``\x`` (x: any character but a line end) and brackets::

    text       = (content | "[" | "]" | "(" | ")" | ":")*
    content    = (scheduled | alternate | emphasised | plain)*
    scheduled  = "[" [content ":"] content ":" number "]"
    alternate  = "[" content ("|" content)+ "]"
    emphasised = "(" content ")" | "(" content ":" content ")" | "[" content "]"

Whatever can be read as an edit is one. (Where an edit touches a stray bracket or colon, A1111 takes
it now for an edit, now for text, as the hash order of its parser falls.) Emphasis passes through
verbatim, to be read by `attention`. A text that the grammar does not cover is used as it stands,
without any editing; that is any text with a ``|`` outside of ``[a|b]``, or with a backslash at its
end or before a line end.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isinf, lcm
from typing import NamedTuple, TypeAlias

from webui.errors import InvalidRequest

_PLAIN = r"[^\\\[\]():|]*+"
_NUMBER = (
    r"\s*[+-]?(?:[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+)\s*"
)

# Edits and emphasis with nothing inside are read at once, as that is several times faster.
_TOKEN = re.compile(
    rf"\[{_PLAIN}(?:\|{_PLAIN})++\]"
    rf"|\[(?:{_PLAIN}:)?{_PLAIN}:{_NUMBER}\]"
    rf"|\[{_PLAIN}\]|\({_PLAIN}(?::{_PLAIN})?\)"
    rf"|:{_NUMBER}\]"
    r"|(?:[^\\\[\]():|]++|\\.)++|[\\\[\]():|]"
)
_SPECIAL = frozenset("\\[]():|")
_OPENING = ("[", "(")
_OPENING_OF = {"]": "[", ")": "("}

# What all texts of one schedule may hold together.
_MOST_PIECES = 2_000_000
_MOST_CHARACTERS = 50_000_000


class SchedulePart(NamedTuple):
    """A text and the last step, counted from 1, that it serves."""

    end_at_step: int
    text: str


class _Leaf(NamedTuple):
    """An edit whose contents are plain; a scheduled one has two texts."""

    texts: tuple[str, ...]
    end: int | None  # last step of the first text; None: an alternation


# An edit around other items: text k is what stands between its borders k and k + 1 (indices).
_Nested: TypeAlias = tuple[int, ...]

_Item: TypeAlias = str | _Leaf | _Nested


class _Unparsable(Exception):
    """The text is not of the grammar: it is used as it stands."""


@dataclass(frozen=True)
class _Timeline:
    """Turns the number of an edit into a step.

    Args:
        steps: model calls of this pass.
        step_offset: model calls of the passes before.
        fraction_offset: 1.0 in the hires pass, whose fractions run from 1 to 2.
        old: numbers below 1 are fractions, however written.
    """

    steps: int
    step_offset: int = 0
    fraction_offset: float = 0.0
    old: bool = False

    def end(self, number: str) -> int:
        """Return the last step before the edit takes effect; below 1: it always was in effect."""
        value = float(number)
        if self.old:
            value = value * self.steps if value < 1 else value
        elif "." in number:
            value = (value - self.fraction_offset) * self.steps
        else:
            value -= self.step_offset
        if isinf(value):
            return self.steps if value > 0 else 0
        return min(self.steps, int(value))


def prompt_schedule(
    prompt: str, steps: int, hires_steps: int | None = None, *, old_timelines: bool = False
) -> list[SchedulePart]:
    """Return the texts of a prompt for one pass, each with its last step.

    In ``[a:b:when]`` a number with a decimal point is a fraction of the pass (of the hires pass:
    1.0 to 2.0), any other a step counted from the start of the first pass. An alternation makes
    one part for every step and starts anew with each pass. The last part ends with the pass.

    Args:
        steps: model calls of the first pass: twice the sampling steps for second-order samplers.
        hires_steps: model calls of the hires pass, if this is for that pass.
        old_timelines: A1111's rules before 1.6, where numbers below 1 are fractions of the first
            pass and the hires pass repeats the schedule of the first.
    Raises: InvalidRequest: the texts together would be of absurd length.
    """
    if hires_steps is None or old_timelines:
        timeline = _Timeline(steps, old=old_timelines)
    else:
        timeline = _Timeline(hires_steps, step_offset=steps, fraction_offset=1.0)
    if "[" not in prompt or (":" not in prompt and "|" not in prompt):
        return [SchedulePart(timeline.steps, prompt)]
    parser = _Parser(timeline, list(_TOKEN.findall(prompt)))
    try:
        parser.parse()
    except _Unparsable:
        return [SchedulePart(timeline.steps, prompt)]
    if not parser.ends and not parser.branch_counts:
        return [SchedulePart(timeline.steps, prompt)]
    return _render_parts(parser)


def old_timelines_matter(prompt: str, steps: int, hires_steps: int | None = None) -> bool:
    """Whether the old timelines give this prompt another schedule (the infotext says so then)."""
    new = prompt_schedule(prompt, steps, hires_steps)
    return new != prompt_schedule(prompt, steps, hires_steps, old_timelines=True)


def part_index(schedule: Sequence[SchedulePart], call_index: int) -> int:
    """Return the index of the part that serves a model call, counted from 0.

    A1111 compares the 0-based call with 1-based steps, so that every change comes one call late;
    and calls beyond the last part get the first one. Both are kept for its pictures.
    """
    for index, part in enumerate(schedule):
        if call_index <= part.end_at_step:
            return index
    return 0


def part_at(schedule: Sequence[SchedulePart], call_index: int) -> SchedulePart:
    """Return the part that serves a model call, counted from 0; see `part_index`."""
    return schedule[part_index(schedule, call_index)]


@dataclass
class _Parser:
    """One pass over the tokens of a text, `items`.

    Brackets, separators and what is between are text until a closing bracket makes them an edit,
    which then stands in place of its opening bracket. One that closes badly makes all open ones
    plain text, which they are already.
    """

    timeline: _Timeline
    items: list[_Item]
    brackets: list[int] = field(default_factory=list)  # the open ones' indices among the items
    borders: list[int] = field(default_factory=list)  # how many separators each found open
    separators: list[int] = field(default_factory=list)  # indices among the items
    leaves: dict[str, _Item] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)  # of the edits' numbers
    nested_ends: dict[int, int] = field(default_factory=dict)  # of scheduled items, by last border
    branch_counts: set[int] = field(default_factory=set)

    def parse(self) -> None:
        """Make edits of items; raise _Unparsable."""
        brackets, borders, separators = self.brackets, self.borders, self.separators
        for index, token in enumerate(self.items):
            if not isinstance(token, str) or token[0] not in _SPECIAL:
                continue
            if token in _OPENING:
                brackets.append(index)
                borders.append(len(separators))
            elif token in _OPENING_OF:
                self._close(index, token)
            elif len(token) > 1:
                self._take_long(index, token)
            elif brackets and token != "\\":
                separators.append(index)
            elif token != ":":
                raise _Unparsable
        self._give_up_brackets()

    def _take_long(self, index: int, token: str) -> None:
        """Take in ``:number]`` or a whole edit; what else begins like it is text."""
        if token[0] == "[":
            if token not in self.leaves:
                self.leaves[token] = self._leaf(token[1:-1])
            self.items[index] = self.leaves[token]
        elif token[0] == ":":
            self._close_scheduled(index, token[1:-1])

    def _leaf(self, contents: str) -> _Item:
        """Read brackets whose contents are plain."""
        if "|" in contents:
            branches = tuple(contents.split("|"))
            self.branch_counts.add(len(branches))
            return _Leaf(branches, None)
        if ":" not in contents:
            return f"[{contents}]"
        *texts, number = contents.split(":")
        return _Leaf((texts[0] if len(texts) == 2 else "", texts[-1]), self._end(number))

    def _end(self, number: str) -> int:
        if number not in self.ends:
            self.ends[number] = self.timeline.end(number)
        return self.ends[number]

    def _close_scheduled(self, index: int, number: str) -> None:
        """Take in ``:number]`` at `index`."""
        items = self.items
        if self.brackets and items[self.brackets[-1]] == "[":
            start = self.brackets[-1]
            own = self.separators[self.borders[-1] :]
            if not own:  # no text before: an empty one is made between two borders side by side
                own = [start]
                start -= 1
            if len(own) == 1 and items[own[0]] != "|":
                items[self.brackets[-1]] = (start, own[0], index)
                self.nested_ends[index] = self._end(number)
                self._drop_bracket()
                return
        self._give_up_brackets()

    def _close(self, index: int, token: str) -> None:
        """Take in a closing bracket at `index`."""
        items = self.items
        if not self.brackets or items[self.brackets[-1]] != _OPENING_OF[token]:
            self._give_up_brackets()
            return
        own = self.separators[self.borders[-1] :]
        kinds = set(map(items.__getitem__, own))
        if token == "]" and kinds == {"|"}:
            start = self.brackets[-1]
            self.branch_counts.add(len(own) + 1)
            items[start] = (start, *own, index)
            self._drop_bracket()
        elif not own or (token == ")" and len(own) == 1 and kinds == {":"}):
            self._drop_bracket()
        else:
            self._give_up_brackets()

    def _drop_bracket(self) -> None:
        """Forget the innermost open bracket and its separators."""
        self.brackets.pop()
        del self.separators[self.borders.pop() :]

    def _give_up_brackets(self) -> None:
        """Leave all open brackets as text."""
        if any(self.items[index] == "|" for index in self.separators):
            raise _Unparsable
        self.brackets.clear()
        self.borders.clear()
        self.separators.clear()


def _render_parts(parser: _Parser) -> list[SchedulePart]:
    """Render the items at every step where they may change; equal texts are rendered once."""
    steps = parser.timeline.steps
    ends = sorted({end for end in parser.ends.values() if end >= 1})
    alternates = bool(parser.branch_counts)
    changes = range(1, steps + 1) if alternates else sorted({*ends, steps})
    period = lcm(*parser.branch_counts) if len(parser.branch_counts) <= steps else steps
    texts: dict[tuple[int, int], str] = {}
    parts: list[SchedulePart] = []
    pieces = characters = 0
    for step in changes:
        state = bisect_left(ends, step), (step - 1) % period
        if state not in texts:
            rendered = _render(parser, step)
            pieces += len(rendered)
            texts[state] = "".join(rendered)
            characters += len(texts[state])
        if pieces > _MOST_PIECES or characters > _MOST_CHARACTERS:
            reason = (
                "The prompt's editing [a:b:0.5] or [a|b] makes too many long texts: shorten it."
            )
            raise InvalidRequest("prompt", reason)
        parts.append(SchedulePart(step, texts[state]))
    return parts


def _render(parser: _Parser, step: int) -> list[str]:
    """Return the pieces of text at a step."""
    items = parser.items
    pieces: list[str] = []
    outside: list[tuple[int, int]] = []  # where to go on behind each entered edit, and until where
    index, stop = 0, len(items)
    while index < stop or outside:
        if index >= stop:
            index, stop = outside.pop()
            continue
        item = items[index]
        index += 1
        if isinstance(item, str):
            pieces.append(item)
        elif isinstance(item, _Leaf):
            pieces.append(item.texts[_choice(item.end, len(item.texts), step)])
        else:
            choice = _choice(parser.nested_ends.get(item[-1]), len(item) - 1, step)
            outside.append((item[-1] + 1, stop))
            index, stop = item[choice] + 1, item[choice + 1]
    return pieces


def _choice(end: int | None, count: int, step: int) -> int:
    """Return which of an edit's `count` texts is in force at a step."""
    if end is None:
        return (step - 1) % count
    return 0 if step <= end else 1
