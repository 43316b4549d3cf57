"""CompVis' single-file layout, which SD 1, SD 2 and SDXL share: yaml, networks, tensors.

LDM is the layout's own word for Stable Diffusion's code. The yaml describes the architecture; its
sizes are bounded, so that a hostile one cannot ask for a million layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import nn

from webui.errors import UnsupportedModel
from webui.families.base import Header, ImageInput, Sources, TensorPart, tensor_part
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
    transformer_depth: Depth | tuple[Depth, ...] = 1
    context_dim: Width | tuple[Width, ...] = 768
    use_linear_in_transformer: bool = False
    adm_in_channels: Width | None = None

    @property
    def cross_width(self) -> int:
        """Channels of the embeddings that the network attends to."""
        return self.context_dim if isinstance(self.context_dim, int) else self.context_dim[0]

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
    def _lists_agree(self) -> UNetParams:
        depth, context = self.transformer_depth, self.context_dim
        if not isinstance(depth, int) and len(depth) != len(self.channel_mult):
            raise ValueError("transformer_depth and channel_mult are not equally long")
        if not isinstance(context, int) and len(set(context)) != 1:
            raise ValueError("context_dim names several widths")
        return self

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
    zero_terminal_snr: bool = False
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


SD1_PARAMS = LdmParams()


def read_params(config: object | None, default: LdmParams = SD1_PARAMS) -> LdmParams:
    """Take from a parsed yaml what describes the model; None gives the family's sizes.

    Raises:
        UnsupportedModel: if the yaml is no model description, or its sizes are out of bounds.
    """
    if config is None:
        return default
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
_VELOCITY, _ZERO_TERMINAL_SNR = "v_pred", "ztsnr"
"""Tensors without values whose presence says how a file was trained."""


def stated_facts(header: Header) -> tuple[str, ...]:
    """Return the tensors of a file that `LdmModel` wants."""
    return (ALPHAS,) if ALPHAS in header else ()


def as_stated(params: LdmParams, header: Header) -> LdmParams:
    """Add what a file says by the presence of tensors without values."""
    stated: dict[str, object] = {}
    if _VELOCITY in header:
        stated["parameterization"] = "v"
    if _ZERO_TERMINAL_SNR in header:
        stated["zero_terminal_snr"] = True
    return params.model_copy(update=stated)


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
        cross_attention_dim=params.cross_width,
        attention_head_dim=params.heads,  # diffusers' name for the number of heads
        transformer_layers_per_block=params.transformer_depth,
        use_linear_projection=params.use_linear_in_transformer,
        class_embed_type="projection" if params.adm_in_channels else None,
        projection_class_embeddings_input_dim=params.adm_in_channels,
    )
    double_then_shrink(unet)
    return unet


def match_unet_depth(
    unet: UNet2DConditionModel, params: UNetParams, header: Header
) -> tuple[int, ...]:
    """Shorten a UNet's attention to what a distilled file has of it, if it lacks the middle one's.

    Segmind's distillations of SDXL leave transformer layers out, and all of the middle block but
    its first layer.

    Returns: the depth of each attention, () if the file has all.
    """
    if any(key.startswith(f"{UNET_PREFIX}middle_block.1.") for key in header):
        return ()
    unet.mid_block.attentions = nn.ModuleList()
    unet.mid_block.resnets = unet.mid_block.resnets[:1]
    depths = []
    for name, module in unet.named_modules():
        if name.endswith(".transformer_blocks") and isinstance(module, nn.ModuleList):
            places = (f"{name}.{layer}.norm1.weight" for layer in range(len(module)))
            file_names = (unet_name(p, params.num_res_blocks, params.attention) for p in places)
            depth = sum(UNET_PREFIX + file_name in header for file_name in file_names)
            del module[max(1, depth) :]
            depths.append(depth)
    return tuple(depths)


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


class Parts(NamedTuple):
    """UNet and VAE without weights; the members are as in `Blueprint`."""

    architecture: str
    networks: dict[str, nn.Module]
    sources: dict[str, Sources]


def build_parts(params: LdmParams, header: Header) -> Parts:
    """Make a file's UNet and VAE on the meta device.

    Raises:
        UnsupportedModel: if something is missing, left over, or of another shape.
    """
    with torch.device("meta"):
        unet, vae = build_unet(params.unet), build_vae(params.vae, params.scale_factor)
    depths = match_unet_depth(unet, params.unet, header)
    return Parts(
        f"{params.unet.model_dump_json()}{depths or ''} {params.vae.model_dump_json()}",
        {"unet": unet, "vae": vae},
        {
            "unet": match_unet(unet, params.unet, header),
            "vae": match_vae(vae, params.vae, header),
        },
    )


def frozen(networks: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Return networks that are only used, not trained."""
    for network in networks.values():
        network.requires_grad_(False).eval()
    return networks


def match_unet(network: nn.Module, params: UNetParams, header: Header) -> Sources:
    """Return the denoising network's sources in a file; see `match_tensors`."""
    names = {
        name: UNET_PREFIX + unet_name(name, params.num_res_blocks, params.attention)
        for name, _ in network.named_parameters()
    }
    match_tensors("denoising network (UNet)", network, names, header)
    reject_leftovers("denoising network (UNet)", UNET_PREFIX, names, header)
    return names


def match_vae(network: nn.Module, params: VaeParams, header: Header) -> Sources:
    """Return the autoencoder's sources in a file; see `match_tensors`."""
    names = {
        name: VAE_PREFIX + vae_name(name, len(params.ch_mult))
        for name, _ in network.named_parameters()
    }
    match_tensors("autoencoder (VAE)", network, names, header)
    return names


def match_tensors(label: str, network: nn.Module, names: Sources, header: Header) -> None:
    """Hold a network's parameters against a file's tensors.

    Args:
        label: what the network is called in messages.
        network: on the meta device.
        names: parameter -> the file's name for it.
        header: the file.
    Raises:
        UnsupportedModel: naming the first tensor that is missing, unreadable or of another shape.
    """
    wanted = [tensor_part(source).name for source in names.values()]
    missing = [source for source in wanted if source not in header]
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
        part = tensor_part(names[name])
        source, expected = part.name, _shape_in_file(tuple(parameter.shape), part)
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


def reject_leftovers(label: str, prefix: str, names: Sources, header: Header) -> None:
    """Refuse a file that holds more of a network than `names`: it would draw other pictures.

    Raises:
        UnsupportedModel: naming the first tensor that is left over.
    """
    known = {tensor_part(source).name for source in names.values()}
    extra = sorted({key for key in header if key.startswith(prefix)} - known)
    if extra:
        raise UnsupportedModel(
            f"The {label} has {len(extra)} tensors more than expected, the first is {extra[0]};"
            f" {_ADVICE}"
        )


_ADVICE = "it needs a yaml of the same name beside it that describes its architecture."
_FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


def _shape_in_file(shape: tuple[int, ...], part: TensorPart) -> tuple[int, ...]:
    if part.transposed:
        shape = shape[::-1]
    return (shape[0] * part.parts, *shape[1:])


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


def context_width(header: Header) -> int | None:
    """Return the channels of the embeddings that a file's denoising network attends to."""
    for key, info in header.items():
        if key.startswith(UNET_PREFIX) and key.endswith("attn2.to_k.weight"):
            return info.shape[-1]
    return None


def image_input(header: Header) -> ImageInput | None:
    """Return what a file's denoising network reads beside latents; None if it is none we know."""
    kinds: dict[int, ImageInput] = {4: "none", 8: "edit", 9: "inpaint"}
    return kinds.get(unet_in_channels(header))


def with_in_channels(params: LdmParams, header: Header) -> LdmParams:
    """Return a family's own sizes for a file whose network reads more than latents."""
    unet = params.unet.model_copy(update={"in_channels": unet_in_channels(header)})
    return params.model_copy(update={"unet_config": _UNetConfig(params=unet)})


def has_label(header: Header) -> bool:
    """Tell whether a file's denoising network reads a vector beside: SDXL, its refiner, unCLIP."""
    return f"{UNET_PREFIX}label_emb.0.0.weight" in header
