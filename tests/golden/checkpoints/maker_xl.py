"""Make the small SDXL, SD 2 and InstructPix2Pix checkpoints of the golden pictures.

============= ======================================== =======================
``xlA xlB``   SDXL base                                noise prediction
``xlRefiner`` its refiner                              noise prediction
``xlInpaint`` xlA with five more input channels        noise prediction
``xlV``       xlA's weights                            velocity by yaml
``sd2v sd2e`` SD 2, one set of weights                 velocity, noise by yaml
``tinyP``     tinyA with four more input channels      noise prediction
============= ======================================== =======================
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.golden.checkpoints import maker
from tests.golden.checkpoints.maker import UNET, Weights


class Recipe(NamedTuple):
    """How a checkpoint is made: its names and shapes, seed, and whose scales it shares."""

    shapes: str
    seed: int
    calibrated_like: str


RECIPES = {
    "xlA": Recipe("xl", 101, "xlA"),
    "xlB": Recipe("xl", 102, "xlB"),
    "xlRefiner": Recipe("xlRefiner", 103, "xlRefiner"),
    "xlInpaint": Recipe("xl", 101, "xlA"),
    "xlV": Recipe("xl", 101, "xlA"),
    "sd2v": Recipe("sd2v", 104, "sd2v"),
    "sd2e": Recipe("sd2v", 104, "sd2v"),
}
NAMES = (*RECIPES, "tinyP")
_VAE = {
    "params": {
        "ddconfig": {
            "z_channels": 4,
            "in_channels": 3,
            "out_ch": 3,
            "ch": 32,
            "ch_mult": [1, 2, 4, 4],
            "num_res_blocks": 2,
        }
    }
}
_UNET = {
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": 2,
    "num_head_channels": 16,
    "use_linear_in_transformer": True,
}
_CLIP_L = {
    "target": "sgm.modules.encoders.modules.FrozenCLIPEmbedder",
    "params": {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "layer": "hidden",
        "layer_idx": 3,
    },
}
_BIG_G = {
    "target": "sgm.modules.encoders.modules.FrozenOpenCLIPEmbedder2",
    "params": {"width": 192, "layers": 4, "heads": 6},
}


def make_checkpoint(name: str, folder: Path) -> Path:
    """Write one checkpoint and its yaml; tinyP needs tinyA in the folder."""
    path = folder / f"{name}.safetensors"
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(_description(name)))
    weights = _pix2pix(folder) if name == "tinyP" else _weights(name)
    save_file(weights, path, metadata={"format": "pt"})
    return path


def _pix2pix(folder: Path) -> Weights:
    weights: Weights = load_file(folder / "tinyA.safetensors")
    _widen(weights, 4, torch.Generator().manual_seed(105))
    return weights


def _weights(name: str) -> Weights:
    recipe = RECIPES[name]
    noise = torch.Generator().manual_seed(recipe.seed)
    shapes = json.loads(gzip.decompress((maker.HERE / "xl_shapes.json.gz").read_bytes()))
    weights = {key: maker.draw(key, shape, noise) for key, shape in shapes[recipe.shapes]}
    maker.sharpen(weights)
    for key, value in weights.items():
        if key.startswith(f"{UNET}label_emb") and key.endswith("weight"):
            value *= 1.6
    maker.lay_linear_path(weights, noise)
    scale = json.loads((maker.HERE / "calibration.json").read_text())[recipe.calibrated_like]
    maker.scale_parts(weights, scale, variance_bias=-30.0)
    if name == "xlInpaint":
        _widen(weights, 5, noise)
    if recipe.shapes == "xl":
        positions = "conditioner.embedders.0.transformer.text_model.embeddings.position_ids"
        weights[positions] = torch.arange(77)[None]
    if recipe.shapes == "sd2v":
        weights |= maker.noise_tables()
    return {key: value.contiguous() for key, value in weights.items()}


def _widen(weights: Weights, channels: int, noise: torch.Generator) -> None:
    """Give the UNet further input channels."""
    key = f"{UNET}input_blocks.0.0.weight"
    extra = torch.randn(len(weights[key]), channels, 3, 3, generator=noise) * 0.05
    weights[key] = torch.cat([weights[key], extra], 1)


def _description(name: str) -> dict[str, Any]:
    if name == "tinyP":
        described: dict[str, Any] = yaml.safe_load(maker.YAML.format(parameterization="eps"))
        described["model"]["params"]["unet_config"]["params"]["in_channels"] = 8
        return described
    if name in ("sd2v", "sd2e"):
        return {"model": {"params": _sd2(name)}}
    scaling = "VScaling" if name == "xlV" else "EpsScaling"
    target = f"sgm.modules.diffusionmodules.denoiser_scaling.{scaling}"
    refines = name == "xlRefiner"
    parts = [_BIG_G] if refines else [_CLIP_L, _BIG_G]
    params = {
        "scale_factor": 0.13025,
        "denoiser_config": {"params": {"scaling_config": {"target": target}}},
        "network_config": {"params": _refiner_unet() if refines else _base_unet(name)},
        "conditioner_config": {"params": {"emb_models": parts}},
        "first_stage_config": _VAE,
    }
    return {"model": {"params": params}}


def _base_unet(name: str) -> dict[str, Any]:
    return {
        **_UNET,
        "adm_in_channels": 192 + 6 * 256,
        "in_channels": 9 if name == "xlInpaint" else 4,
        "attention_resolutions": [4, 2],
        "channel_mult": [1, 2, 4],
        "transformer_depth": [1, 1, 2],
        "context_dim": 320,
    }


def _refiner_unet() -> dict[str, Any]:
    return {
        **_UNET,
        "adm_in_channels": 192 + 5 * 256,
        "attention_resolutions": [4, 2],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth": 2,
        "context_dim": [192, 192, 192, 192],
    }


def _sd2(name: str) -> dict[str, Any]:
    unet = {
        **_UNET,
        "attention_resolutions": [4, 2, 1],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth": 1,
        "context_dim": 128,
    }
    return {
        "parameterization": "v" if name == "sd2v" else "eps",
        "linear_start": 0.00085,
        "linear_end": 0.012,
        "scale_factor": 0.18215,
        "unet_config": {"params": unet},
        "cond_stage_config": {"params": {"width": 128, "layers": 4, "heads": 4}},
        "first_stage_config": _VAE,
    }
