"""The text side of a loaded model: CLIP's tokens, chunks of 77, weights, CLIP skip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from webui.errors import InvalidRequest, UnsupportedModel
from webui.families.base import EncodeOptions
from webui.families.embeddings import Slot, inserted, used_names
from webui.families.importing import IMPORTING
from webui.families.ldm import unusable_yaml
from webui.prompt.attention import Emphasis
from webui.prompt.chunks import Chunk, Chunker, SpecialTokens

if TYPE_CHECKING:  # transformers takes seconds to import: it is loaded behind the page
    from tokenizers import Tokenizer
    from transformers import CLIPTextModel

SPECIAL_TOKENS = SpecialTokens(bos=49406, eos=49407, pad=49407, comma=267)
VOCABULARY = 49408
CHUNK_LENGTH = 77
"""Tokens that the text encoder reads at once, begin and end marks included."""


@cache
def clip_tokenizer() -> Tokenizer:
    """Return CLIP's byte-pair tokenizer, from the files that come with Easel."""
    with IMPORTING:
        from transformers import CLIPTokenizer

    slow = CLIPTokenizer.from_pretrained(Path(__file__).parent / "tokenizer", local_files_only=True)
    return slow.backend_tokenizer  # type: ignore[no-any-return]  # transformers is not followed


def tokenize(text: str) -> list[int]:
    """Return the tokens of a text, without begin and end marks."""
    return list(clip_tokenizer().encode(text, add_special_tokens=False).ids)


def clip_chunker(options: EncodeOptions) -> Chunker:
    """Return what cuts texts into chunks for CLIP, also before a model is loaded."""
    return Chunker(
        tokenize=tokenize,
        special=SPECIAL_TOKENS,
        find_embedding=options.embeddings.find,
        emphasis=options.emphasis,
        comma_backtrack=options.comma_padding_backtrack,
    )


class TextEncoderParams(BaseModel):
    """A CLIP text encoder's sizes; the defaults are SD 1.5's (ViT-L/14).

    The number of heads cannot be read off the weights; hence the yaml names it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    hidden_size: Annotated[int, Field(ge=8, le=8192)] = 768
    intermediate_size: Annotated[int, Field(ge=8, le=32768)] = 3072
    num_hidden_layers: Annotated[int, Field(ge=1, le=64)] = 12
    num_attention_heads: Annotated[int, Field(ge=1, le=256)] = 12


def read_text_encoder_params(params: dict[str, object]) -> TextEncoderParams:
    """Take a text encoder's sizes from the yaml's ``cond_stage_config.params``.

    Raises:
        UnsupportedModel: if they are no sizes.
    """
    try:
        sizes = TextEncoderParams.model_validate(params)
    except ValidationError as error:
        raise unusable_yaml(error, "model.params.cond_stage_config.params") from error
    if sizes.hidden_size % sizes.num_attention_heads:
        raise UnsupportedModel(
            f"The yaml beside the checkpoint cannot be used: {sizes.hidden_size} text encoder"
            f" channels cannot be shared among {sizes.num_attention_heads} heads."
        )
    return sizes


def build_text_encoder(params: TextEncoderParams) -> CLIPTextModel:
    """Make a text encoder on the meta device; its position ids, which no file needs, are real."""
    with IMPORTING:
        from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=VOCABULARY,
                max_position_embeddings=CHUNK_LENGTH,
                hidden_act="quick_gelu",
                projection_dim=params.hidden_size,
                **params.model_dump(),
            )
        )
    encoder.embeddings.position_ids = torch.arange(CHUNK_LENGTH)[None]
    return encoder


class EncodedTexts(NamedTuple):
    """What an encoder made of texts.

    Args:
        cross: [77 * chunks, C] float32 for each text.
        embeddings: names of the embeddings in the texts, each once.
    """

    cross: list[Tensor]
    embeddings: tuple[str, ...]


class ClipTextEncoder:
    """Texts to cross-attention embeddings, as A1111 makes them from one CLIP encoder.

    Args:
        network: with weights; its last layer norm is applied after CLIP skip as well.
        slot: which of an embedding's vectors are for this encoder.
    """

    def __init__(self, network: CLIPTextModel, slot: Slot = "clip_l") -> None:
        self._network = network
        self._slot: Slot = slot
        self.max_clip_skip: int = network.config.num_hidden_layers

    @torch.no_grad()
    def encode(self, texts: Sequence[str], options: EncodeOptions) -> EncodedTexts:
        """Encode texts that belong together; see `LoadedModel.encode_prompts`."""
        if not 1 <= options.clip_skip <= self.max_clip_skip:
            raise InvalidRequest(
                "clip_skip",
                f"Clip skip {options.clip_skip} is not possible: this checkpoint's text encoder has"
                f" {self.max_clip_skip} layers.",
            )
        rows = [text.chunks for text in clip_chunker(options).chunk_together(texts)]
        columns = [self._encode_chunks(column, options) for column in zip(*rows, strict=True)]
        return EncodedTexts(
            list(torch.cat(columns, dim=1)) if columns else [],
            used_names(chunk for column in zip(*rows, strict=True) for chunk in column),
        )

    def _encode_chunks(self, chunks: Sequence[Chunk], options: EncodeOptions) -> Tensor:
        """Encode the chunks of several texts at the same place: [texts, 77, C] float32."""
        device = self._network.device
        tokens = torch.tensor(
            [chunk.encoder_tokens(SPECIAL_TOKENS) for chunk in chunks], device=device
        )
        places = self._network.get_input_embeddings()
        with inserted(places, chunks, options.embeddings, self._slot):
            hidden = self._hidden(tokens, options.clip_skip).float()
        weights = torch.tensor([chunk.multipliers for chunk in chunks], device=device)
        return emphasize(hidden, weights, options.emphasis)

    def _hidden(self, tokens: Tensor, clip_skip: int) -> Tensor:
        if clip_skip == 1:
            return self._network(tokens).last_hidden_state  # type: ignore[no-any-return]
        layers = self._network(tokens, output_hidden_states=True).hidden_states
        return self._network.final_layer_norm(layers[-clip_skip])  # type: ignore[no-any-return]


def emphasize(hidden: Tensor, weights: Tensor, emphasis: Emphasis) -> Tensor:
    """Weight embeddings token by token.

    Args:
        hidden: [B, 77, C] float32.
        weights: [B, 77] float32, 1 for what is not emphasised.
        emphasis: ``Original`` brings the mean over the whole tensor back to what it was.
    """
    if emphasis in ("Ignore", "None"):
        return hidden
    weighted = hidden * weights[..., None]
    mean = weighted.mean()
    if emphasis == "Original" and mean != 0:
        weighted = weighted * (hidden.mean() / mean)
    return weighted
