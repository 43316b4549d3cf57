"""What a file is that no family claims: a sentence on where it belongs, or what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webui.families.base import Header


def _some_key(*needles: str) -> Callable[[Header], bool]:
    return lambda header: any(needle in key for key in header for needle in needles)


def _key_starting(*prefixes: str) -> Callable[[Header], bool]:
    return lambda header: any(key.startswith(prefixes) for key in header)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of file by its keys.

    Args:
        applies: whether a header is of the kind.
        sentence: continues the file's name.
    """

    applies: Callable[[Header], bool]
    sentence: str


_NOT_YET = "which this version of Easel cannot draw with yet. Use an SD 1, SD 2 or SDXL checkpoint."

_KINDS = (
    _Kind(
        _key_starting("model.diffusion_model.double_blocks.", "double_blocks."),
        f"is a Flux checkpoint, {_NOT_YET}",
    ),
    _Kind(
        _key_starting("model.diffusion_model.joint_blocks.", "joint_blocks."),
        f"is an SD 3 checkpoint, {_NOT_YET}",
    ),
    _Kind(
        _key_starting("cond_stage_model.roberta.", "embedder.model."),
        f"is a checkpoint with another text encoder than CLIP, {_NOT_YET}",
    ),
    _Kind(
        _key_starting("control_model.", "controlnet_", "input_hint_block."),
        "is a ControlNet. Move it to models/ControlNet.",
    ),
    _Kind(
        _some_key("lora_up.", "lora_A.", "lora_B.", "lora.up.", "hada_w1", "lokr_w", "oft_blocks"),
        "is a LoRA. Move it to models/Lora and name it in the prompt.",
    ),
    _Kind(
        _key_starting("lora_unet_", "lora_te", "oft_unet_"),
        "is a LoRA. Move it to models/Lora and name it in the prompt.",
    ),
    _Kind(
        lambda header: set(header) <= {"emb_params", "clip_l", "clip_g", "t5xxl"} and bool(header),
        "is a textual inversion embedding. Move it to the folder embeddings.",
    ),
    _Kind(
        lambda header: (
            any(
                key.removeprefix("first_stage_model.") == "decoder.conv_in.weight" for key in header
            )
            and not any(key.startswith("model.diffusion_model.") for key in header)
        ),
        "is a VAE. Move it to models/VAE and choose it in the settings.",
    ),
    _Kind(
        lambda header: "model.diffusion_model.input_blocks.0.0.weight" in header,
        f"is a checkpoint whose network reads more than latents and masks, {_NOT_YET}",
    ),
    _Kind(
        _key_starting(
            "down_blocks.", "unet.down_blocks.", "text_model.", "transformer.text_model."
        ),
        "is one part of a diffusers folder. Use a checkpoint that is a single file.",
    ),
    _Kind(
        _some_key("RDB1.", "rdb1.", "upsampler.", "conv_after_body", "params_ema"),
        "is an upscaler. Move it to models/upscalers.",
    ),
)


def describe(header: Header) -> str:
    """Return what continues "<file name> ..." for a file that no family claims."""
    for kind in _KINDS:
        if kind.applies(header):
            return kind.sentence
    return (
        "is of an unknown kind: it holds no Stable Diffusion checkpoint. Use a single-file"
        " checkpoint that holds UNet, VAE and text encoder."
    )
