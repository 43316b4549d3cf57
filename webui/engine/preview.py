"""Small pictures of unfinished latents: a linear map from latent channels to colours."""

from __future__ import annotations

import io
from collections.abc import Hashable

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from webui.families.base import LoadedModel
from webui.images.grid import grid_rows, image_grid

SD1_RGB = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
    (0.0, 0.0, 0.0),
)
"""Rows: latent channels 1 to 4 and a constant; columns: red, green, blue. A1111's 'Approx cheap'
for SD 1 and 2."""
SDXL_RGB = (
    (0.3448, 0.4168, 0.4395),
    (-0.1953, -0.0290, 0.0250),
    (0.1074, 0.0886, -0.0163),
    (-0.3730, -0.2499, -0.2088),
    (0.0, 0.0, 0.0),
)
"""The same for SDXL's VAE."""
KNOWN_COLORS = {0.18215: SD1_RGB, 0.13025: SDXL_RGB}
"""By the latents' scale, which tells the VAEs of SD 1 and 2 and of SDXL apart: their layers are the
same."""
SD_VAE_CHANNELS = (128, 256, 512, 512)
SMALLEST_SIDE = 256
_SAMPLE = 16


class PreviewColors:
    """Colours of latent channels, known for Stable Diffusion's VAE and fitted for any other.

    Used by one thread, the worker's; remembers the last model.
    """

    def __init__(self) -> None:
        self._key: Hashable = None
        self._factors = torch.tensor(SD1_RGB)

    def of(self, model: LoadedModel, key: Hashable) -> Tensor:
        """[channels + 1, 3] factors for a model.

        Args:
            key: equal for two calls only if the VAE is the same.
        """
        if key != self._key:
            self._factors = _known_or_fitted(model)
            self._key = key
        return self._factors


def _known_or_fitted(model: LoadedModel) -> Tensor:
    config = getattr(model.networks["vae"], "config", None)
    channels = tuple(getattr(config, "block_out_channels", ()))
    known = KNOWN_COLORS.get(model.latent_scale)
    return torch.tensor(known) if known and channels == SD_VAE_CHANNELS else fit(model)


def fit(model: LoadedModel) -> Tensor:
    """Fit colours [channels + 1, 3] to what the VAE makes of smooth random latents.

    Source: least squares between latents and pictures reduced to the latents' size.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, model.latent_channels, _SAMPLE // 4, _SAMPLE // 4, generator=generator)
    size = (_SAMPLE, _SAMPLE)
    latents = functional.interpolate(coarse, size=size, mode="bilinear").to(model.device)
    pixels = model.decode_latents(latents).float()
    reduced = functional.adaptive_avg_pool2d(pixels, size)[0].flatten(1).T.cpu()
    inputs = latents[0].float().flatten(1).T.cpu()
    with_constant = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    factors: Tensor = torch.linalg.lstsq(with_constant, reduced).solution
    return factors


def approximate(latents: Tensor, factors: Tensor) -> Image.Image:
    """Return one latent [C, h, w] as an RGB picture of w x h pixels.

    Args:
        factors: [C + 1, 3] colours, from `PreviewColors`.
    """
    colors = torch.einsum("chw,cr->hwr", latents.float().cpu(), factors[:-1]) + factors[-1]
    scaled = ((colors + 1.0) / 2.0).nan_to_num_(0.5).clamp_(0.0, 1.0).mul_(255.0)
    return Image.fromarray(scaled.to(torch.uint8).numpy())


def preview_jpeg(latents: Tensor, factors: Tensor) -> bytes:
    """Return latents [B, C, h, w] as one JPEG, side by side, enlarged so that it looks soft."""
    images = [approximate(latent, factors) for latent in latents]
    grid = image_grid(images, grid_rows(len(images), -1, len(images)), "#000000")
    factor = max(1, SMALLEST_SIDE // max(grid.size))
    size = (grid.width * factor, grid.height * factor)
    out = io.BytesIO()
    grid.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=80)
    return out.getvalue()
