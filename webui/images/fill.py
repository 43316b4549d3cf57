"""Fill the masked part of a picture with the colours around it."""

from __future__ import annotations

from PIL import Image, ImageFilter

from webui.images.overlay import cut_out

_LAYERS = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))
"""(standard deviation of the blur in pixels, how often the layer is laid on), from wide to none."""


def fill(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Replace the white part of `mask` by blurred copies of the rest, as A1111's 'fill' does.

    Args:
        image: RGB.
        mask: "L", same size; white: fill.
    Returns: RGB.
    """
    rest = cut_out(image, mask)
    filled = Image.new("RGBA", image.size)
    for radius, repeats in _LAYERS:
        blurred = rest.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(repeats):
            filled.alpha_composite(blurred)
    return filled.convert("RGB")
