"""Between pictures and latents, one picture at a time: memory stays flat and batches equal single
pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from webui.engine.pixels import check_finite, to_images, to_pixels
from webui.families.base import LoadedModel

LATENT_UPSCALERS: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {
        "Latent": ("bilinear", False),
        "Latent (antialiased)": ("bilinear", True),
        "Latent (bicubic)": ("bicubic", False),
        "Latent (bicubic antialiased)": ("bicubic", True),
        "Latent (nearest)": ("nearest", False),
        "Latent (nearest-exact)": ("nearest-exact", False),
    }
)
"""A1111's names -> (mode of torch's interpolate, antialias)."""


def decode(model: LoadedModel, latents: Tensor) -> list[Image.Image]:
    """Return latents [B, C, h, w] as pictures.

    Raises: BadOutput: latents or pixels are NaN.
    """
    check_finite(latents, "The denoising network")
    images: list[Image.Image] = []
    for latent in latents:
        images += to_images(model.decode_latents(latent.unsqueeze(0)))
    return images


def encode(model: LoadedModel, images: Sequence[Image.Image]) -> Tensor:
    """Return RGB pictures of one size as latents [B, C, h, w] float32, without random part."""
    pixels = to_pixels(images, model.device)
    return torch.cat([model.encode_image(picture.unsqueeze(0)) for picture in pixels])


def resize_latents(latents: Tensor, height: int, width: int, upscaler: str = "Latent") -> Tensor:
    """Interpolate latents to height x width (of the latent)."""
    mode, antialias = LATENT_UPSCALERS[upscaler]
    if not antialias:
        return functional.interpolate(latents, size=(height, width), mode=mode)
    return functional.interpolate(latents, size=(height, width), mode=mode, antialias=True)
