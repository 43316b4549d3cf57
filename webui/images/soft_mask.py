"""Which pixels soft inpainting pastes back: those that sampling changed little.

Source: A1111's soft inpainting, see docs/parity.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from webui.images.mask import Box
from webui.images.overlay import uncrop
from webui.images.resize import Size, resize
from webui.request import SoftInpainting

RADIUS = 2
"""Of the window that the filters look through, in latent pixels."""
DEVIATION = 1.5
"""Falloff of the window's weights, in latent pixels."""
SEAM_BLUR = 4
"""Standard deviation of the last blur, in pixels."""
_LARGEST, _MIDDLE = (0.9, 1.0), (0.25, 0.75)


def changed_mask(
    distance: NDArray[np.float32],
    make_anew: NDArray[np.float32],
    soft: SoftInpainting,
    size: Size,
    *,
    crop: Box | None = None,
    whole: Size | None = None,
) -> Image.Image:
    """Make the overlay mask from how far each latent pixel went.

    Args:
        distance: [h, w], length of the change over the latent's channels.
        make_anew: [h, w], the latent mask, 0 (keep) to 1.
        size: (width, height) of the request.
        crop, whole: where the part belongs, and the first picture's size, when only the masked part
            is worked on.
    Returns: "L"; black where the first picture is pasted back.
    """
    likely = 1 - np.clip(make_anew, 0, 1) ** np.float32(soft.preservation_strength / 2)
    likely = np.float32(0.5 * (1 - soft.mask_influence)) + likely * np.float32(soft.mask_influence)
    half_way = soft.difference_threshold * (likely / (np.float32(1.00001) - likely))
    reached = weighted_percentiles(weighted_percentiles(distance, *_LARGEST), *_MIDDLE)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        kept = 1 / (1 + (reached / half_way) ** soft.difference_contrast)
    kept = np.nan_to_num(kept, nan=1.0)
    pixels = (255.0 * (1 - _smoother_step(kept))).astype(np.uint8)
    mask = resize(Image.fromarray(pixels), size, "fill")
    mask = mask.filter(ImageFilter.GaussianBlur(SEAM_BLUR))
    if crop is not None and whole is not None:
        return uncrop(mask, crop, whole).convert("L")
    return mask


def weighted_percentiles(
    values: NDArray[np.float32], low: float, high: float, min_width: float = 1.0
) -> NDArray[np.float32]:
    """Replace each value by the mean of its neighbours between two weighted percentiles.

    Args:
        values: [h, w].
        low, high: percentiles, 0 to 1; the range between them is widened to `min_width` of weight.
    """
    around, weights = _windows(values)
    order = np.argsort(around, axis=-1, kind="stable")
    around = np.take_along_axis(around, order, axis=-1)
    ends = np.cumsum(np.take_along_axis(weights, order, axis=-1), axis=-1)
    starts = np.concatenate([np.zeros_like(ends[..., :1]), ends[..., :-1]], axis=-1)
    total = ends[..., -1:]
    first, last = _widened(total * low, total * high, total, min_width)
    share = np.clip(np.minimum(last, ends) - np.maximum(first, starts), 0, None)
    weight = share.sum(axis=-1)
    mean = (around * share).sum(axis=-1) / np.where(weight == 0, 1, weight)
    return np.asarray(mean, dtype=np.float32)


def _widened(
    first: NDArray[np.float64], last: NDArray[np.float64], total: NDArray[np.float64], width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A range of at least `width`, inside 0 to `total` where it fits."""
    is_narrow = last - first < width
    middle = (first + last) / 2
    wide_first, wide_last = middle - width / 2, middle + width / 2
    is_over = wide_last > total
    wide_first = np.where(is_over, total - width, wide_first)
    wide_last = np.where(is_over, total, wide_last)
    is_under = wide_first < 0
    wide_first = np.where(is_under, 0.0, wide_first)
    wide_last = np.where(is_under, width, wide_last)
    return np.where(is_narrow, wide_first, first), np.where(is_narrow, wide_last, last)


def _windows(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Neighbours and their weights, both [h, w, window]; weight 0 outside the picture."""
    size = 2 * RADIUS + 1
    padded = np.pad(values.astype(np.float64), RADIUS)
    inside = np.pad(np.ones(values.shape), RADIUS)
    shape = (*values.shape, size * size)
    view = np.lib.stride_tricks.sliding_window_view
    around = view(padded, (size, size)).reshape(shape)
    return around, view(inside, (size, size)).reshape(shape) * _kernel().ravel()


def _kernel() -> NDArray[np.float64]:
    """A Gaussian that reaches 0 one pixel outside the window."""
    offsets = np.arange(-RADIUS, RADIUS + 1)
    squares = offsets[:, None] ** 2 + offsets[None, :] ** 2
    floor = math.exp(-((RADIUS + 1) ** 2) / DEVIATION**2)
    bell = (np.exp(-squares / DEVIATION**2) - floor) / (1 - floor)
    return np.asarray(np.maximum(bell, 0.0), dtype=np.float64)


def _smoother_step(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return np.asarray(x * x * x * (x * (6 * x - 15) + 10))
