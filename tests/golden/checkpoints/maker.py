"""Make the small checkpoints that the golden pictures were drawn with, byte for byte.

They have Stable Diffusion 1's layout at a fraction of its size, random weights, and two aids that
make random networks answer with something like noise and pictures: a linear path through the UNet,
and scales that were measured once (``calibration.json``).

============ =========================================== =================
``tinyA``    single precision, safetensors               noise prediction
``tinyB``    likewise, other weights                     noise prediction
``tinyC``    half precision, pickle with ``state_dict``  noise prediction
``tinyV``    tinyA's weights                             velocity by yaml
============ =========================================== =================
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

HERE = Path(__file__).parent
UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
SEEDS = {"tinyA": 78, "tinyB": 155, "tinyC": 232}
NAMES = ("tinyA", "tinyB", "tinyC", "tinyV")

Weights = dict[str, Tensor]

YAML = """\
model:
  params:
    parameterization: "{parameterization}"
    linear_start: 0.00085
    linear_end: 0.012
    timesteps: 1000
    scale_factor: 0.18215
    unet_config:
      params:
        in_channels: 4
        out_channels: 4
        model_channels: 64
        attention_resolutions: [2, 1]
        num_res_blocks: 2
        channel_mult: [1, 2, 4]
        num_heads: 4
        transformer_depth: 1
        context_dim: 128
    first_stage_config:
      params:
        embed_dim: 4
        ddconfig:
          z_channels: 4
          in_channels: 3
          out_ch: 3
          ch: 32
          ch_mult: [1, 2, 4, 4]
          num_res_blocks: 2
    cond_stage_config:
      params:
        hidden_size: 128
        intermediate_size: 512
        num_hidden_layers: 4
        num_attention_heads: 4
"""


def make_checkpoint(name: str, folder: Path) -> Path:
    """Write one checkpoint and its yaml; the file's path is returned."""
    prediction = "v" if name == "tinyV" else "eps"
    (folder / f"{name}.yaml").write_text(YAML.format(parameterization=prediction))
    weights = _weights("tinyA" if name == "tinyV" else name)
    if name == "tinyC":
        path = folder / "tinyC.ckpt"
        halves = {key: _half(value) for key, value in weights.items()}
        torch.save({"state_dict": halves, "global_step": 1234}, path)
        return path
    path = folder / f"{name}.safetensors"
    note = {"note": "same weights as tinyA, v-prediction yaml"}
    save_file(weights, path, metadata=note if name == "tinyV" else {"format": "pt"})
    return path


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def _weights(name: str) -> Weights:
    noise = torch.Generator().manual_seed(SEEDS[name])
    weights = {key: draw(key, shape, noise) for key, shape in json.loads(_text("shapes.json"))}
    sharpen(weights)
    lay_linear_path(weights, noise)
    scale_parts(weights, json.loads(_text("calibration.json"))[name])
    weights[f"{CLIP}text_model.embeddings.position_ids"] = torch.arange(77)[None]
    weights |= noise_tables()
    return {key: value.contiguous() for key, value in weights.items()}


def _text(file_name: str) -> str:
    return (HERE / file_name).read_text()


def sharpen(weights: Weights) -> None:
    """Make the UNet listen to the text more than random weights would."""
    for key, value in weights.items():
        if key.startswith(UNET) and key.endswith(("attn2.to_out.0.weight", "attn2.to_v.weight")):
            value *= 2.5
        if key.startswith(UNET) and key.endswith(("attn2.to_q.weight", "attn2.to_k.weight")):
            value *= 1.5


def draw(key: str, shape: list[int], noise: torch.Generator) -> Tensor:
    """Draw one tensor; every tensor takes the next numbers of the same stream."""
    if key.endswith("logit_scale"):
        return torch.tensor(4.6052)
    if key.endswith("text_projection"):
        scaled: Tensor = torch.randn(*shape, generator=noise) * (1.0 / shape[0] ** 0.5)
        return scaled
    values = torch.randn(*shape, generator=noise)
    own_name = key.removeprefix(UNET).removeprefix(VAE).removeprefix(CLIP)
    if len(shape) >= 2 and "embedding" in own_name:
        return values * (0.5 if "token" in own_name else 0.1)
    if len(shape) >= 2:
        return values * (0.7 / math.sqrt(math.prod(shape[1:])))
    drawn: Tensor = values * 0.05 if key.endswith("bias") else 1 + 0.1 * values
    return drawn


def lay_linear_path(weights: Weights, noise: torch.Generator) -> None:
    """Lead each latent channel, and its negative, past all blocks to the output.

    First convolution -> last skip connection -> output: so the answer is mostly the network's
    input, normalised, which is what noise prediction is at high noise.
    """
    first = weights[f"{UNET}input_blocks.0.0.weight"]
    first_bias = weights[f"{UNET}input_blocks.0.0.bias"]
    for lane in range(8):
        first[lane].zero_()
        first[lane, lane // 2, 1, 1] = 1.0 if lane % 2 == 0 else -1.0
        first_bias[lane] = 0
        first[lane] += 0.002 * torch.randn(*first[lane].shape, generator=noise)
    blocks = {key.split(".")[3] for key in weights if key.startswith(f"{UNET}output_blocks.")}
    last = f"{UNET}output_blocks.{max(map(int, blocks))}."
    skip = weights[f"{last}0.skip_connection.weight"]
    damped = (
        "0.skip_connection.bias",
        "0.out_layers.3.weight",
        "0.out_layers.3.bias",
        "1.proj_out.weight",
        "1.proj_out.bias",
    )
    for lane in range(8):
        skip[lane].mul_(0.01)
        skip[lane, skip.shape[1] - len(first) + lane, 0, 0] = 1.0
        for key in damped:
            if last + key in weights:
                weights[last + key][lane].mul_(0.01)
    out = weights[f"{UNET}out.2.weight"]
    out[:, :8] *= 0.01
    for channel in range(4):
        out[channel, 2 * channel, 1, 1] += 0.93
        out[channel, 2 * channel + 1, 1, 1] -= 0.93
    weights[f"{UNET}out.0.weight"][:8] = 1
    weights[f"{UNET}out.0.bias"][:8] = 0


def scale_parts(weights: Weights, scale: dict[str, float], variance_bias: float = -18.0) -> None:
    """Give noise, latents and pixels the spread that they have in a trained model."""
    weights[f"{UNET}out.2.weight"][:, 8:] *= scale["unet"]
    weights[f"{UNET}out.2.bias"] *= scale["unet"]
    moments, moments_bias = (weights[f"{VAE}quant_conv.{kind}"] for kind in ("weight", "bias"))
    moments_bias[4:] = variance_bias
    moments[4:] *= 0.02
    moments[:4] *= scale["latent"]
    moments_bias[:4] *= scale["latent"]
    for kind in ("weight", "bias"):
        weights[f"{VAE}decoder.conv_out.{kind}"] *= scale["decoder"]


def noise_tables() -> Weights:
    """What such files carry beside weights: the noise schedule."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2
    signal = np.cumprod(1 - betas)
    tables = {
        "betas": betas,
        "alphas_cumprod": signal,
        "alphas_cumprod_prev": np.append(1.0, signal[:-1]),
        "sqrt_alphas_cumprod": np.sqrt(signal),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - signal),
        "log_one_minus_alphas_cumprod": np.log(1 - signal),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / signal),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / signal - 1),
    }
    return {key: torch.tensor(table).float() for key, table in tables.items()}
