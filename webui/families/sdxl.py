"""SDXL and its refiner: OpenCLIP's ViT-bigG, in the base also CLIP-L; told of sizes and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from webui.errors import UnsupportedModel
from webui.families import clip, ldm, open_clip
from webui.families.base import (
    Blueprint,
    EncodeOptions,
    Header,
    ImageInput,
    Networks,
    PictureSize,
    PromptEmbeds,
    Sources,
)
from webui.families.clip import ClipTextEncoder, EncodedTexts, HiddenLayer
from webui.families.ldm_model import LdmModel

CLIP_L_PREFIX = "conditioner.embedders.0.transformer.text_model."
BASE_PREFIX = "conditioner.embedders.1.model."
REFINER_PREFIX = "conditioner.embedders.0.model."
BASE_CONTEXT, REFINER_CONTEXT = 2048, 1280
NUMBER_WIDTH = 256
"""Channels that each size or score is embedded in."""
MAX_CLIP_SKIP = 12
_SECTION = "model.params.conditioner_config.params.emb_models"
_UNET: dict[str, object] = {
    "attention_resolutions": (4, 2),
    "num_head_channels": 64,
    "use_linear_in_transformer": True,
}
_BASE_UNET = ldm.UNetParams.model_validate(
    {
        **_UNET,
        "channel_mult": (1, 2, 4),
        "transformer_depth": (1, 2, 10),
        "context_dim": BASE_CONTEXT,
        "adm_in_channels": 2816,
    }
)
_REFINER_UNET = ldm.UNetParams.model_validate(
    {
        **_UNET,
        "model_channels": 384,
        "channel_mult": (1, 2, 4, 4),
        "transformer_depth": 4,
        "context_dim": REFINER_CONTEXT,
        "adm_in_channels": 2560,
    }
)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Part(_Section):
    """A class of the original code with its arguments."""

    target: str = ""
    params: dict[str, object] = {}


class _DenoiserParams(_Section):
    scaling_config: _Part = _Part()


class _Denoiser(_Section):
    params: _DenoiserParams = _DenoiserParams()


class _ConditionerParams(_Section):
    emb_models: Annotated[tuple[_Part, ...], Field(max_length=32)] = ()


class _Conditioner(_Section):
    params: _ConditionerParams = _ConditionerParams()


class _Params(_Section):
    """``model.params`` of an SDXL yaml, as far as it is not as in the older layout."""

    denoiser_config: _Denoiser = _Denoiser()
    network_config: dict[str, object] | None = None
    conditioner_config: _Conditioner = _Conditioner()
    scale_factor: Annotated[float, Field(gt=0, lt=100)] = 0.13025

    def embedder(self, class_name: str) -> dict[str, object]:
        """Return the arguments of a text encoder, {} if the yaml names none."""
        parts = self.conditioner_config.params.emb_models
        return next((part.params for part in parts if part.target.endswith(class_name)), {})


class _Model(_Section):
    params: _Params = _Params()


class _File(_Section):
    model: _Model = _Model()


class _Description(_Section):
    """What header and yaml say together."""

    ldm: ldm.LdmParams
    clip_l: clip.TextEncoderParams
    clip_l_layer: int
    big_g: open_clip.OpenClipParams


def _describe(header: Header, config: object | None, unet: ldm.UNetParams) -> _Description:
    """Read the yaml over the family's own sizes.

    Raises:
        UnsupportedModel: if it cannot be used.
    """
    try:
        params = _File.model_validate({} if config is None else config).model.params
    except ValidationError as error:
        raise ldm.unusable_yaml(error) from error
    own = unet.model_copy(update={"in_channels": ldm.unet_in_channels(header)})
    older = {
        "scale_factor": params.scale_factor,
        "unet_config": params.network_config or {"params": own.model_dump()},
        "first_stage_config": _first_stage(config),
    }
    if params.denoiser_config.params.scaling_config.target.endswith(".VScaling"):
        older["parameterization"] = "v"
    described = ldm.as_stated(ldm.read_params({"model": {"params": older}}), header)
    clip_given = params.embedder(".FrozenCLIPEmbedder")
    clip_l = clip.read_text_encoder_params(clip_given)
    layer = clip_given.get("layer_idx")
    return _Description(
        ldm=described,
        clip_l=clip_l,
        clip_l_layer=layer if isinstance(layer, int) else clip_l.num_hidden_layers - 1,
        big_g=open_clip.read_open_clip_params(
            params.embedder(".FrozenOpenCLIPEmbedder2"), open_clip.VIT_BIG_G, _SECTION
        ),
    )


def _first_stage(config: object | None) -> object:
    params = ldm.read_params(config)
    return params.first_stage_config.model_dump()


def _check_widths(described: _Description, context: int, numbers: int) -> None:
    """Hold that the text encoders make what the UNet reads."""
    unet, pooled = described.ldm.unet, described.big_g.width
    if (unet.cross_width, unet.adm_in_channels) != (context, pooled + numbers * NUMBER_WIDTH):
        raise UnsupportedModel(
            "The yaml beside the checkpoint cannot be used: context_dim or adm_in_channels do not"
            f" fit the text encoders, which make {context} and {pooled + numbers * NUMBER_WIDTH}."
        )


def _conditioners(header: Header) -> bool:
    return any(key.startswith(("conditioner.", "cond_stage_model.")) for key in header)


class SDXL:
    """SDXL 1.0 and what was trained or distilled from it: Turbo, Lightning, LCM, Hyper, SSD-1B."""

    id = "sdxl"
    label = "SDXL"
    native_size = 1024

    def detect(self, header: Header) -> bool:
        """See `Family.detect`: by the second text encoder, or by the UNet where there is none."""
        if not ldm.has_unet(header) or ldm.image_input(header) is None:
            return False
        return f"{BASE_PREFIX}ln_final.weight" in header or (
            ldm.has_label(header)
            and not _conditioners(header)
            and ldm.context_width(header) == BASE_CONTEXT
        )

    def build(self, header: Header, config: object | None) -> Blueprint:
        """See `Family.build`."""
        described = _describe(header, config, _BASE_UNET)
        _check_widths(described, described.clip_l.hidden_size + described.big_g.width, 6)
        clip_l = clip.build_text_encoder(described.clip_l)
        big_g = open_clip.build_open_clip(described.big_g)
        parts = ldm.build_parts(described.ldm, header)
        names: Sources = {name: CLIP_L_PREFIX + name for name, _ in clip_l.named_parameters()}
        ldm.match_tensors("text encoder (CLIP-L)", clip_l, names, header)
        image_input = ldm.image_input(header) or "none"
        texts = f"{described.clip_l.model_dump_json()} {described.big_g.model_dump_json()}"
        return Blueprint(
            architecture=f"{self.id} {parts.architecture} {texts}",
            networks=ldm.frozen(
                {**parts.networks, "text_encoder": clip_l, "text_encoder_2": big_g}
            ),
            sources={
                **parts.sources,
                "text_encoder": names,
                "text_encoder_2": open_clip.match_open_clip(big_g, BASE_PREFIX, header),
            },
            facts=ldm.stated_facts(header),
            assemble=lambda weighted, facts: SDXLModel(
                weighted, described.ldm, facts, image_input, described.clip_l_layer
            ),
        )


class SDXLRefiner:
    """SDXL's refiner, which takes over for the last steps."""

    id = "sdxl-refiner"
    label = "SDXL refiner"
    native_size = 1024

    def detect(self, header: Header) -> bool:
        """See `Family.detect`: by the text encoder, or by the UNet where there is none."""
        if not ldm.has_unet(header) or not ldm.has_label(header):
            return False
        return f"{REFINER_PREFIX}ln_final.weight" in header or (
            not _conditioners(header) and ldm.context_width(header) == REFINER_CONTEXT
        )

    def build(self, header: Header, config: object | None) -> Blueprint:
        """See `Family.build`."""
        described = _describe(header, config, _REFINER_UNET)
        _check_widths(described, described.big_g.width, 5)
        big_g = open_clip.build_open_clip(described.big_g)
        parts = ldm.build_parts(described.ldm, header)
        return Blueprint(
            architecture=f"{self.id} {parts.architecture} {described.big_g.model_dump_json()}",
            networks=ldm.frozen({**parts.networks, "text_encoder_2": big_g}),
            sources={
                **parts.sources,
                "text_encoder_2": open_clip.match_open_clip(big_g, REFINER_PREFIX, header),
            },
            facts=ldm.stated_facts(header),
            assemble=lambda weighted, facts: RefinerModel(weighted, described.ldm, facts, "none"),
        )


class _SizedModel(LdmModel):
    """What base and refiner do alike: cross-attention, pooled text and numbers from texts."""

    native_size = SDXL.native_size
    steps_table: Literal["sd1", "sdxl"] = "sdxl"
    max_clip_skip = MAX_CLIP_SKIP

    def __init__(
        self,
        networks: Networks,
        params: ldm.LdmParams,
        facts: Mapping[str, Tensor],
        image_input: ImageInput,
    ) -> None:
        super().__init__(networks, params, facts, image_input)
        self._big_g = ClipTextEncoder(
            networks["text_encoder_2"], "clip_g", open_clip.SPECIAL_TOKENS
        )

    def _encode_big_g(self, texts: Sequence[str], options: EncodeOptions) -> EncodedTexts:
        return self._big_g.encode(texts, options, HiddenLayer(2, False))

    def _told(
        self,
        texts: Sequence[str],
        options: EncodeOptions,
        encoded: EncodedTexts,
        numbers: Sequence[float],
    ) -> list[PromptEmbeds]:
        """Put pooled text and numbers into one vector; an empty negative prompt is all zeros.

        A negative prompt counts as empty if every stage of its editing schedule is.
        """
        kept = 0.0 if options.is_negative and not any(texts) else 1.0
        told = embed_numbers(numbers).to(self.device)
        return [
            PromptEmbeds(cross * kept, torch.cat([pooled * kept, told]), encoded.embeddings)
            for cross, pooled in zip(encoded.cross, encoded.pooled, strict=True)
        ]

    def _size(self, options: EncodeOptions) -> PictureSize:
        return options.size or PictureSize(self.native_size, self.native_size)


class SDXLModel(_SizedModel):
    """An SDXL checkpoint in memory; see `LoadedModel`.

    Args:
        clip_l_layer: of CLIP-L's hidden states, counted from the embeddings as 0.
    """

    family_id = SDXL.id

    def __init__(
        self,
        networks: Networks,
        params: ldm.LdmParams,
        facts: Mapping[str, Tensor],
        image_input: ImageInput,
        clip_l_layer: int,
    ) -> None:
        super().__init__(networks, params, facts, image_input)
        self._clip_l = ClipTextEncoder(networks["text_encoder"], "clip_l")
        self._clip_l_from_end = self._clip_l.layers + 1 - clip_l_layer

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[PromptEmbeds]:
        """See `LoadedModel.encode_prompts`; both encoders' vectors side by side."""
        from_end = options.clip_skip if options.clip_l_skip else self._clip_l_from_end
        clip_l = self._clip_l.encode(texts, options, HiddenLayer(from_end, False))
        big_g = self._encode_big_g(texts, options)
        both = [torch.cat(pair, dim=-1) for pair in zip(clip_l.cross, big_g.cross, strict=True)]
        size = self._size(options)
        sides = (size.height, size.width)
        numbers = (*sides, size.crop_top, size.crop_left, *sides)
        names = (*big_g.embeddings, *clip_l.embeddings)
        together = big_g._replace(cross=both, embeddings=names)
        return self._told(texts, options, together, numbers)


class RefinerModel(_SizedModel):
    """SDXL's refiner in memory; see `LoadedModel`."""

    family_id = SDXLRefiner.id

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[PromptEmbeds]:
        """See `LoadedModel.encode_prompts`; told of a score in place of the target's size."""
        size = self._size(options)
        sides = (size.height, size.width)
        numbers = (*sides, size.crop_top, size.crop_left, options.aesthetic_score)
        return self._told(texts, options, self._encode_big_g(texts, options), numbers)


def embed_numbers(numbers: Sequence[float]) -> Tensor:
    """Embed numbers as timesteps are: [256 * n] float32, cosines before sines for each.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), section 3.5, as SDXL's code writes it.
    """
    half = NUMBER_WIDTH // 2
    frequencies = torch.exp(-torch.log(torch.tensor(10000.0)) * torch.arange(half) / half)
    angles = torch.tensor(numbers, dtype=torch.float32)[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1).flatten()
