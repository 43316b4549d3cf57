"""The second pass: enlarge latents or pictures, then denoise again."""

from __future__ import annotations

from torch import Tensor

from webui.engine.latents import LATENT_UPSCALERS, decode, encode, resize_latents
from webui.engine.task import Workshop
from webui.errors import InvalidRequest
from webui.families.base import LoadedModel
from webui.images.resize import resize
from webui.request import Hires, HiresTarget


def enlarge(
    latents: Tensor, hires: Hires, target: HiresTarget, model: LoadedModel, workshop: Workshop
) -> Tensor:
    """Bring first-pass latents [B, C, h, w] to the second pass's size.

    Latent upscalers interpolate the latents; the others decode, enlarge the pictures and encode
    again.

    Raises: InvalidRequest: an unknown upscaler.
    """
    scale = model.vae_scale_factor
    if hires.upscaler in LATENT_UPSCALERS:
        big = resize_latents(latents, target.height // scale, target.width // scale, hires.upscaler)
        return _cropped(big, target, scale)
    if hires.upscaler not in workshop.upscalers:
        raise InvalidRequest(
            "hires.upscaler", f"There is no upscaler named '{hires.upscaler}': choose another."
        )
    upscaler = workshop.upscalers[hires.upscaler]
    size = (target.width, target.height)
    pictures = [resize(image, size, "stretch", upscaler) for image in decode(model, latents)]
    return _cropped(encode(model, pictures), target, scale)


def _cropped(latents: Tensor, target: HiresTarget, scale: int) -> Tensor:
    """Cut off what is too much, half of it at each side, the odd one at the end."""
    surplus_h, surplus_w = target.crop_height // scale, target.crop_width // scale
    height, width = latents.shape[2:]
    return latents[
        :,
        :,
        surplus_h // 2 : height - (surplus_h + 1) // 2,
        surplus_w // 2 : width - (surplus_w + 1) // 2,
    ]
