"""Faster self-attention: alike tokens are merged before it and spread out again after it.

Source: Bolya & Hoffman 2023, Token Merging for Fast Stable Diffusion (arXiv:2303.17604), with the
choices that A1111 makes: self-attention at the latents' own resolution only, one destination in
each 2 x 2 cell, its top left token (no random choice).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from webui.families.base import Networks
from webui.request import GenerationRequest
from webui.settings import Settings

CELL = 2
"""Side of the cells that hold one destination each, in tokens."""


class Ratios(NamedTuple):
    """Shares of the tokens that are merged, 0 (none) to 0.9, in the first and the hires pass."""

    first: float
    hires: float


def merging_ratios(request: GenerationRequest, settings: Settings) -> Ratios:
    """What the settings mean for a request, as A1111 ranks them.

    A ratio among the request's overrides goes before the setting for img2img.
    """
    everywhere = settings.token_merging_ratio
    if request.init is not None:
        asked = request.overrides.get("token_merging_ratio")
        return Ratios(float(asked or settings.token_merging_ratio_img2img or everywhere), 0.0)
    hires = settings.token_merging_ratio_hr or everywhere
    return Ratios(everywhere, hires if request.hires is not None else 0.0)


def merging_notes(request: GenerationRequest, settings: Settings) -> dict[str, object]:
    """What the infotext says of merging, by key."""
    ratios = merging_ratios(request, settings)
    named = {"Token merging ratio": ratios.first, "Token merging ratio hr": ratios.hires}
    return {key: ratio for key, ratio in named.items() if ratio}


@dataclass(frozen=True, slots=True)
class Matching:
    """Which tokens of [B, N, C] are merged into which.

    Attributes:
        kept, merged: [B, n, 1] places of the sources that stay alone and of those that do not.
        destinations: [1, D, 1] places of the destinations.
        partners: [B, n, 1] for each of `merged` the number of its destination.
    """

    kept: Tensor
    merged: Tensor
    destinations: Tensor
    partners: Tensor

    def merge(self, tokens: Tensor) -> Tensor:
        """Return [B, N - n, C]: sources that stay, then destinations averaged with what joins."""
        into = _pick(tokens, self.destinations.expand(len(tokens), -1, -1))
        joining = _pick(tokens, self.merged)
        partners = self.partners.expand_as(joining)
        into = into.scatter_reduce(1, partners, joining, reduce="mean")
        return torch.cat([_pick(tokens, self.kept), into], dim=1)

    def spread(self, merged: Tensor) -> Tensor:
        """Return [B, N, C]: each source at its place again, those that joined equal."""
        alone = self.kept.shape[1]
        stayed, into = merged[:, :alone], merged[:, alone:]
        count, width = alone + into.shape[1] + self.merged.shape[1], merged.shape[2]
        out = merged.new_empty(len(merged), count, width)
        places = self.destinations.expand(len(merged), -1, width)
        out.scatter_(1, places, into)
        out.scatter_(1, self.kept.expand_as(stayed), stayed)
        joined = _pick(into, self.partners)
        return out.scatter_(1, self.merged.expand_as(joined), joined)


def match_tokens(tokens: Tensor, height: int, width: int, ratio: float) -> Matching:
    """Pair the sources that are most like a destination with it.

    Args:
        tokens: [B, height * width, C], at least 2 x 2.
        ratio: share of all tokens to merge, as far as there are sources.
    """
    sources, destinations = _split_places(height, width, tokens.device)
    unit = tokens / tokens.norm(dim=-1, keepdim=True)
    likeness, partner = (unit[:, sources] @ unit[:, destinations].transpose(1, 2)).max(dim=-1)
    order = likeness.argsort(dim=-1, descending=True)
    count = min(len(sources), int(height * width * ratio))
    first, rest = order[:, :count], order[:, count:]
    return Matching(
        kept=sources[rest][..., None],
        merged=sources[first][..., None],
        destinations=destinations[None, :, None],
        partners=partner.gather(1, first)[..., None],
    )


@contextmanager
def merging(networks: Networks, ratio: float) -> Iterator[None]:
    """Have the denoising network's blocks merge tokens; undone at the end."""
    with ExitStack() as hooks:
        if ratio > 0 and "unet" in networks:
            unet, state = networks["unet"], _State(ratio)
            hooks.callback(
                unet.register_forward_pre_hook(state.see_latents, with_kwargs=True).remove
            )
            for block in unet.modules():
                norm, attention = getattr(block, "norm1", None), getattr(block, "attn1", None)
                if isinstance(norm, nn.Module) and isinstance(attention, nn.Module):
                    _attach(hooks, norm, attention, state)
        yield


class _State:
    """What the hooks of one network tell each other during a forward pass."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._size = (0, 0)
        self._matching: Matching | None = None

    def see_latents(self, _unet: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        latents: Tensor = args[0] if args else named["sample"]
        self._size = (latents.shape[-2], latents.shape[-1])

    def see_tokens(self, _norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        height, width = self._size
        fits = args[0].shape[1] == height * width and min(self._size) >= CELL
        self._matching = match_tokens(args[0], height, width, self._ratio) if fits else None

    def merge(self, _attention: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return None if self._matching is None else (self._matching.merge(args[0]), *args[1:])

    def spread(self, _attention: nn.Module, _args: tuple[Any, ...], out: Tensor) -> Tensor | None:
        return None if self._matching is None else self._matching.spread(out)


def _attach(hooks: ExitStack, norm: nn.Module, attention: nn.Module, state: _State) -> None:
    hooks.callback(norm.register_forward_pre_hook(state.see_tokens).remove)
    hooks.callback(attention.register_forward_pre_hook(state.merge).remove)
    hooks.callback(attention.register_forward_hook(state.spread).remove)


def _pick(tokens: Tensor, places: Tensor) -> Tensor:
    """Return tokens [B, N, C] at places [B, n, 1]: [B, n, C]."""
    return tokens.gather(1, places.expand(-1, -1, tokens.shape[2]))


def _split_places(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the places of sources and of destinations; an odd last row or column has none."""
    grid = torch.zeros(height, width, dtype=torch.bool, device=device)
    grid[: height // CELL * CELL : CELL, : width // CELL * CELL : CELL] = True
    flat = grid.flatten()
    return (~flat).nonzero()[:, 0], flat.nonzero()[:, 0]
