"""OpenCLIP's text encoders (ViT-H in SD 2, ViT-bigG in SDXL), held as transformers' CLIP.

They are the same network under other names, with the attention's three projections in one tensor,
another activation, and 0 behind the end mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import nn

from webui.families import clip, ldm
from webui.families.base import Header, Source, Sources, TensorPart
from webui.families.importing import IMPORTING
from webui.prompt.chunks import SpecialTokens

if TYPE_CHECKING:  # transformers takes seconds to import: it is loaded behind the page
    from transformers import CLIPTextModelWithProjection

SPECIAL_TOKENS = SpecialTokens(bos=49406, eos=49407, pad=0, comma=267)

_ENDS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")


class OpenClipParams(BaseModel):
    """An OpenCLIP text encoder's sizes, under the yaml's names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    width: Annotated[int, Field(ge=8, le=8192)]
    layers: Annotated[int, Field(ge=2, le=64)]
    heads: Annotated[int, Field(ge=1, le=256)]

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> OpenClipParams:
        if self.width % self.heads:
            raise ValueError(f"{self.width} channels cannot be shared among {self.heads} heads")
        return self


VIT_H = OpenClipParams(width=1024, layers=24, heads=16)
VIT_BIG_G = OpenClipParams(width=1280, layers=32, heads=20)


def read_open_clip_params(
    given: dict[str, object], default: OpenClipParams, section: str
) -> OpenClipParams:
    """Take a text encoder's sizes from the yaml; what it does not name is as usual.

    Raises:
        UnsupportedModel: if they are no sizes.
    """
    try:
        return OpenClipParams.model_validate({**default.model_dump(), **given})
    except ValidationError as error:
        raise ldm.unusable_yaml(error, section) from error


def build_open_clip(params: OpenClipParams) -> CLIPTextModelWithProjection:
    """Make a text encoder on the meta device; its position ids, which no file has, are real."""
    with IMPORTING:
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    with torch.device("meta"):
        encoder = CLIPTextModelWithProjection(
            CLIPTextConfig(
                vocab_size=clip.VOCABULARY,
                max_position_embeddings=clip.CHUNK_LENGTH,
                hidden_act="gelu",
                hidden_size=params.width,
                intermediate_size=4 * params.width,
                num_hidden_layers=params.layers,
                num_attention_heads=params.heads,
                projection_dim=params.width,
            )
        )
    encoder.text_model.embeddings.position_ids = torch.arange(clip.CHUNK_LENGTH)[None]
    return encoder


def match_open_clip(network: nn.Module, prefix: str, header: Header) -> Sources:
    """Return a text encoder's sources in a file; see `ldm.match_tensors`.

    Args:
        prefix: of its names in the file, e.g. ``cond_stage_model.model.``.
    """
    names = {name: _source(name, prefix) for name, _ in network.named_parameters()}
    ldm.match_tensors("text encoder (OpenCLIP)", network, names, header)
    return names


def _source(name: str, prefix: str) -> Source:
    if name == "text_projection.weight":
        return TensorPart(f"{prefix}text_projection", transposed=True)
    name = name.removeprefix("text_model.")
    if name in _ENDS:
        return prefix + _ENDS[name]
    _, _, index, part = name.split(".", 3)  # encoder.layers.N.…
    stem, _, kind = part.rpartition(".")
    place = f"{prefix}transformer.resblocks.{index}"
    projection = stem.removeprefix("self_attn.")
    if projection in _PROJECTIONS:
        return TensorPart(f"{place}.attn.in_proj_{kind}", _PROJECTIONS.index(projection), 3)
    return f"{place}.{_LAYER[stem]}.{kind}"


def layers_present(prefix: str, header: Header, sizes: OpenClipParams) -> OpenClipParams:
    """Leave out the last layer where a file does: nothing but the pooled vector needs it."""
    last = f"{prefix}transformer.resblocks.{sizes.layers - 1}."
    if any(key.startswith(last) for key in header):
        return sizes
    return sizes.model_copy(update={"layers": sizes.layers - 1})
