"""Small pictures of unfinished latents: a linear map from latent channels to colours."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor

from webui.images.grid import grid_rows, image_grid

SD1_RGB = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)
"""Rows: latent channels 1 to 4; columns: red, green, blue. A1111's 'Approx cheap' for SD 1, 2."""
SMALLEST_SIDE = 256


def approximate(latents: Tensor, factors: Tensor | None = None) -> Image.Image:
    """Return one latent [4, h, w] as an RGB picture of w x h pixels.

    Args:
        factors: [4, 3] colours of the latent channels; None: SD1's.
    """
    if factors is None:
        factors = torch.tensor(SD1_RGB)
    colours = torch.einsum("chw,cr->hwr", latents.float().cpu(), factors)
    scaled = ((colours + 1.0) / 2.0).nan_to_num_(0.5).clamp_(0.0, 1.0).mul_(255.0)
    return Image.fromarray(scaled.to(torch.uint8).numpy())


def preview_jpeg(latents: Tensor, factors: Tensor | None = None) -> bytes:
    """Return latents [B, 4, h, w] as one JPEG, side by side, enlarged so that it looks soft."""
    images = [approximate(latent, factors) for latent in latents]
    grid = image_grid(images, grid_rows(len(images), -1, len(images)), "#000000")
    factor = max(1, SMALLEST_SIDE // max(grid.size))
    size = (grid.width * factor, grid.height * factor)
    out = io.BytesIO()
    grid.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=80)
    return out.getvalue()
