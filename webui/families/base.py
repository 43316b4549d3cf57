"""What every model family offers, and what the engine calls on a loaded model.

A family is one file here and one row in ``webui/families/__init__.py``. The way of a checkpoint::

    header (names, shapes, dtypes) -> Family.detect
    header, yaml                   -> Family.build          -> Blueprint (networks without weights)
    Blueprint, tensors             -> model_manager.loader  -> networks with weights
    networks                       -> Blueprint.assemble    -> LoadedModel
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from webui.families.embeddings import NO_EMBEDDINGS, Embeddings
from webui.prompt.attention import Emphasis

Prediction = Literal["epsilon", "v"]
ImageInput = Literal["none", "inpaint", "edit"]
"""What the denoising network reads beside latents: nothing; mask and masked picture (5 channels);
the picture that is edited by instruction (4 channels)."""
Networks = Mapping[str, nn.Module]
"""A model's networks by role: ``unet``, ``vae``, ``text_encoder``, ``text_encoder_2``."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a file's header says of one tensor.

    Args:
        shape: sizes, outermost first.
        dtype: safetensors' name for it: ``F32``, ``F16``, ``BF16``, ``F8_E4M3``, ``I64``, ...
    """

    shape: tuple[int, ...]
    dtype: str


class TensorPart(NamedTuple):
    """A parameter that is not a tensor of the file as a whole.

    Args:
        name: the file's tensor.
        part: which of `parts` equal shares of its rows, from 0.
        parts: 1 for the whole.
        transposed: the file has rows where the network has columns.
    """

    name: str
    part: int = 0
    parts: int = 1
    transposed: bool = False


Source = str | TensorPart
"""Where a parameter's values are: the name of a tensor, or a part of one."""
Sources = Mapping[str, Source]
"""A network's parameters by name."""


def tensor_part(source: Source) -> TensorPart:
    """Return a source in its long form."""
    return TensorPart(source) if isinstance(source, str) else source


Header = Mapping[str, TensorInfo]
"""All tensors of a file by name; nothing is read but this to tell what the file is."""


@dataclass(frozen=True, slots=True)
class PictureSize:
    """The sizes that SDXL's networks are told of, in pixels.

    Args:
        height: of the picture in the current pass.
        width: of the picture in the current pass.
        crop_top: rows that training would have cut off above.
        crop_left: columns that training would have cut off at the left.
    """

    height: int
    width: int
    crop_top: int = 0
    crop_left: int = 0


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How texts become embeddings.

    Args:
        clip_skip: 1 takes the text encoder's last layer, n the n-th from the end.
        emphasis: A1111's modes: ``Original`` restores the mean after weighting, ``No norm`` does
            not, ``Ignore`` reads brackets but not their weights, ``None`` takes the text literally.
        comma_padding_backtrack: a chunk may break at a comma at most this many tokens back.
        is_negative: the texts are a negative prompt's.
        size: what families with size conditioning are told; None for the family's native size.
        aesthetic_score: what SDXL's refiner is told.
        clip_l_skip: `clip_skip` also holds for SDXL's first text encoder.
        embeddings: names in the texts that stand for vectors.
        old_emphasis: A1111's first implementation, see `prompt.old_emphasis`.
    """

    clip_skip: int = 1
    emphasis: Emphasis = "Original"
    comma_padding_backtrack: int = 20
    is_negative: bool = False
    size: PictureSize | None = None
    aesthetic_score: float = 6.0
    clip_l_skip: bool = False
    embeddings: Embeddings = NO_EMBEDDINGS
    old_emphasis: bool = False


@dataclass(frozen=True, slots=True)
class PromptEmbeds:
    """One text as the denoising network reads it.

    Args:
        cross: [T, C] float32 on the model's device; T is 77 times the number of chunks.
        pooled: [P] float32, or None where the family has none.
        embeddings: names of the embeddings that the texts of the call use, once for each text
            encoder, the last encoder's first.
    """

    cross: Tensor
    pooled: Tensor | None = None
    embeddings: tuple[str, ...] = ()


class LoadedModel(Protocol):
    """A checkpoint in memory, as the engine calls it; all methods run without gradients."""

    family_id: str
    prediction: Prediction
    """What the network's output means."""
    alphas_cumprod: Tensor
    """[1000] float32 on the CPU, descending: the share of signal at each training timestep."""
    zero_terminal_snr: bool
    """Whether the schedule is to be rescaled so that the last timestep is pure noise."""
    image_input: ImageInput
    """What the network reads beside latents."""
    steps_table: Literal["sd1", "sdxl"]
    """Which Align Your Steps table was measured on the family."""
    latent_scale: float
    """What the VAE's latents are multiplied with for the network."""
    native_size: int
    """Pixels along a side that the family was trained on."""
    latent_channels: int
    """4: channels of the latents that are denoised and decoded."""
    vae_scale_factor: int
    """8: pixels along a side of one latent position."""
    max_clip_skip: int
    """Largest clip skip that the text encoder has layers for."""
    networks: Networks
    """The modules themselves, for patches that are undone again."""

    @property
    def device(self) -> torch.device:
        """Where latents and embeddings have to be."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text, without begin and end marks, of any length."""
        ...

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[PromptEmbeds]:
        """Encode texts that belong together.

        Texts of fewer chunks are filled up with empty ones, and emphasis ``Original`` takes its
        mean over all the texts of the call: A1111 encodes all stages of one prompt's editing
        schedule, or all prompts of a batch, in one call.

        Raises:
            InvalidRequest: if clip skip exceeds the encoder's layers, or a weight is no number.
        """
        ...

    def predict(
        self, x_in: Tensor, timestep: Tensor, cross: Tensor, pooled: Tensor | None = None
    ) -> Tensor:
        """Run the denoising network once.

        Args:
            x_in: [B, C_in, h, w] float32, already scaled for the network; C_in is 4, or 4 and what
                the family takes beside (mask and masked picture).
            timestep: [B] float32 or int64, 0 to 999, fractions allowed.
            cross: [B, T, C] float32.
            pooled: [B, P] float32 for families that have it.
        Returns: [B, 4, h, w] float32, noise or velocity as `prediction` says.
        """
        ...

    def encode_image(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the latents of pictures.

        Args:
            pixels: [B, 3, H, W] float32, -1 to 1, H and W multiples of `vae_scale_factor`.
            noise: [B, 4, H/8, W/8] standard normal: the posterior is sampled with it, as A1111
                does; None takes the posterior's mode.
        Returns: [B, 4, H/8, W/8] float32, scaled to the unit variance that the network expects.
        """
        ...

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Return the pictures of latents [B, 4, h, w]: [B, 3, 8h, 8w] float32, about -1 to 1.

        A VAE in half precision that answers with NaN is upcast to float32 once and for all.

        Raises:
            BadOutput: if the picture is NaN in float32 as well.
        """
        ...


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A model that has everything but its weights.

    Args:
        architecture: equal for two files exactly if the weights of one fit the networks of the
            other, and mean the same there.
        networks: modules whose parameters and buffers are on the meta device (buffers that no file
            holds are real already).
        sources: for each network, parameter name -> tensor in the file; shapes have been compared,
            up to trailing ones.
        facts: further tensors of the file that `assemble` wants, e.g. the noise schedule.
        assemble: makes a model of networks (these, or others of equal architecture) with weights
            and of the facts, float32 on the CPU; raises UnsupportedModel if those make no sense.
    """

    architecture: str
    networks: Networks
    sources: Mapping[str, Sources]
    facts: tuple[str, ...]
    assemble: Callable[[Networks, Mapping[str, Tensor]], LoadedModel]


class Family(Protocol):
    """One kind of checkpoint."""

    id: str
    """Stable, lower case: ``sd1``."""
    label: str
    """As users call it: ``SD 1.x``."""
    native_size: int
    """Default side in pixels where a checkpoint does not name its own."""

    def detect(self, header: Header) -> bool:
        """Tell from names and shapes alone whether a file is of this family."""
        ...

    def build(self, header: Header, config: object | None) -> Blueprint:
        """Make the networks that a file's weights go into.

        Args:
            header: what the file holds.
            config: the parsed yaml beside the file, or None for the family's own sizes.
        Raises:
            UnsupportedModel: if something is missing, left over, or of another shape.
        """
        ...
