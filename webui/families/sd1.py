"""SD 1.x: one CLIP text encoder, 4 latent channels, noise or velocity prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from webui.errors import UnsupportedModel
from webui.families import clip, ldm
from webui.families.base import (
    Blueprint,
    EncodeOptions,
    Header,
    Networks,
    Prediction,
    PromptEmbeds,
)
from webui.families.vae import VaeCodec

TEXT_PREFIX = "cond_stage_model.transformer."
_TOKENS = "embeddings.token_embedding.weight"


class SD1:
    """Stable Diffusion 1.1 to 1.5 and what was trained from them."""

    id = "sd1"
    label = "SD 1.x"
    native_size = 512

    def detect(self, header: Header) -> bool:
        """See `Family.detect`: a UNet of 4 channels, and no other text encoder than CLIP."""
        return (
            ldm.has_unet(header)
            and ldm.unet_in_channels(header) == 4
            and not any(key.startswith(_OTHER_TEXT_ENCODERS) for key in header)
        )

    def build(self, header: Header, config: object | None) -> Blueprint:
        """See `Family.build`."""
        params = ldm.read_params(config)
        text_params = clip.read_text_encoder_params(params.cond_stage_config.params)
        if text_params.hidden_size != params.unet.context_dim:
            raise UnsupportedModel(
                "The yaml beside the checkpoint cannot be used: the text encoder is"
                f" {text_params.hidden_size} wide, but context_dim is {params.unet.context_dim}."
            )
        with torch.device("meta"):
            unet, vae = ldm.build_unet(params.unet), ldm.build_vae(params.vae, params.scale_factor)
        text_encoder = clip.build_text_encoder(text_params)
        networks = {"unet": unet, "vae": vae, "text_encoder": text_encoder}
        for network in networks.values():
            network.requires_grad_(False).eval()
        sources = {
            "unet": ldm.match_unet(unet, params.unet, header),
            "vae": ldm.match_vae(vae, params.vae, header),
            "text_encoder": _match_text_encoder(text_encoder, header),
        }
        described = (params.unet, params.vae, text_params)
        return Blueprint(
            architecture=self.id + "".join(part.model_dump_json() for part in described),
            networks=networks,
            sources=sources,
            facts=tuple(key for key in (ldm.ALPHAS,) if key in header),
            assemble=lambda weighted, facts: SD1Model(weighted, params, facts.get(ldm.ALPHAS)),
        )


_OTHER_TEXT_ENCODERS = (
    "conditioner.",  # SDXL and its refiner
    "cond_stage_model.model.",  # SD 2
    "cond_stage_model.roberta.",  # AltDiffusion
    "embedder.",  # unCLIP
)


def _match_text_encoder(network: nn.Module, header: Header) -> Mapping[str, str]:
    """Return the text encoder's sources; files from 2022 lack the `text_model.` level."""
    prefix = TEXT_PREFIX if TEXT_PREFIX + _TOKENS in header else f"{TEXT_PREFIX}text_model."
    names = {name: prefix + name for name, _ in network.named_parameters()}
    ldm.match_tensors("text encoder (CLIP)", network, names, header)
    return names


class SD1Model:
    """An SD 1.x checkpoint in memory; see `LoadedModel`.

    Args:
        networks: ``unet``, ``vae`` and ``text_encoder``, with weights.
        params: the architecture and the noise schedule.
        alphas_cumprod: the file's own noise schedule, if it has one.
    """

    family_id = SD1.id
    native_size = SD1.native_size
    latent_channels = 4

    def __init__(
        self, networks: Networks, params: ldm.LdmParams, alphas_cumprod: Tensor | None
    ) -> None:
        self.networks = networks
        self.prediction: Prediction = "v" if params.parameterization == "v" else "epsilon"
        self.alphas_cumprod = ldm.alphas_cumprod(params, alphas_cumprod)
        self.vae_scale_factor = params.vae.scale_factor
        self._unet = networks["unet"]
        self._dtype = next(self._unet.parameters()).dtype
        self._codec = VaeCodec(networks["vae"], params.scale_factor)
        self._text = clip.ClipTextEncoder(networks["text_encoder"])
        self.max_clip_skip = self._text.max_clip_skip

    @property
    def device(self) -> torch.device:
        """Where latents and embeddings have to be."""
        return next(self._unet.parameters()).device

    def tokenize(self, text: str) -> list[int]:
        """See `LoadedModel.tokenize`."""
        return clip.tokenize(text)

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[PromptEmbeds]:
        """See `LoadedModel.encode_prompts`; there are no pooled embeddings."""
        encoded = self._text.encode(texts, options)
        return [PromptEmbeds(cross, None, encoded.embeddings) for cross in encoded.cross]

    @torch.no_grad()
    def predict(
        self, x_in: Tensor, timestep: Tensor, cross: Tensor, pooled: Tensor | None = None
    ) -> Tensor:
        """See `LoadedModel.predict`."""
        if pooled is not None:
            raise ValueError("SD 1.x has no pooled embeddings")
        dtype = self._dtype
        (output,) = self._unet(
            x_in.to(dtype), timestep, encoder_hidden_states=cross.to(dtype), return_dict=False
        )
        return output.float()  # type: ignore[no-any-return]  # diffusers has no types

    def encode_image(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """See `LoadedModel.encode_image`."""
        return self._codec.encode(pixels, noise)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """See `LoadedModel.decode_latents`."""
        return self._codec.decode(latents)
