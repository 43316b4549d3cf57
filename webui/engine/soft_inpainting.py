"""Soft inpainting: kept and new parts melt into each other, step by step and in the pixels.

Source: A1111's built-in soft inpainting (github.com/CodeHatchling), see docs/parity.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from webui.images.init_image import PreparedImage
from webui.images.mask import Box
from webui.images.overlay import overlay_of
from webui.images.soft_mask import changed_mask
from webui.request import SoftInpainting


class SoftOverlay(NamedTuple):
    """What is pasted over one finished picture.

    Attributes:
        mask: "L"; black where the first picture is pasted back.
        picture: RGBA, the first picture there.
    """

    mask: Image.Image
    picture: Image.Image


def blend_softly(
    first: Tensor, current: Tensor, make_anew: Tensor, level: Tensor, soft: SoftInpainting
) -> Tensor:
    """Mix first and current latents [B, C, h, w] by a mask that hardens with the noise.

    Between two vectors lies a shorter one: its length is set to the mean of both lengths to the
    power of the contrast boost, in float64, which has room for the powers.

    Args:
        make_anew: [1, 1, h, w], 0 (keep) to 1.
        level: sigma (timestep for samplers in timestep space), as A1111 takes it.
    """
    boost = soft.transition_contrast_boost
    strength = level.to(make_anew) ** soft.schedule_bias * soft.preservation_strength
    share = make_anew**strength
    mixed = first * (1 - share) + current * share
    lengths = (_length(first).pow(boost) * (1 - share) + _length(current).pow(boost) * share).pow(
        1 / boost
    )
    return mixed * (lengths / (_length(mixed) + 0.00001)).to(mixed.dtype)


def soft_overlays(
    first: Tensor,
    result: Tensor,
    make_anew: Tensor,
    soft: SoftInpainting,
    pictures: Sequence[PreparedImage],
    crop: Box | None,
) -> list[SoftOverlay]:
    """What is pasted back: the first pictures where sampling changed little.

    Args:
        first, result: latents [B, C, h, w] before and after sampling.
        make_anew: [1, 1, h, w], 0 (keep) to 1.
        crop: the part that was worked on.
    """
    distances = torch.linalg.vector_norm(result - first, dim=1).float().cpu().numpy()
    mask = make_anew[0, 0].float().cpu().numpy()
    overlays = []
    for distance, picture in zip(distances, pictures, strict=True):
        untouched, size = picture.untouched, picture.image.size
        changed = changed_mask(distance, mask, soft, size, crop=crop, whole=untouched.size)
        overlays.append(SoftOverlay(changed, overlay_of(untouched, changed)))
    return overlays


def _length(latents: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(latents, dim=1, keepdim=True)
    return length.to(torch.float64)
