from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.errors import InvalidRequest
from webui.prompt.schedule import (
    SchedulePart,
    old_timelines_matter,
    part_at,
    part_index,
    prompt_schedule,
)

Recorded = Callable[[str], Any]


def test_recorded_schedules(recorded: Recorded) -> None:
    cases = recorded("prompt_schedules")
    assert len(cases) > 200
    for case in cases:
        parts = prompt_schedule(
            case["prompt"], case["steps"], case["hires_steps"], old_timelines=case["old"]
        )
        assert [list(part) for part in parts] == case["schedule"], case


@pytest.mark.parametrize(
    "text",
    [
        "a | b [c:d:5]",
        "(a|b) [c:d:5]",
        "[a:b|c:5] [c:d:5]",
        "[c:d:5] \\",
        "[c:d:5] \\\n",
        "[c:d:5] [a|b",
        "[a|b) [c:d:5]",
        "[(a|b]) [c:d:5]",
    ],
)
def test_a_text_outside_of_the_grammar_is_not_edited_at_all(text: str) -> None:
    assert prompt_schedule(text, 10) == [(10, text)]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("[a:b:c:5] [d:e:3]", "[a:b:c:5] d", "[a:b:c:5] e"),
        ("[a [b:c:5]", "[a b", "[a c"),
        ("(x [a:b:3] y:z:w)", "(x a y:z:w)", "(x b y:z:w)"),
        ("[ [a:b:3] : c : d]", "[ a : c : d]", "[ b : c : d]"),
        ("(a [b:c:3])", "(a b)", "(a c)"),
        ("(a [b:c:3]:1.2) )", "(a b:1.2) )", "(a c:1.2) )"),
        ("([a:b:3] x] y", "(a x] y", "(b x] y"),
        ("[a:(b:c):3]", "a", "(b:c)"),
        ("[[a:b]:c:3]", "[[a:b]:c:3]", "[[a:b]:c:3]"),
        ("[x:y [z]:\n3 ]", "x", "y [z]"),
        ("[x:y [z]:3]", "x", "y [z]"),
        ("[[a]:3]", "", "[a]"),
        ("[[a]b::3]", "[a]b", ""),
        (r"\[a:b:3\] [a\]:b:3]", r"\[a:b:3\] a\]", r"\[a:b:3\] b"),
        ("[a:b:3]]", "a]", "b]"),
        ("[a:b:+3.e-1]", "a", "b"),
        ("[a:b:.3]", "a", "b"),
        ("[a:b:99999999999e999999]", "a", "a"),
        ("[a:b:-99999999999e999999]", "b", "b"),
    ],
)
def test_what_can_be_an_edit_is_one_and_the_rest_text(text: str, first: str, last: str) -> None:
    parts = prompt_schedule(text, 10)
    assert (parts[0].text, parts[-1].text) == (first, last)
    assert parts[-1].end_at_step == 10


def test_fractions_and_steps_in_each_pass() -> None:
    def ends(number: str, hires: int | None = None, *, old: bool = False) -> list[int]:
        parts = prompt_schedule(f"[a:b:{number}]", 20, hires, old_timelines=old)
        return [part.end_at_step for part in parts]

    assert ends("0.25") == [5, 20]
    assert ends("5") == [5, 20]
    assert ends("1.5") == [20]
    assert ends("1.5", 10) == [5, 10]
    assert ends("25", 10) == [5, 10]
    assert ends("5", 10) == [10]
    assert ends("0.25", 10) == [10]
    assert ends("0.25", 10, old=True) == [5, 20]
    assert ends("1.5", old=True) == [1, 20]


def test_old_timelines_matter_only_where_they_change_something() -> None:
    assert old_timelines_matter("[a:b:1.5]", 20)
    assert old_timelines_matter("[a:b:0.5]", 20, 20)
    assert not old_timelines_matter("[a:b:0.5]", 20)
    assert not old_timelines_matter("a", 20)


def test_changes_come_one_call_late() -> None:
    schedule = prompt_schedule("[a:b:5]", 10)
    assert [part_at(schedule, call).text for call in range(10)] == ["a"] * 6 + ["b"] * 4


def test_calls_beyond_the_end_get_the_first_part() -> None:
    schedule = prompt_schedule("[a:b:5]", 10)
    assert part_at(schedule, 10).text == "b"
    assert part_index(schedule, 11) == 0


class _Edit(NamedTuple):
    """An edit as a test builds it: `end` None is an alternation."""

    texts: list[Any]
    end: int | None


def _edits(contents: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    content = st.lists(contents, max_size=3)
    scheduled = st.builds(
        lambda before, after, end: _Edit([before, after], end), content, content, st.integers(0, 12)
    )
    alternate = st.builds(_Edit, st.lists(content, min_size=2, max_size=4), st.none())
    emphasis = st.builds(lambda inside: ["(", *inside, ":1.2)"], content)
    return scheduled | alternate | emphasis


_contents = st.recursive(st.sampled_from(["a", "b ", "\n", r"\[", r"\|", ",", "5"]), _edits)


def _write(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, _Edit):
        if content.end is None:
            return f"[{'|'.join(map(_write, content.texts))}]"
        return f"[{_write(content.texts[0])}:{_write(content.texts[1])}: {content.end}]"
    return "".join(map(_write, content))


def _expected(content: Any, step: int) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, _Edit):
        index = (step - 1) % len(content.texts) if content.end is None else step > content.end
        return _expected(content.texts[index], step)
    return "".join(_expected(item, step) for item in content)


@given(st.lists(_contents, max_size=6), st.integers(1, 15))
@settings(deadline=None, derandomize=True)
def test_any_well_formed_prompt_shows_its_text_at_every_step(content: Any, steps: int) -> None:
    parts = prompt_schedule(_write(content), steps)
    starts = [1, *(part.end_at_step + 1 for part in parts)]
    assert starts[-1] == steps + 1
    for start, part in zip(starts, parts, strict=False):
        texts = {_expected(content, step) for step in range(start, part.end_at_step + 1)}
        assert texts == {part.text}


@given(st.text(alphabet="ab[]():|35. \\"), st.integers(1, 5))
@settings(deadline=None, derandomize=True)
def test_any_text_has_a_schedule_over_the_whole_pass(text: str, steps: int) -> None:
    parts = prompt_schedule(text, steps)
    ends = [part.end_at_step for part in parts]
    assert ends == sorted(set(ends))
    assert ends[-1] == steps


def test_deep_nesting_needs_no_recursion() -> None:
    depth = 100_000
    assert prompt_schedule("[" * depth, 5) == [(5, "[" * depth)]
    assert prompt_schedule("[" * depth + ":" + "]" * depth, 5)[0].end_at_step == 5
    deep = prompt_schedule("[a:" * depth + "b" + ":2]" * depth, 5)
    assert deep == [SchedulePart(2, "a"), SchedulePart(5, "b")]
    alternating = prompt_schedule("[" * depth + "a" + "|b]" * depth, 2)
    assert alternating == [(1, "a"), (2, "b")]
    emphasised = prompt_schedule("(" * depth + "[a:b:2]" + ")" * depth, 5)
    assert emphasised[1].text == "(" * depth + "b" + ")" * depth


def test_texts_of_absurd_length_together_are_refused() -> None:
    branches = "|".join(str(number) for number in range(200))
    with pytest.raises(InvalidRequest, match="shorten it"):
        prompt_schedule(f"[{branches}]" + "x" * 10**6, 200)
    assert len(prompt_schedule("[a|b]" + "x" * 10**6, 200)) == 200
