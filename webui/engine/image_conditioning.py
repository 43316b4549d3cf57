"""What inpainting checkpoints and InstructPix2Pix read beside latents."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from webui.errors import InvalidRequest
from webui.families.base import LoadedModel
from webui.images.mask import latent_mask


def without_picture(model: LoadedModel, count: int, width: int, height: int) -> Tensor | None:
    """Return the further input channels for pictures that come from noise alone.

    An inpainting checkpoint is told that all of a grey picture is masked.

    Returns: [count, 5, h, w] float32, or None for checkpoints that read latents only.
    Raises: InvalidRequest: the checkpoint edits pictures, and there is none.
    """
    if model.image_input == "none":
        return None
    if model.image_input == "edit":
        raise InvalidRequest(
            "init", "This checkpoint edits pictures by instruction: give it one, in img2img."
        )
    grey = torch.zeros(1, 3, height, width, device=model.device)
    return _masked(model, grey, None, 1.0).expand(count, -1, -1, -1)


def with_pictures(
    model: LoadedModel, pixels: Tensor, mask: Image.Image | None, *, weight: float, rounded: bool
) -> Tensor | None:
    """Return the further input channels for pictures that are changed.

    Args:
        pixels: [B, 3, H, W] float32, -1 to 1.
        mask: of H x W, white where the picture is made anew; None: everywhere.
        weight: how much of the masked part is hidden from the network, 0 to 1.
        rounded: the mask knows only 0 and 1.
    Returns: [B, 5 or 4, h, w] float32, or None for checkpoints that read latents only.
    """
    if model.image_input == "none":
        return None
    if model.image_input == "edit":
        latents = torch.cat([model.encode_image(picture[None]) for picture in pixels])
        return latents / model.latent_scale  # as trained: the VAE's own spread
    hidden = None
    if mask is not None:
        values = latent_mask(mask, mask.size, rounded=rounded)
        hidden = torch.from_numpy(values).to(pixels)[None, None]
    return torch.cat([_masked(model, picture[None], hidden, weight) for picture in pixels])


def _masked(model: LoadedModel, pixels: Tensor, mask: Tensor | None, weight: float) -> Tensor:
    """Return mask and latents of one masked picture [1, 3, H, W]: [1, 5, h, w]."""
    if mask is None:
        mask = pixels.new_ones(1, 1, *pixels.shape[-2:])
    latents = model.encode_image(torch.lerp(pixels, pixels * (1.0 - mask), weight))
    return torch.cat([functional.interpolate(mask, size=latents.shape[-2:]), latents], dim=1)
