"""What all models of CompVis' layout do alike in memory: call the UNet, use the VAE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from webui.families import clip, ldm
from webui.families.base import ImageInput, Networks, Prediction
from webui.families.vae import VaeCodec


class LdmModel:
    """A checkpoint in memory but for its prompts; see `LoadedModel`.

    Args:
        networks: ``unet``, ``vae`` and the text encoders, with weights.
        params: the architecture and the noise schedule.
        facts: the tensors of `stated_facts` that the file has.
        image_input: what the network reads beside latents.
    """

    latent_channels = 4
    steps_table: Literal["sd1", "sdxl"] = "sd1"

    def __init__(
        self,
        networks: Networks,
        params: ldm.LdmParams,
        facts: Mapping[str, Tensor],
        image_input: ImageInput,
    ) -> None:
        self.networks = networks
        self.prediction: Prediction = "v" if params.parameterization == "v" else "epsilon"
        self.alphas_cumprod = ldm.alphas_cumprod(params, facts.get(ldm.ALPHAS))
        self.zero_terminal_snr = params.zero_terminal_snr
        self.image_input: ImageInput = image_input
        self.latent_scale = params.scale_factor
        self.vae_scale_factor = params.vae.scale_factor
        self._unet = networks["unet"]
        self._dtype = next(self._unet.parameters()).dtype
        self._codec = VaeCodec(networks["vae"], params.scale_factor)

    @property
    def device(self) -> torch.device:
        """Where latents and embeddings have to be."""
        return next(self._unet.parameters()).device

    def tokenize(self, text: str) -> list[int]:
        """See `LoadedModel.tokenize`."""
        return clip.tokenize(text)

    @torch.no_grad()
    def predict(
        self, x_in: Tensor, timestep: Tensor, cross: Tensor, pooled: Tensor | None = None
    ) -> Tensor:
        """See `LoadedModel.predict`."""
        dtype = self._dtype
        (output,) = self._unet(
            x_in.to(dtype),
            timestep,
            encoder_hidden_states=cross.to(dtype),
            class_labels=None if pooled is None else pooled.to(dtype),
            return_dict=False,
        )
        return output.float()  # type: ignore[no-any-return]  # diffusers has no types

    def encode_image(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """See `LoadedModel.encode_image`."""
        return self._codec.encode(pixels, noise)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """See `LoadedModel.decode_latents`."""
        return self._codec.decode(latents)
