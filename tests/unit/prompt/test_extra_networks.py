from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from webui.errors import InvalidRequest
from webui.prompt.extra_networks import (
    ExtraNetwork,
    LoraArguments,
    by_kind,
    format_extra_network,
    hypernetwork_arguments,
    lora_arguments,
    parse_extra_networks,
)

Recorded = Callable[[str], Any]


def only(prompt: str) -> ExtraNetwork:
    (network,) = parse_extra_networks(prompt).networks
    return network


def test_recorded_prompts(recorded: Recorded) -> None:
    cases = recorded("extra_networks")
    assert len(cases) > 5
    for case in cases:
        parsed = parse_extra_networks(case["prompt"])
        networks = {
            kind: [{"positional": one.positional, "named": one.named} for one in group]
            for kind, group in by_kind(parsed.networks).items()
        }
        assert (parsed.text, networks) == (case["text"], case["nets"]), case["prompt"]


def test_tags_are_cut_out_and_kept_in_order() -> None:
    parsed = parse_extra_networks("a <lora:x:0.5> b<hypernet:y> <lora:z:te=1> c <not a tag:1>")
    assert parsed.text == "a  b  c <not a tag:1>"
    assert [str(one) for one in parsed.networks] == [
        "<lora:x:0.5>",
        "<hypernet:y>",
        "<lora:z:te=1>",
    ]
    assert [one.arguments[0] for one in by_kind(parsed.networks)["lora"]] == ["x", "z"]


def test_named_arguments() -> None:
    network = only("<lora:a:te=0.5:0.25:unet=1:te=2:x=y=z>")
    assert network.positional == ["a", "0.25", "x=y=z"]
    assert network.named == {"te": "2", "unet": "1"}


@pytest.mark.parametrize("text", ["<lora:>", "<lora>", "<lo ra:x>", "<<>", "a < b > c", "<lora:x"])
def test_what_is_no_tag_stays(text: str) -> None:
    assert parse_extra_networks(text) == (text, ())


def test_a_tag_may_span_lines_and_hold_brackets() -> None:
    assert parse_extra_networks("<lora:a\nb (1) <x>y") == ("y", (("lora", ("a\nb (1) <x",)),))


def test_format_is_read_back() -> None:
    tag = format_extra_network("lora", "my file", 0.8, 1.0, dyn=4)
    assert tag == "<lora:my file:0.8:1:dyn=4>"
    assert only(tag).positional == ["my file", "0.8", "1"]
    assert only(tag).named == {"dyn": "4"}


@pytest.mark.parametrize("name", ["a:b", "a>b"])
def test_a_name_that_would_end_the_tag_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="rename it"):
        format_extra_network("lora", name)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("<lora:a>", ("a", 1.0, 1.0, None)),
        ("<lora:a:0.5>", ("a", 0.5, 0.5, None)),
        ("<lora:a:0.5:0.7>", ("a", 0.5, 0.7, None)),
        ("<lora:a:0.5:0.7:8>", ("a", 0.5, 0.7, 8)),
        ("<lora:a:0.5:te=0.1>", ("a", 0.1, 0.1, None)),
        ("<lora:a:0.5:unet=0:dyn=2>", ("a", 0.5, 0.0, 2)),
    ],
)
def test_lora_arguments(tag: str, expected: tuple[str, float, float, int | None]) -> None:
    assert lora_arguments(only(tag)) == LoraArguments(*expected)


def test_hypernetwork_arguments() -> None:
    assert hypernetwork_arguments(only("<hypernet:a>")) == ("a", 1.0)
    assert hypernetwork_arguments(only("<hypernet:a:0.3>")) == ("a", 0.3)


@pytest.mark.parametrize("tag", ["<lora:a:strong>", "<lora:te=1>", "<lora:a:dyn=x>"])
def test_senseless_lora_arguments_are_refused(tag: str) -> None:
    with pytest.raises(InvalidRequest, match=r"not a number|names no file"):
        lora_arguments(only(tag))


@pytest.mark.parametrize("tag", ["<hypernet:a:x>", "<hypernet:b=1>"])
def test_senseless_hypernetwork_arguments_are_refused(tag: str) -> None:
    with pytest.raises(InvalidRequest, match=r"not a number|names no file"):
        hypernetwork_arguments(only(tag))


def test_unclosed_tags_by_the_hundred_thousand_are_text() -> None:
    text = "<a:" * 300_000
    assert parse_extra_networks(text) == (text, ())
    assert parse_extra_networks("<a:b>" * 100_000).text == ""
