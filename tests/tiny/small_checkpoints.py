"""Checkpoints of a few megabytes in the single-file layout, with seeded random weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from webui.families import clip, ldm, ldm_names

UNET_SIZES = {
    "model_channels": 32,
    "channel_mult": [1, 2],
    "attention_resolutions": [2],
    "num_res_blocks": 1,
    "num_heads": 2,
    "context_dim": 16,
}
VAE_SIZES = {"ch": 32, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1}
TEXT_SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
}
TEXT_PREFIX = "cond_stage_model.transformer.text_model."


def small_config(**params: Any) -> dict[str, Any]:
    """The yaml's content; `params` go to ``model.params``."""
    return {
        "model": {
            "params": {
                "unet_config": {"params": UNET_SIZES},
                "first_stage_config": {"params": {"ddconfig": VAE_SIZES}},
                "cond_stage_config": {"params": TEXT_SIZES},
                **params,
            }
        }
    }


def small_weights(seed: int = 0) -> dict[str, Tensor]:
    """Weights by the layout's names."""
    params = ldm.read_params(small_config())
    torch.manual_seed(seed)
    unet: nn.Module = ldm.build_unet(params.unet)
    vae: nn.Module = ldm.build_vae(params.vae, params.scale_factor)
    text = CLIPTextModel(CLIPTextConfig(vocab_size=clip.VOCABULARY, **TEXT_SIZES))
    weights: dict[str, Tensor] = {}
    for name, value in unet.state_dict().items():
        weights[ldm.UNET_PREFIX + ldm_names.unet_name(name, 1, params.unet.attention)] = value
    for name, value in vae.state_dict().items():
        weights[ldm.VAE_PREFIX + ldm_names.vae_name(name, 4)] = value
    for name, value in text.state_dict().items():
        weights[TEXT_PREFIX + name] = value
    return weights


def write_checkpoint(
    path: Path, weights: Mapping[str, Tensor], config: object | None = None
) -> Path:
    """Write a safetensors file and its yaml."""
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(config or small_config()))
    return path
