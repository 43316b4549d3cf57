"""Bring a picture to a size: stretch it, crop it or fill its border."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from webui.request import ResizeMode

Size = tuple[int, int]
Upscaler = Callable[[Image.Image, float], Image.Image]
"""Enlarge a picture by at least a factor > 1; the result's exact size does not matter."""


def resize(
    image: Image.Image, size: Size, mode: ResizeMode, upscaler: Upscaler | None = None
) -> Image.Image:
    """Bring a picture to `size`.

    Args:
        image: of any mode; "L", "RGB" and "RGBA" are kept, others become "RGB" when the picture is
            cropped or filled.
        size: (width, height), pixels.
        mode: "stretch"; "crop": cover the size, centred; "fill": fit into it, centred, the border
            continues the picture's outermost rows or columns; "latent" is done elsewhere, on
            latents, and stretches here.
        upscaler: enlarges; None, and always for "L" masks: Lanczos.
    """
    if mode in ("stretch", "latent"):
        return _scale(image, size, upscaler)
    inner = _covering(image.size, size) if mode == "crop" else _contained(image.size, size)
    scaled = _scale(image, inner, upscaler)
    canvas = Image.new(image.mode if image.mode in ("L", "RGB", "RGBA") else "RGB", size)
    left, top = size[0] // 2 - inner[0] // 2, size[1] // 2 - inner[1] // 2
    canvas.paste(scaled, (left, top))
    if mode == "fill":
        _fill_border(canvas, scaled, left, top)
    return canvas


def scaled_size(size: Size, factor: float) -> Size:
    """`size` times `factor`, rounded down to whole pixels."""
    return int(size[0] * factor), int(size[1] * factor)


def _scale(image: Image.Image, size: Size, upscaler: Upscaler | None) -> Image.Image:
    size = max(size[0], 1), max(size[1], 1)
    factor = max(size[0] / image.width, size[1] / image.height)
    if upscaler is not None and image.mode != "L" and factor > 1:
        image = upscaler(image, factor)
        if image.size == size:
            return image
    return image.resize(size, Image.Resampling.LANCZOS)


def _covering(source: Size, target: Size) -> Size:
    """The smallest size with the source's ratio that covers the target."""
    if target[0] / target[1] > source[0] / source[1]:
        return target[0], source[1] * target[0] // source[0]
    return source[0] * target[1] // source[1], target[1]


def _contained(source: Size, target: Size) -> Size:
    """The largest size with the source's ratio that fits into the target."""
    if target[0] / target[1] < source[0] / source[1]:
        return target[0], source[1] * target[0] // source[0]
    return source[0] * target[1] // source[1], target[1]


def _fill_border(canvas: Image.Image, scaled: Image.Image, left: int, top: int) -> None:
    """Continue the outermost rows (or columns) of `scaled`, which lies on `canvas` at left, top.

    The strips are made by resizing a box of no height, as A1111 does: with the bicubic filter that
    mixes the two outermost rows.
    """
    width, height = scaled.size
    bottom, right = canvas.height - top - height, canvas.width - left - width
    if top > 0:
        canvas.paste(scaled.resize((width, top), box=(0, 0, width, 0)), (0, 0))
    if bottom > 0:
        strip = scaled.resize((width, bottom), box=(0, height, width, height))
        canvas.paste(strip, (0, top + height))
    if left > 0:
        canvas.paste(scaled.resize((left, height), box=(0, 0, 0, height)), (0, 0))
    if right > 0:
        strip = scaled.resize((right, height), box=(width, 0, width, height))
        canvas.paste(strip, (left + width, 0))
