"""SD 1.x: one CLIP text encoder; also its inpainting variant and InstructPix2Pix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from webui.errors import UnsupportedModel
from webui.families import clip, ldm
from webui.families.base import (
    Blueprint,
    EncodeOptions,
    Header,
    ImageInput,
    Networks,
    PromptEmbeds,
    Sources,
)
from webui.families.ldm_model import LdmModel

TEXT_PREFIX = "cond_stage_model.transformer."
_TOKENS = "embeddings.token_embedding.weight"


class SD1:
    """Stable Diffusion 1.1 to 1.5 and what was trained from them."""

    id = "sd1"
    label = "SD 1.x"
    native_size = 512

    def detect(self, header: Header) -> bool:
        """See `Family.detect`: a UNet we know, and no other text encoder than CLIP."""
        return (
            ldm.has_unet(header)
            and ldm.image_input(header) is not None
            and not any(key.startswith(_OTHER_TEXT_ENCODERS) for key in header)
        )

    def build(self, header: Header, config: object | None) -> Blueprint:
        """See `Family.build`."""
        params = ldm.read_params(config, ldm.with_in_channels(ldm.SD1_PARAMS, header))
        params = ldm.as_stated(params, header)
        text_params = clip.read_text_encoder_params(params.cond_stage_config.params)
        if text_params.hidden_size != params.unet.cross_width:
            raise UnsupportedModel(
                "The yaml beside the checkpoint cannot be used: the text encoder is"
                f" {text_params.hidden_size} wide, but context_dim is {params.unet.cross_width}."
            )
        image_input = ldm.image_input(header) or "none"
        text_encoder = clip.build_text_encoder(text_params)
        parts = ldm.build_parts(params, header)
        return Blueprint(
            architecture=f"{self.id} {parts.architecture} {text_params.model_dump_json()}",
            networks=ldm.frozen({**parts.networks, "text_encoder": text_encoder}),
            sources={**parts.sources, "text_encoder": _match_text_encoder(text_encoder, header)},
            facts=ldm.stated_facts(header),
            assemble=lambda weighted, facts: SD1Model(weighted, params, facts, image_input),
        )


_OTHER_TEXT_ENCODERS = (
    "conditioner.",  # SDXL and its refiner
    "cond_stage_model.model.",  # SD 2
    "cond_stage_model.roberta.",  # AltDiffusion
    "embedder.",  # unCLIP
)


def _match_text_encoder(network: nn.Module, header: Header) -> Sources:
    """Return the text encoder's sources; files from 2022 lack the `text_model.` level."""
    prefix = TEXT_PREFIX if TEXT_PREFIX + _TOKENS in header else f"{TEXT_PREFIX}text_model."
    names = {name: prefix + name for name, _ in network.named_parameters()}
    ldm.match_tensors("text encoder (CLIP)", network, names, header)
    return names


class SD1Model(LdmModel):
    """An SD 1.x checkpoint in memory; see `LoadedModel`."""

    family_id = SD1.id
    native_size = SD1.native_size

    def __init__(
        self,
        networks: Networks,
        params: ldm.LdmParams,
        facts: Mapping[str, Tensor],
        image_input: ImageInput = "none",
    ) -> None:
        super().__init__(networks, params, facts, image_input)
        self._text = clip.ClipTextEncoder(networks["text_encoder"])
        self.max_clip_skip = self._text.layers

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[PromptEmbeds]:
        """See `LoadedModel.encode_prompts`; there are no pooled embeddings."""
        layer = clip.HiddenLayer(options.clip_skip, True)
        encoded = self._text.encode(texts, options, layer)
        return [PromptEmbeds(cross, None, encoded.embeddings) for cross in encoded.cross]
