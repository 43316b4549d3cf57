"""Colours: flatten on a background, turn as the camera held it, match another picture's colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def flatten(image: Image.Image, background: str) -> Image.Image:
    """Lay a picture on a coloured ground.

    Args:
        background: "#rrggbb", shows through transparent parts.
    Returns: RGB.
    """
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    ground = Image.new("RGB", image.size, background)
    ground.paste(rgba, mask=rgba)
    return ground


def upright(image: Image.Image) -> Image.Image:
    """Turn and mirror a picture as its EXIF orientation says; the tag is gone afterwards."""
    return ImageOps.exif_transpose(image)


def match_colors(image: Image.Image, target: Image.Image) -> Image.Image:
    """Give a picture the colours of another, but keep its own brightness.

    Each channel's histogram in LAB is matched to the target's, then the luminosity of the original
    is blended over the result.

    Args:
        image: RGB, any size.
        target: RGB, any size.
    Returns: RGB, size of `image`.
    Source: A1111's img2img colour correction; blend: W3C compositing, SetLum and ClipColor.
    """
    original = np.asarray(image.convert("RGB"))
    lab = cv2.cvtColor(original, cv2.COLOR_RGB2LAB)
    wanted = cv2.cvtColor(np.asarray(target.convert("RGB")), cv2.COLOR_RGB2LAB)
    channels = [match_histogram(lab[..., i], wanted[..., i]) for i in range(3)]
    matched = cv2.cvtColor(np.stack(channels, axis=-1), cv2.COLOR_LAB2RGB)
    return Image.fromarray(_with_luminosity(matched, original))


def match_histogram(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Map the values of `source` so that their distribution becomes the target's.

    Args:
        source, target: uint8, any shapes.
    Returns: uint8, shape of `source`; fractions are cut off.
    """
    counts = np.bincount(source.ravel(), minlength=256)
    target_counts = np.bincount(target.ravel(), minlength=256)
    values = np.flatnonzero(target_counts)
    quantiles = np.cumsum(counts) / source.size
    target_quantiles = np.cumsum(target_counts[values]) / target.size
    table = np.interp(quantiles, target_quantiles, values).astype(np.uint8)
    return np.take(table, source)


def _with_luminosity(colors: NDArray[np.uint8], brightness: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The hue and saturation of one picture with the luminosity of another; [h, w, 3] uint8.

    Fractions are cut off at the end, as A1111's pictures show.
    """
    rgb = colors / 255.0
    rgb = rgb + (_luminance(brightness / 255.0) - _luminance(rgb))
    light = _luminance(rgb)
    low, high = rgb.min(axis=-1, keepdims=True), rgb.max(axis=-1, keepdims=True)
    below, above = low < 0, high > 1
    rgb = np.where(below, light + (rgb - light) * light / np.where(below, light - low, 1), rgb)
    reach = np.where(above, high - light, 1)
    rgb = np.where(above, light + (rgb - light) * (1 - light) / reach, rgb)
    return (np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _luminance(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """[h, w, 3] -> [h, w, 1]; the order of the sum decides the last digit."""
    return rgb[..., :1] * 0.299 + rgb[..., 1:2] * 0.587 + rgb[..., 2:] * 0.114
