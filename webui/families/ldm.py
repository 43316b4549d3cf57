"""CompVis' single-file layout, which SD 1, SD 2 and SDXL share: yaml, networks, tensors.

LDM is the layout's own word for Stable Diffusion's code. The yaml describes the architecture; its
sizes are bounded, so that a hostile one cannot ask for a million layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import nn

from webui.errors import UnsupportedModel
from webui.families.base import Header
from webui.families.importing import IMPORTING
from webui.families.ldm_names import unet_name, vae_name
from webui.families.odd_sizes import double_then_shrink

if TYPE_CHECKING:  # diffusers' networks take seconds to import: they are loaded behind the page
    from diffusers import AutoencoderKL, UNet2DConditionModel

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."

Width = Annotated[int, Field(ge=1, le=16384)]
Depth = Annotated[int, Field(ge=1, le=64)]


class _Section(BaseModel):
    """A part of the yaml; what is not named here does not concern us."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class UNetParams(_Section):
    """``unet_config.params``; the defaults are SD 1.5's."""

    in_channels: Width = 4
    out_channels: Width = 4
    model_channels: Width = 320
    attention_resolutions: tuple[Depth, ...] = (4, 2, 1)
    num_res_blocks: Annotated[int, Field(ge=1, le=8)] = 2
    channel_mult: Annotated[tuple[Depth, ...], Field(min_length=1, max_length=8)] = (1, 2, 4, 4)
    num_heads: Annotated[int, Field(ge=-1, le=256)] = 8
    num_head_channels: Annotated[int, Field(ge=-1, le=1024)] = -1
    transformer_depth: Depth = 1
    context_dim: Width = 768
    use_linear_in_transformer: bool = False

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each block."""
        return tuple(self.model_channels * factor for factor in self.channel_mult)

    @property
    def attention(self) -> tuple[bool, ...]:
        """For each block going down, whether it has attention."""
        return tuple(2**i in self.attention_resolutions for i in range(len(self.channel_mult)))

    @property
    def heads(self) -> tuple[int, ...]:
        """Attention heads of each block."""
        if self.num_head_channels > 0:
            return tuple(width // self.num_head_channels for width in self.widths)
        return (self.num_heads,) * len(self.widths)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> UNetParams:
        for width, heads in zip(self.widths, self.heads, strict=True):
            if heads < 1 or width % heads:
                raise ValueError(f"{width} channels cannot be shared among {heads} heads")
            if width % 32:
                raise ValueError(f"{width} channels are not a multiple of 32")
        return self


class VaeParams(_Section):
    """``first_stage_config.params.ddconfig``; the defaults are SD 1.5's."""

    in_channels: Literal[3] = 3
    out_ch: Literal[3] = 3
    z_channels: Literal[4] = 4
    ch: Annotated[int, Field(ge=32, le=1024, multiple_of=32)] = 128
    ch_mult: Annotated[tuple[Depth, ...], Field(min_length=1, max_length=6)] = (1, 2, 4, 4)
    num_res_blocks: Annotated[int, Field(ge=1, le=8)] = 2

    @property
    def scale_factor(self) -> int:
        """Pixels along a side of one latent position."""
        return int(2 ** (len(self.ch_mult) - 1))


class _UNetConfig(_Section):
    params: UNetParams = UNetParams()


class _AutoencoderParams(_Section):
    ddconfig: VaeParams = VaeParams()


class _FirstStageConfig(_Section):
    params: _AutoencoderParams = _AutoencoderParams()


class _CondStageConfig(_Section):
    params: dict[str, object] = {}


class LdmParams(_Section):
    """``model.params``: schedule, latent scale, and the parts' descriptions."""

    parameterization: Literal["eps", "v"] = "eps"
    linear_start: Annotated[float, Field(gt=0, lt=1)] = 0.00085
    linear_end: Annotated[float, Field(gt=0, lt=1)] = 0.012
    timesteps: Literal[1000] = 1000
    scale_factor: Annotated[float, Field(gt=0, lt=100)] = 0.18215
    unet_config: _UNetConfig = _UNetConfig()
    first_stage_config: _FirstStageConfig = _FirstStageConfig()
    cond_stage_config: _CondStageConfig = _CondStageConfig()

    @property
    def unet(self) -> UNetParams:
        """The denoising network's sizes."""
        return self.unet_config.params

    @property
    def vae(self) -> VaeParams:
        """The autoencoder's sizes."""
        return self.first_stage_config.params.ddconfig


class _Model(_Section):
    params: LdmParams = LdmParams()


class _File(_Section):
    model: _Model = _Model()


def read_params(config: object | None) -> LdmParams:
    """Take from a parsed yaml what describes the model; None gives SD 1.5's sizes.

    Raises:
        UnsupportedModel: if the yaml is no model description, or its sizes are out of bounds.
    """
    if config is None:
        return LdmParams()
    try:
        return _File.model_validate(config).model.params
    except ValidationError as error:
        raise unusable_yaml(error) from error


def unusable_yaml(error: ValidationError, section: str = "") -> UnsupportedModel:
    """Say where a yaml is wrong; `section` is where the validated part of it begins."""
    first = error.errors()[0]
    place = ".".join([section, *map(str, first["loc"])]).strip(".") or "its top level"
    reason = first["msg"] if first["type"] != "model_type" else "There should be a section"
    return UnsupportedModel(
        f"The yaml beside the checkpoint cannot be used: at {place}: {reason}."
        " Correct it, or take it away if the checkpoint has the usual sizes."
    )


ALPHAS = "alphas_cumprod"
"""The tensor that holds a file's own noise schedule."""


def alphas_cumprod(params: LdmParams, stored: torch.Tensor | None) -> torch.Tensor:
    """Return the share of signal at each timestep, [1000] float32.

    A1111 takes the file's own, where there is one, with the rounding that it was stored with: half
    precision moves the first sigmas visibly. Else the schedule is linear in sqrt(beta).

    Raises:
        UnsupportedModel: if the stored schedule is none.
    """
    if stored is not None:
        if stored.shape != (params.timesteps,) or not ((stored > 0) & (stored <= 1)).all():
            raise UnsupportedModel(
                f"The noise schedule in the file ({ALPHAS}) is damaged. Download it again."
            )
        return stored
    start, end = params.linear_start**0.5, params.linear_end**0.5
    betas = torch.linspace(start, end, params.timesteps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def build_unet(params: UNetParams) -> UNet2DConditionModel:
    """Make the denoising network, on the current default device."""
    with IMPORTING:
        from diffusers import UNet2DConditionModel

    down = ["CrossAttnDownBlock2D" if cross else "DownBlock2D" for cross in params.attention]
    up = ["CrossAttnUpBlock2D" if cross else "UpBlock2D" for cross in params.attention]
    unet = UNet2DConditionModel(
        in_channels=params.in_channels,
        out_channels=params.out_channels,
        down_block_types=tuple(down),
        up_block_types=tuple(reversed(up)),
        block_out_channels=params.widths,
        layers_per_block=params.num_res_blocks,
        cross_attention_dim=params.context_dim,
        attention_head_dim=params.heads,  # diffusers' name for the number of heads
        transformer_layers_per_block=params.transformer_depth,
        use_linear_projection=params.use_linear_in_transformer,
    )
    double_then_shrink(unet)
    return unet


def build_vae(params: VaeParams, scale_factor: float) -> AutoencoderKL:
    """Make the autoencoder, on the current default device."""
    with IMPORTING:
        from diffusers import AutoencoderKL

    widths = tuple(params.ch * factor for factor in params.ch_mult)
    return AutoencoderKL(
        in_channels=params.in_channels,
        out_channels=params.out_ch,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=params.num_res_blocks,
        latent_channels=params.z_channels,
        scaling_factor=scale_factor,
    )


def match_unet(network: nn.Module, params: UNetParams, header: Header) -> Mapping[str, str]:
    """Return the denoising network's sources in a file; see `match_tensors`."""
    names = {
        name: UNET_PREFIX + unet_name(name, params.num_res_blocks, params.attention)
        for name, _ in network.named_parameters()
    }
    match_tensors("denoising network (UNet)", network, names, header)
    reject_leftovers("denoising network (UNet)", UNET_PREFIX, names, header)
    return names


def match_vae(network: nn.Module, params: VaeParams, header: Header) -> Mapping[str, str]:
    """Return the autoencoder's sources in a file; see `match_tensors`."""
    names = {
        name: VAE_PREFIX + vae_name(name, len(params.ch_mult))
        for name, _ in network.named_parameters()
    }
    match_tensors("autoencoder (VAE)", network, names, header)
    return names


def match_tensors(label: str, network: nn.Module, names: Mapping[str, str], header: Header) -> None:
    """Hold a network's parameters against a file's tensors.

    Args:
        label: what the network is called in messages.
        network: on the meta device.
        names: parameter -> the file's name for it.
        header: the file.
    Raises:
        UnsupportedModel: naming the first tensor that is missing, unreadable or of another shape.
    """
    missing = [source for source in names.values() if source not in header]
    if len(missing) == len(names):
        raise UnsupportedModel(
            f"The file has no {label}. Use a checkpoint that holds all its parts."
        )
    if missing:
        raise UnsupportedModel(
            f"The {label} is incomplete: {len(missing)} of {len(names)} tensors are missing, the"
            f" first is {missing[0]}. The file is damaged, or {_ADVICE}"
        )
    for name, parameter in network.named_parameters():
        source, expected = names[name], tuple(parameter.shape)
        info = header[source]
        if _significant(info.shape) != _significant(expected):
            raise UnsupportedModel(
                f"The {label} has other sizes than expected: {source} is {list(info.shape)} in the"
                f" file, but should be {list(expected)}; {_ADVICE}"
            )
        if info.dtype not in _FLOATS:
            raise UnsupportedModel(
                f"The {label} is stored in a number format that Easel cannot read ({info.dtype} for"
                f" {source}). Get the checkpoint in half or single precision."
            )


def reject_leftovers(label: str, prefix: str, names: Mapping[str, str], header: Header) -> None:
    """Refuse a file that holds more of a network than `names`: it would draw other pictures.

    Raises:
        UnsupportedModel: naming the first tensor that is left over.
    """
    extra = sorted({key for key in header if key.startswith(prefix)} - set(names.values()))
    if extra:
        raise UnsupportedModel(
            f"The {label} has {len(extra)} tensors more than expected, the first is {extra[0]};"
            f" {_ADVICE}"
        )


_ADVICE = "it needs a yaml of the same name beside it that describes its architecture."
_FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


def _significant(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop trailing ones: a 1x1 convolution's weight is a linear layer's."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def has_unet(header: Header) -> bool:
    """Tell whether a file holds a denoising network in this layout."""
    return f"{UNET_PREFIX}input_blocks.0.0.weight" in header


def unet_in_channels(header: Header) -> int:
    """Return how many channels the denoising network of a file reads; 4, 8 or 9 in practice."""
    shape = header[f"{UNET_PREFIX}input_blocks.0.0.weight"].shape
    return shape[1] if len(shape) == 4 else 0
