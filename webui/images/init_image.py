"""Prepare the picture that img2img starts from."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from webui.images.color import flatten
from webui.images.fill import fill
from webui.images.mask import PreparedMask
from webui.images.overlay import overlay_of
from webui.images.resize import Size, Upscaler, resize
from webui.request import Init


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A picture ready to be encoded.

    Attributes:
        image: RGB, of the request's size (of its own size with resize mode "latent"); also the
            target of colour correction.
        overlay: RGBA, pasted over the result (`overlay.apply_overlay`); None without a mask.
        untouched: RGB, before it was cropped and filled.
    """

    image: Image.Image
    overlay: Image.Image | None
    untouched: Image.Image


def prepare_image(
    source: Image.Image,
    init: Init,
    size: Size,
    *,
    mask: PreparedMask | None = None,
    latent_mask: Image.Image | None = None,
    background: str = "#ffffff",
    upscaler: Upscaler | None = None,
) -> PreparedImage:
    """Flatten, resize, crop and fill one of the first pictures, in A1111's order.

    Args:
        source: as uploaded, upright.
        init: resize mode and masked content are used.
        size: (width, height) of the request.
        mask: from `mask.prepare_mask`.
        latent_mask: "L", decides what is filled in place of `mask.mask`, where given.
        background: "#rrggbb" under transparent parts.
        upscaler: enlarges; None: Lanczos.
    """
    image = flatten(source, background)
    if (mask is None or mask.crop is None) and init.resize_mode != "latent":
        image = resize(image, size, init.resize_mode, upscaler)
    if mask is None:
        return PreparedImage(image, None, image)
    cover = mask.overlay
    if cover.size != image.size:
        cover = resize(cover, image.size, init.resize_mode)
    overlay, untouched = overlay_of(image, cover), image
    if mask.crop is not None:
        image = resize(image.crop(mask.crop), size, "fill", upscaler)
    if init.inpaint is not None and init.inpaint.content != "original":
        covering = latent_mask or mask.mask
        image = fill(
            image, covering if covering.size == image.size else covering.resize(image.size)
        )
    return PreparedImage(image, overlay, untouched)
