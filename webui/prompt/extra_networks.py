"""``<lora:name:0.8>``: tags that ask for extra networks, cut out before a prompt is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from webui.errors import InvalidRequest

LORA_KINDS = ("lora", "lyco")
"""Kinds of tags that name a LoRA or one of its relatives; both mean the same."""
HYPERNETWORK_KIND = "hypernet"

_TAG = re.compile(r"<(\w+):([^>]+)>")


class ExtraNetwork(NamedTuple):
    """One tag.

    Args:
        kind: what stands before the first colon, e.g. ``"lora"``, in the prompt's own case.
        arguments: what stands between the further colons, as written.
    """

    kind: str
    arguments: tuple[str, ...]

    @property
    def positional(self) -> list[str]:
        """The arguments without a name; ``a=b=c`` is one too, as in A1111."""
        return [argument for argument in self.arguments if argument.count("=") != 1]

    @property
    def named(self) -> dict[str, str]:
        """The arguments of the form ``name=value``; the last of a name counts."""
        return dict(item.split("=") for item in self.arguments if item.count("=") == 1)

    def __str__(self) -> str:
        return f"<{':'.join((self.kind, *self.arguments))}>"


class ParsedNetworks(NamedTuple):
    """A prompt without its tags, and the tags in their order."""

    text: str
    networks: tuple[ExtraNetwork, ...]


class LoraArguments(NamedTuple):
    """What a ``<lora:…>`` tag asks for.

    Args:
        name: file stem or alias.
        text_encoder_weight: multiplier for the text encoder's part, 1.0 = as trained.
        unet_weight: multiplier for the U-Net's part.
        dynamic_rank: use only so many ranks; None: all.
    """

    name: str
    text_encoder_weight: float
    unet_weight: float
    dynamic_rank: int | None


def parse_extra_networks(prompt: str) -> ParsedNetworks:
    """Cut all tags ``<kind:argument:…>`` out of a positive prompt, of known kinds or not.

    A tag's position has no meaning. What surrounds it stays as it is, spaces included.
    """
    networks: list[ExtraNetwork] = []

    def cut(match: re.Match[str]) -> str:
        kind, arguments = match.groups()
        networks.append(ExtraNetwork(kind, tuple(arguments.split(":"))))
        return ""

    # Behind the last ">" no tag can end; looking for one there would take quadratic time.
    end = prompt.rfind(">") + 1
    text = _TAG.sub(cut, prompt[:end]) + prompt[end:]
    return ParsedNetworks(text, tuple(networks))


def by_kind(networks: Iterable[ExtraNetwork]) -> dict[str, list[ExtraNetwork]]:
    """Group tags by their kind, in order of first appearance."""
    groups: dict[str, list[ExtraNetwork]] = {}
    for network in networks:
        groups.setdefault(network.kind, []).append(network)
    return groups


def format_extra_network(kind: str, *positional: str | float, **named: str | float) -> str:
    """Write a tag, e.g. ``format_extra_network("lora", "a", 0.5, dyn=4)`` = ``<lora:a:0.5:dyn=4>``.

    Raises: InvalidRequest: an argument has a character that would end it.
    """
    arguments = [_written(value) for value in positional]
    arguments += [f"{name}={_written(value)}" for name, value in named.items()]
    for argument in arguments:
        if ":" in argument or ">" in argument:
            reason = f'"{argument}" cannot stand in a <{kind}:…> tag: rename it without : and >.'
            raise InvalidRequest("prompt", reason)
    return str(ExtraNetwork(kind, tuple(arguments)))


def lora_arguments(network: ExtraNetwork) -> LoraArguments:
    """Read ``<lora:name:te:unet:dyn>``; ``te= unet= dyn=`` win over positions.

    Without weights both are 1.0; with one, it serves both parts.

    Raises: InvalidRequest: no name, or a weight that is not a number.
    """
    positional, named = network.positional, network.named
    if not positional:
        raise InvalidRequest("prompt", f"The tag {network} names no file.")
    given = dict(zip(("te", "unet", "dyn"), positional[1:], strict=False)) | named
    weight = _number(network, given, "te", 1.0)
    rank = int(_number(network, given, "dyn", 0)) if "dyn" in given else None
    return LoraArguments(positional[0], weight, _number(network, given, "unet", weight), rank)


def hypernetwork_arguments(network: ExtraNetwork) -> tuple[str, float]:
    """Read ``<hypernet:name:multiplier>``: the name, and the multiplier or 1.0.

    Raises: InvalidRequest: no name, or a multiplier that is not a number.
    """
    positional = network.positional
    if not positional:
        raise InvalidRequest("prompt", f"The tag {network} names no file.")
    given = dict(zip(("multiplier",), positional[1:], strict=False))
    return positional[0], _number(network, given, "multiplier", 1.0)


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _number(network: ExtraNetwork, given: Mapping[str, str], name: str, default: float) -> float:
    if name not in given:
        return default
    try:
        return float(given[name])
    except ValueError:
        reason = f'In the tag {network}, "{given[name]}" is not a number.'
        raise InvalidRequest("prompt", reason) from None
