"""Between PIL pictures and the networks' tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from webui.errors import BadOutput


def to_pixels(images: Sequence[Image.Image], device: torch.device) -> Tensor:
    """Return RGB pictures of one size as [B, 3, H, W] float32, -1 to 1."""
    stacked = np.stack([np.asarray(image.convert("RGB"), dtype=np.float32) for image in images])
    return torch.from_numpy(stacked / 255.0 * 2.0 - 1.0).permute(0, 3, 1, 2).to(device)


def to_images(pixels: Tensor) -> list[Image.Image]:
    """Return pictures [B, 3, H, W] of about -1 to 1 as PIL; values are cut off, not rounded (as
    A1111 does).

    Raises: BadOutput: if a value is NaN.
    """
    check_finite(pixels, "The VAE")
    scaled = ((pixels.float() + 1.0) / 2.0).clamp_(0.0, 1.0).mul_(255.0)
    array = scaled.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()
    return [Image.fromarray(picture) for picture in array]


def check_finite(values: Tensor, who: str) -> None:
    """Refuse what is no picture.

    Args:
        who: which network answered, for the sentence.
    Raises: BadOutput: with a remedy.
    """
    if not bool(torch.isfinite(values).all()):
        raise BadOutput(
            f"{who} answered with numbers that are no picture (NaN). "
            "Start Easel with --dtype float32, or choose another checkpoint or VAE."
        )
