"""The text side of a loaded model: CLIP's tokens, chunks of 77, weights, CLIP skip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from webui.errors import InvalidRequest, UnsupportedModel
from webui.families.base import EncodeOptions
from webui.families.embeddings import Slot, inserted, used_names
from webui.families.importing import IMPORTING
from webui.families.ldm import unusable_yaml
from webui.prompt.attention import Emphasis
from webui.prompt.chunks import Chunk, Chunker, SpecialTokens
from webui.prompt.old_emphasis import OldChunker, bracket_multipliers

if TYPE_CHECKING:  # transformers takes seconds to import: it is loaded behind the page
    from tokenizers import Tokenizer
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

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


def _rows(texts: Sequence[str], options: EncodeOptions) -> list[tuple[Chunk, ...]]:
    """The chunks of texts that belong together, equally many for each."""
    chunker = clip_chunker(options)
    if options.old_emphasis:
        old = OldChunker(chunker, _bracket_multipliers())
        return [(old.chunk(text).chunk,) for text in texts]
    return [tuple(text.chunks) for text in chunker.chunk_together(texts)]


@cache
def _bracket_multipliers() -> Mapping[int, float]:
    return bracket_multipliers(clip_tokenizer().get_vocab())


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


class HiddenLayer(NamedTuple):
    """Which of a text encoder's layers is taken.

    Args:
        from_end: 1 for the last.
        normed: the final layer norm is applied.
    """

    from_end: int
    normed: bool


class EncodedTexts(NamedTuple):
    """What an encoder made of texts.

    Args:
        cross: [77 * chunks, C] float32 for each text.
        pooled: [P] float32 for each text, of its first chunk; none if the encoder has no
            projection.
        embeddings: names of the embeddings in the texts, each once.
    """

    cross: list[Tensor]
    pooled: list[Tensor]
    embeddings: tuple[str, ...]


class ClipTextEncoder:
    """Texts to cross-attention embeddings, as A1111 makes them from one CLIP encoder.

    Args:
        network: with weights.
        slot: which of an embedding's vectors are for this encoder.
        special: its special tokens.
    """

    def __init__(
        self,
        network: CLIPTextModel | CLIPTextModelWithProjection,
        slot: Slot = "clip_l",
        special: SpecialTokens = SPECIAL_TOKENS,
    ) -> None:
        self._network = network
        self._encoder: CLIPTextModel = getattr(network, "text_model", network)
        self._projection: nn.Module | None = getattr(network, "text_projection", None)
        self._slot: Slot = slot
        self._special = special
        self.layers: int = self._encoder.config.num_hidden_layers

    @torch.no_grad()
    def encode(
        self, texts: Sequence[str], options: EncodeOptions, layer: HiddenLayer
    ) -> EncodedTexts:
        """Encode texts that belong together; see `LoadedModel.encode_prompts`."""
        if not 1 <= layer.from_end <= self.layers:
            raise InvalidRequest(
                "clip_skip",
                f"Clip skip {layer.from_end} is not possible: this checkpoint's text encoder has"
                f" {self.layers} layers.",
            )
        rows = _rows(texts, options)
        columns = [self._encode_chunks(c, options, layer) for c in zip(*rows, strict=True)]
        return EncodedTexts(
            list(torch.cat([cross for cross, _ in columns], dim=1)) if columns else [],
            list(columns[0][1]) if columns and self._projection is not None else [],
            used_names(chunk for column in zip(*rows, strict=True) for chunk in column),
        )

    def _encode_chunks(
        self, chunks: Sequence[Chunk], options: EncodeOptions, layer: HiddenLayer
    ) -> tuple[Tensor, Tensor]:
        """Encode the chunks of several texts at the same place: [texts, 77, C] and [texts, P]."""
        device = self._network.device
        tokens = torch.tensor(
            [chunk.encoder_tokens(self._special) for chunk in chunks], device=device
        )
        places = self._network.get_input_embeddings()
        with inserted(places, chunks, options.embeddings, self._slot):
            hidden, last = self._hidden(tokens, layer)
        weights = torch.tensor([chunk.multipliers for chunk in chunks], device=device)
        return emphasize(hidden.float(), weights, options.emphasis), self._pooled(last, tokens)

    def _hidden(self, tokens: Tensor, layer: HiddenLayer) -> tuple[Tensor, Tensor]:
        """Return the layer asked for and the last one with its norm, [texts, 77, C] each."""
        if layer == HiddenLayer(1, True):
            last = self._encoder(tokens).last_hidden_state
            return last, last
        output = self._encoder(tokens, output_hidden_states=True)
        hidden = output.hidden_states[-layer.from_end]
        if layer.normed:
            hidden = self._encoder.final_layer_norm(hidden)
        return hidden, output.last_hidden_state

    def _pooled(self, last: Tensor, tokens: Tensor) -> Tensor:
        """Return the projection of the first end mark's vector: [texts, P] float32."""
        ends = last[torch.arange(len(last), device=last.device), tokens.argmax(dim=-1)]
        return (ends if self._projection is None else self._projection(ends)).float()


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
