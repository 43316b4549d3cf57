"""Paste the untouched part of the first picture back over the finished one."""

from __future__ import annotations

from PIL import Image, ImageOps

from webui.images.mask import Box
from webui.images.resize import Size, Upscaler, resize


def cut_out(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Make the white part of `mask` transparent.

    Returns: "RGBa" (colours multiplied by alpha), so that a blur does not bleed black.
    """
    rest = Image.new("RGBa", image.size)
    rest.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
    return rest


def overlay_of(image: Image.Image, mask: Image.Image) -> Image.Image:
    """What is pasted over the result: the picture where `mask` is black.

    Returns: RGBA.
    """
    return cut_out(image, mask).convert("RGBA")


def apply_overlay(
    image: Image.Image, overlay: Image.Image, crop: Box | None, upscaler: Upscaler | None = None
) -> Image.Image:
    """Lay `overlay` over a finished picture.

    Args:
        image: RGB; the whole picture, or, with `crop`, the part that was worked on at any size.
        overlay: RGBA, from `overlay_of`.
        crop: where the part belongs on the overlay.
        upscaler: enlarges the part, where it must be; None: Lanczos.
    Returns: RGB, of the overlay's size.
    """
    base = (
        uncrop(image, crop, overlay.size, upscaler) if crop is not None else image.convert("RGBA")
    )
    base.alpha_composite(overlay)
    return base.convert("RGB")


def uncrop(
    image: Image.Image, crop: Box, size: Size, upscaler: Upscaler | None = None
) -> Image.Image:
    """Put a part back to its place on a transparent picture of `size`.

    Returns: RGBA.
    """
    left, top, right, bottom = crop
    canvas = Image.new("RGBA", size)
    canvas.paste(resize(image, (right - left, bottom - top), "crop", upscaler), (left, top))
    return canvas


def mask_composite(image: Image.Image, mask: Image.Image, crop: Box | None) -> Image.Image:
    """The finished pixels alone, transparent elsewhere (A1111's mask composite).

    Args:
        image: RGB, before the overlay.
        mask: the overlay mask.
        crop: as for `apply_overlay`.
    Returns: RGBA, of the picture's size (of the mask's size with `crop`).
    """
    whole = uncrop(image, crop, mask.size) if crop is not None else image.convert("RGBA")
    fitted = resize(mask.convert("L"), whole.size, "fill")
    empty = Image.new("RGBa", whole.size)
    return Image.composite(whole.convert("RGBa"), empty, fitted).convert("RGBA")
