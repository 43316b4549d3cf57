"""Prepare the mask of an inpainting request: which pixels are made anew, which are pasted back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from webui.images.resize import Size, resize
from webui.request import Inpaint, ResizeMode

Box = tuple[int, int, int, int]
"""(left, top, right, bottom), pixels; right and bottom are the first outside."""


@dataclass(frozen=True, slots=True)
class PreparedMask:
    """What the steps of inpainting need of a mask.

    Attributes:
        mask: "L", of the request's size; white: make anew. Decides what is denoised and filled.
        overlay: "L"; black: the first picture is pasted back there. Of the first picture's size
            when only the masked part is worked on, else of the request's size.
        crop: the part of the first picture that is worked on; None: the whole picture.
    """

    mask: Image.Image
    overlay: Image.Image
    crop: Box | None


def prepare_mask(
    source: Image.Image, inpaint: Inpaint, size: Size, resize_mode: ResizeMode
) -> PreparedMask | None:
    """Binarise, invert and blur a mask and find the part to work on.

    Args:
        source: as uploaded, of any size; A1111 does not fit it to the first picture's.
        size: (width, height) of the request.
    Returns: None if only the masked part is to be made anew and the mask is blank: there is nothing
        to inpaint, the caller goes on with plain img2img and says so.
    """
    mask = to_mask(source, rounded=inpaint.mask_round)
    if inpaint.invert:
        mask = ImageOps.invert(mask)
    mask = blur(mask, inpaint.mask_blur_x, inpaint.mask_blur_y)
    if not inpaint.only_masked:
        mask = resize(mask, size, resize_mode)
        return PreparedMask(mask, _doubled(mask), None)
    region = crop_region(mask, inpaint.masked_padding)
    if region is None:
        return None
    region = expand_crop_region(region, size, mask.size)
    return PreparedMask(resize(mask.crop(region), size, "fill"), mask, region)


def to_mask(image: Image.Image, *, rounded: bool = True) -> Image.Image:
    """The mask that an uploaded picture means.

    Args:
        image: RGBA with transparent parts: the alpha channel is the mask; anything else: luminance.
        rounded: alpha above 128 counts as white, the rest as black; else alpha is taken as it is.
    Returns: "L", of the same size.
    """
    if image.mode in ("LA", "PA", "La", "RGBa") or (
        image.mode == "P" and image.info.get("transparency")
    ):
        image = image.convert("RGBA")
    if image.mode != "RGBA" or image.getchannel("A").getextrema() == (255, 255):
        return image.convert("L")
    alpha = image.getchannel("A")
    return alpha.point([255 if value > 128 else 0 for value in range(256)]) if rounded else alpha


def blur(mask: Image.Image, sigma_x: float, sigma_y: float) -> Image.Image:
    """Blur with a Gaussian, first along x, then along y.

    Args:
        mask: "L".
        sigma_x, sigma_y: standard deviation in pixels; 0: not along that axis. The kernel covers
            2.5 sigma to either side, and the result is rounded between the axes.
    """
    pixels = np.asarray(mask)
    if sigma_x > 0:
        pixels = cv2.GaussianBlur(pixels, (_kernel_size(sigma_x), 1), sigma_x)
    if sigma_y > 0:
        pixels = cv2.GaussianBlur(pixels, (1, _kernel_size(sigma_y)), sigma_y)
    return Image.fromarray(pixels)


def crop_region(mask: Image.Image, padding: int) -> Box | None:
    """Bounding box of all pixels above 0 with `padding` pixels around, inside the mask.

    Returns: None if the mask is black everywhere.
    """
    box = mask.getbbox()
    if box is None:
        return None
    left, top, right, bottom = box
    return (
        max(left - padding, 0),
        max(top - padding, 0),
        min(right + padding, mask.width),
        min(bottom + padding, mask.height),
    )


def expand_crop_region(region: Box, size: Size, bounds: Size) -> Box:
    """Widen or heighten a box until it has the ratio of `size`, as far as the picture reaches.

    Args:
        size: (width, height) that the part will be resized to.
        bounds: (width, height) of the picture.
    """
    left, top, right, bottom = region
    ratio = size[0] / size[1]
    if (right - left) / (bottom - top) > ratio:
        top, bottom = _grown(top, bottom, (right - left) / ratio, bounds[1])
    else:
        left, right = _grown(left, right, (bottom - top) * ratio, bounds[0])
    return left, top, right, bottom


def latent_mask(mask: Image.Image, size: Size, *, rounded: bool = True) -> NDArray[np.float32]:
    """The mask at the latent's size.

    Args:
        mask: "L"; white: make anew.
        size: (width, height) of the latent.
        rounded: to 0 and 1 (not with soft inpainting).
    Returns: [h, w] float32, 0 (keep) to 1 (make anew).
    """
    scaled = mask.convert("RGB").resize(size)
    values: NDArray[np.float32] = np.asarray(scaled, dtype=np.float32)[..., 0] / np.float32(255)
    return np.rint(values) if rounded else values


def _kernel_size(sigma: float) -> int:
    return 2 * int(2.5 * sigma + 0.5) + 1


def _doubled(mask: Image.Image) -> Image.Image:
    """Twice as white: moves the seam of the paste outwards, over the blurred edge."""
    return mask.point([min(2 * value, 255) for value in range(256)])


def _grown(start: int, end: int, wanted: float, limit: int) -> tuple[int, int]:
    """Lengthen a range to `wanted`, evenly to both sides, moved back inside 0 to `limit`."""
    more = int(wanted - (end - start))
    start, end = start - more // 2, end + more - more // 2
    if end > limit:
        start, end = start - (end - limit), limit
    if start < 0:
        start, end = 0, end - start
    return start, min(end, limit)
