"""The autoencoder's side of a loaded model: pictures to latents and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from webui.errors import BadOutput

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


class VaeCodec:
    """Encode and decode with one scale, and with a way out where half precision overflows.

    Args:
        vae: an autoencoder whose latents' standard deviation is 1 / `scale_factor`.
        scale_factor: what latents are multiplied with for the denoising network.
    """

    def __init__(self, vae: AutoencoderKL, scale_factor: float) -> None:
        self._vae = vae
        self._scale_factor = scale_factor

    @torch.no_grad()
    def encode(self, pixels: Tensor, noise: Tensor | None) -> Tensor:
        """Return latents; see `LoadedModel.encode_image`."""
        latents = self._encode(pixels, noise)
        if torch.isnan(latents).any() and self._upcast():
            latents = self._encode(pixels, noise)
        return _finite(latents)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Return pixels; see `LoadedModel.decode_latents`."""
        pixels = self._decode(latents)
        if torch.isnan(pixels).any() and self._upcast():
            pixels = self._decode(latents)
        return _finite(pixels)

    def _encode(self, pixels: Tensor, noise: Tensor | None) -> Tensor:
        (posterior,) = self._vae.encode(
            pixels.to(self._vae.device, self._vae.dtype), return_dict=False
        )
        latents: Tensor = posterior.mean.float()
        if noise is not None:
            latents = latents + posterior.std.float() * noise.to(latents)
        return latents * self._scale_factor

    def _decode(self, latents: Tensor) -> Tensor:
        scaled = latents.to(self._vae.device, torch.float32) / self._scale_factor
        (pixels,) = self._vae.decode(scaled.to(self._vae.dtype), return_dict=False)
        return pixels.float()  # type: ignore[no-any-return]  # diffusers has no types

    def _upcast(self) -> bool:
        """Widen the weights to float32; False if they are already."""
        if self._vae.dtype == torch.float32:
            return False
        torch.nn.Module.to(self._vae, torch.float32)
        return True


def _finite(values: Tensor) -> Tensor:
    if torch.isnan(values).any():
        raise BadOutput(
            "The autoencoder answered with NaN. Use another VAE, or start with --dtype float32."
        )
    return values
