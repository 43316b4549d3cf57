"""img2img and inpainting: prepare the first pictures, keep what is not masked, paste it back at the
end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from webui.engine.image_conditioning import with_pictures
from webui.engine.latents import encode, resize_latents
from webui.engine.pixels import to_pixels
from webui.engine.soft_inpainting import SoftOverlay, blend_softly, soft_overlays
from webui.engine.task import Picture, Task
from webui.errors import InvalidRequest
from webui.families.base import LoadedModel
from webui.images.color import match_colors
from webui.images.init_image import PreparedImage, prepare_image
from webui.images.mask import PreparedMask, latent_mask, prepare_mask
from webui.images.overlay import apply_overlay, mask_composite
from webui.images.resize import Upscaler
from webui.request import SoftInpainting

BLANK_MASK = "The mask is blank, so the whole picture was changed (plain img2img)."


@dataclass(frozen=True, slots=True)
class Start:
    """The first pictures as the sampling passes need them.

    Attributes:
        latents: [B, C, h, w] float32.
        keep: [1, 1, h, w] float32, 1 where the first picture stays; None without a mask.
        pictures: prepared pictures, one a picture of the batch.
        soft: blend gradually; None: at a hard edge.
        image_conditioning: see `image_conditioning.with_pictures`.
    """

    latents: Tensor
    keep: Tensor | None
    pictures: tuple[PreparedImage, ...]
    mask: PreparedMask | None
    soft: SoftInpainting | None = None
    image_conditioning: Tensor | None = None
    warnings: tuple[str, ...] = ()

    def blend(self, latents: Tensor, level: Tensor) -> Tensor:
        """Put the kept part of the first picture back, at a step."""
        if self.keep is None:
            return latents
        if self.soft is not None:
            return blend_softly(self.latents, latents, 1.0 - self.keep, level, self.soft)
        return latents * (1.0 - self.keep) + self.latents * self.keep

    def end(self, latents: Tensor) -> tuple[Tensor, list[SoftOverlay]]:
        """Put the kept part back after the last step, or tell where to (soft inpainting)."""
        if self.keep is None or self.soft is None or self.mask is None:
            return self.blend(latents, torch.zeros(())), []
        overlays = soft_overlays(
            self.latents, latents, 1.0 - self.keep, self.soft, self.pictures, self.mask.crop
        )
        return latents, overlays


def start_from_pictures(
    task: Task,
    model: LoadedModel,
    upscaler: Upscaler | None,
    first_noise: Callable[[], Tensor],
) -> Start:
    """Prepare and encode the pictures of an img2img task, in A1111's order.

    Args:
        upscaler: the setting's, for pictures smaller than the request's size; None: Lanczos.
        first_noise: draws [B, C, h, w] standard normal from the first batch's seeds, for masked
            content 'latent noise'.
    Raises: InvalidRequest: more pictures than the batch holds.
    """
    init, source = task.request.init, task.init
    assert init is not None
    assert source is not None
    images = _one_each(source.images, task.batch.size)
    mask, warnings = _mask(task)
    prepared = tuple(
        prepare_image(
            image,
            init,
            task.request.size,
            mask=mask,
            latent_mask=source.latent_mask,
            background=task.settings.img2img_background_color,
            upscaler=upscaler,
        )
        for image in images
    )
    latents = encode(model, [picture.image for picture in prepared])
    width, height = (side // model.vae_scale_factor for side in task.request.size)
    if init.resize_mode == "latent":
        latents = resize_latents(latents, height, width)
    keep = None
    if mask is not None and init.inpaint is not None:
        chosen = source.latent_mask.convert("L") if source.latent_mask else mask.mask
        rounded = init.inpaint.mask_round and init.inpaint.soft is None
        anew = latent_mask(chosen, (width, height), rounded=rounded)
        keep = 1.0 - torch.from_numpy(anew).to(latents.device)[None, None]
        if init.inpaint.content == "latent noise":
            latents = latents * keep + first_noise() * (1.0 - keep)
        elif init.inpaint.content == "latent nothing":
            latents = latents * keep
    soft = init.inpaint.soft if keep is not None and init.inpaint is not None else None
    shown = with_pictures(
        model,
        to_pixels([picture.image for picture in prepared], model.device),
        mask.mask if mask else None,
        weight=task.settings.inpainting_mask_weight,
        rounded=soft is None and (init.inpaint is None or init.inpaint.mask_round),
    )
    return Start(latents, keep, prepared, mask, soft, shown, warnings)


def finish(
    image: Image.Image, start: Start, index: int, task: Task, soft: SoftOverlay | None = None
) -> Picture:
    """Correct colours and paste the untouched part back over finished picture `index`.

    Args:
        soft: what soft inpainting pastes instead, even where the setting is not to paste.
    """
    settings, prepared = task.settings, start.pictures[index]
    before_color = None
    if settings.img2img_color_correction:
        before_color = image if settings.save_images_before_color_correction else None
        image = match_colors(image, prepared.image)
    if start.mask is None or prepared.overlay is None:
        return Picture(image, before_color=before_color)
    crop = start.mask.crop
    mask = soft.mask if soft else start.mask.overlay
    overlay = soft.picture if soft else prepared.overlay
    alone = None
    if settings.return_mask_composite or settings.save_mask_composite:
        alone = mask_composite(image, mask, crop)
    if settings.overlay_inpaint or soft:
        image = apply_overlay(image, overlay, crop)
    shown = settings.return_mask or settings.save_mask
    return Picture(
        image,
        mask=mask.convert("L") if shown else None,
        mask_composite=alone,
        before_color=before_color,
    )


def _one_each(images: tuple[Image.Image, ...], count: int) -> list[Image.Image]:
    if len(images) == 1:
        return [images[0]] * count
    if len(images) > count:
        raise InvalidRequest(
            "init", f"There are {len(images)} first pictures, but the batch makes only {count}."
        )
    return list(images)


def _mask(task: Task) -> tuple[PreparedMask | None, tuple[str, ...]]:
    init, source = task.request.init, task.init
    assert init is not None
    assert source is not None
    if init.inpaint is None or source.mask is None:
        return None, ()
    mask = prepare_mask(source.mask, init.inpaint, task.request.size, init.resize_mode)
    return mask, () if mask is not None else (BLANK_MASK,)
