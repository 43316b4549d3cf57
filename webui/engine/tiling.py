"""Seamless pictures: convolutions that wrap around the edges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from webui.families.base import Networks

TILED = ("unet", "vae")


@contextmanager
def seamless(networks: Networks, *, enabled: bool = True) -> Iterator[None]:
    """Have all convolutions of denoising network and VAE pad circularly; undone at the end."""
    found = [
        module
        for role in TILED
        if enabled and role in networks
        for module in networks[role].modules()
        if isinstance(module, nn.Conv2d)
    ]
    former = [module.padding_mode for module in found]
    try:
        for module in found:
            module.padding_mode = "circular"
        yield
    finally:
        for module, mode in zip(found, former, strict=True):
            module.padding_mode = mode
