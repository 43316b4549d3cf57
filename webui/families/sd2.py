"""SD 2.x: one OpenCLIP text encoder (ViT-H), noise or velocity; also its inpainting variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from webui.families import ldm, open_clip
from webui.families.base import (
    Blueprint,
    EncodeOptions,
    Header,
    ImageInput,
    Networks,
    PromptEmbeds,
)
from webui.families.clip import ClipTextEncoder, HiddenLayer
from webui.families.ldm_model import LdmModel

TEXT_PREFIXES = ("cond_stage_model.model.", "conditioner.embedders.0.model.")
"""The second is SD 2 Turbo's."""
CONTEXT_WIDTH = 1024
MAX_CLIP_SKIP = 12
_SECTION = "model.params.cond_stage_config.params"
_SIZES = ldm.LdmParams.model_validate(
    {
        "unet_config": {
            "params": {
                "num_head_channels": 64,
                "context_dim": CONTEXT_WIDTH,
                "use_linear_in_transformer": True,
            }
        }
    }
)


class SD2:
    """Stable Diffusion 2.0, 2.1, 2 Turbo and what was trained from them."""

    id = "sd2"
    label = "SD 2.x"
    native_size = 768

    def detect(self, header: Header) -> bool:
        """See `Family.detect`: by the text encoder, or by what the UNet attends to without one."""
        if not ldm.has_unet(header) or ldm.image_input(header) is None or ldm.has_label(header):
            return False
        return _text_prefix(header) is not None or (
            not any(key.startswith(("cond_stage_model.", "conditioner.")) for key in header)
            and ldm.context_width(header) == CONTEXT_WIDTH
        )

    def build(self, header: Header, config: object | None) -> Blueprint:
        """See `Family.build`."""
        params = ldm.read_params(config, ldm.with_in_channels(_SIZES, header))
        params = ldm.as_stated(params, header)
        given = params.cond_stage_config.params
        sizes = open_clip.read_open_clip_params(given, open_clip.VIT_H, _SECTION)
        present = open_clip.layers_present(_text_prefix(header) or TEXT_PREFIXES[0], header, sizes)
        text_encoder = open_clip.build_open_clip(present)
        parts = ldm.build_parts(params, header)
        image_input = ldm.image_input(header) or "none"
        penultimate = HiddenLayer(1 + present.layers - (sizes.layers - 1), True)
        asks = config is None and image_input == "none" and params.parameterization != "v"

        def assemble(networks: Networks, facts: Mapping[str, Tensor]) -> SD2Model:
            model = SD2Model(networks, params, facts, image_input, penultimate)
            if asks and answers_with_velocity(model, params.unet.cross_width):
                model.prediction = "v"
            return model

        return Blueprint(
            architecture=f"{self.id} {parts.architecture} {present.model_dump_json()}",
            networks=ldm.frozen({**parts.networks, "text_encoder": text_encoder}),
            sources={
                **parts.sources,
                "text_encoder": open_clip.match_open_clip(
                    text_encoder, _text_prefix(header) or TEXT_PREFIXES[0], header
                ),
            },
            facts=ldm.stated_facts(header),
            assemble=assemble,
        )


def _text_prefix(header: Header) -> str | None:
    return next((p for p in TEXT_PREFIXES if f"{p}ln_final.weight" in header), None)


def answers_with_velocity(model: LdmModel, context_width: int) -> bool:
    """Tell velocity from noise prediction by the network's answer to a constant.

    At the last timestep the noise is all of the input, which an epsilon network gives back; the
    velocity is far below. A1111's test, with its numbers.
    """
    constant = torch.full((1, 4, 8, 8), 0.5, device=model.device)
    context = torch.full((1, 2, context_width), 0.5, device=model.device)
    answer = model.predict(constant, torch.tensor([999], device=model.device), context)
    return float((answer - constant).mean()) < -1


class SD2Model(LdmModel):
    """An SD 2.x checkpoint in memory; see `LoadedModel`.

    Args:
        layer: of the text encoder: the penultimate, whatever the clip skip.
    """

    family_id = SD2.id
    native_size = SD2.native_size
    max_clip_skip = MAX_CLIP_SKIP

    def __init__(
        self,
        networks: Networks,
        params: ldm.LdmParams,
        facts: Mapping[str, Tensor],
        image_input: ImageInput,
        layer: HiddenLayer,
    ) -> None:
        super().__init__(networks, params, facts, image_input)
        self._text = ClipTextEncoder(networks["text_encoder"], "any", open_clip.SPECIAL_TOKENS)
        self._layer = layer

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[PromptEmbeds]:
        """See `LoadedModel.encode_prompts`; clip skip has no effect."""
        encoded = self._text.encode(texts, options, self._layer)
        return [PromptEmbeds(cross, None, encoded.embeddings) for cross in encoded.cross]
