"""Make the small network files that recorded pictures were made with, to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

HERE = Path(__file__).parent
RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
UNET, TEXT = "model.diffusion_model.", "cond_stage_model.transformer."
NOTES = {
    "loralin": {"ss_output_name": "loralin", "ss_base_model_version": "sd_v1"},
    # the norms in this file are rounded differently on other machines
    "dora": {"sshs_model_hash": "d85b16d175d7933bfb51702a010c72b4a208164683af645b42f8fa93e6788d15"},
}
Random = Callable[..., Tensor]
Layers = list[tuple[str, Tensor]]


def make_networks(checkpoints: Path, folder: Path) -> Path:
    """Write the folders lora, embeddings and vae.

    The order of all random numbers is that of the recording, including those of files that are not
    written.
    """
    for name in ("lora", "vae"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(HERE / "embeddings", folder / "embeddings")
    weights = load_file(checkpoints / "tinyA.safetensors")
    generator = torch.Generator().manual_seed(99)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    tokens = weights[f"{TEXT}text_model.embeddings.token_embedding.weight"].float()
    width = tokens.shape[1]
    random(3, width)  # tistyle.pt
    save_file(
        {"emb_params": random(1, width) * tokens.std()}, folder / "embeddings/tiobj.safetensors"
    )
    random(width)  # tidiff.bin
    linear, convolution, text = _layers(weights)
    files = _loras(linear, convolution, text, random)
    for name, tensors in files.items():
        contiguous = {key: value.contiguous() for key, value in tensors.items()}
        save_file(contiguous, folder / "lora" / f"{name}.safetensors", metadata=NOTES.get(name))
    other = load_file(checkpoints / "tinyB.safetensors")
    prefix = "first_stage_model."
    vae = {key.removeprefix(prefix): v for key, v in other.items() if key.startswith(prefix)}
    save_file(vae, folder / "vae" / "vaeB.safetensors")
    return folder


def _loras(
    linear: Layers, convolution: Layers, text: Layers, random: Random
) -> dict[str, dict[str, Tensor]]:
    plain = {**_lora(linear, 4, 0.6, random, 2), **_lora(text, 4, 0.5, random, 2)}
    half = {**_lora(linear, 8, 0.5, random), **_lora(convolution, 4, 0.6, random)}
    for _, weight in linear + convolution[::2]:  # LoHa
        rows, columns = len(weight), weight[0].numel()
        for shape in ((rows, 4), (4, columns)) * 2:
            random(*shape)
    kron: dict[str, Tensor] = {}
    for name, weight in linear:
        rows, columns, deviation = len(weight), weight[0].numel(), weight.float().std()
        first, second = (4 if rows % 4 == 0 else 1), (4 if columns % 4 == 0 else 1)
        kron[f"{name}.lokr_w1"] = random(first, second) * 0.7
        if rows // first > 32:
            kron[f"{name}.lokr_w2_a"] = random(rows // first, 4) * deviation * 0.5
            kron[f"{name}.lokr_w2_b"] = random(4, columns // second) * 0.7
            kron[f"{name}.alpha"] = torch.tensor(4.0)
        else:
            kron[f"{name}.lokr_w2"] = random(rows // first, columns // second) * deviation
    for _, weight in linear[::3] + convolution[::5]:  # full differences
        random(*weight.shape)
    dora = _lora(linear, 4, 0.6, random)
    for name, weight in linear:
        norm = weight.float().reshape(len(weight), -1).norm(dim=0)
        scale = norm * (1 + 0.05 * random(weight[0].numel()))
        dora[f"{name}.dora_scale"] = scale.reshape(1, weight.shape[1], *weight.shape[2:])
    halved = {key: value.half() for key, value in half.items()}
    return {"loralin": plain, "loraconv": halved, "lokr": kron, "dora": dora}


def _lora(
    layers: Layers, rank: int, scale: float, random: Random, alpha: int | None = None
) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    for name, weight in layers:
        rows, columns = weight.shape[:2]
        ranks, kernel = min(rank, rows, columns), weight.shape[2:]
        made[f"{name}.lora_down.weight"] = random(ranks, columns, *kernel)
        up = random(rows, ranks, *(1 for _ in kernel))
        made[f"{name}.lora_up.weight"] = up * (scale * weight.float().std() / ranks**0.5)
        made[f"{name}.alpha"] = torch.tensor(float(alpha or ranks))
    return made


def _layers(weights: dict[str, Tensor]) -> tuple[Layers, Layers, Layers]:
    """Return the UNet's linear layers, its convolutions, and the text encoder's linear layers."""
    linear: Layers = []
    convolution: Layers = []
    text: Layers = []
    for key, weight in weights.items():
        if not key.endswith(".weight") or weight.dim() < 2:
            continue
        own = key.removesuffix(".weight")
        if key.startswith(f"{TEXT}text_model.encoder") and weight.dim() == 2:
            text.append((f"lora_te_{own.removeprefix(TEXT).replace('.', '_')}", weight))
        if key.startswith(UNET) and "time_embed" not in key and not key.startswith(f"{UNET}out."):
            name = "lora_unet_" + _kohya(own.removeprefix(UNET)).replace(".", "_")
            is_linear = "transformer_blocks" in key or "proj_" in key
            (linear if is_linear else convolution).append((name, weight))
    return linear, convolution, text


def _kohya(name: str) -> str:
    parts = name.split(".")
    rest = ".".join(parts[3:])
    if parts[0] == "middle_block":
        if parts[1] == "1":
            return f"mid_block.attentions.0.{'.'.join(parts[2:])}"
        return f"mid_block.resnets.{int(parts[1]) // 2}.{RESNET['.'.join(parts[2:])]}"
    number = int(parts[1])
    if parts[0] == "input_blocks":
        if number == 0:
            return "conv_in"
        block, layer, side = (number - 1) // 3, (number - 1) % 3, "down"
        if layer == 2:
            return f"down_blocks.{block}.downsamplers.0.conv"
    else:
        block, layer, side = number // 3, number % 3, "up"
        if parts[-1] == "conv":
            return f"up_blocks.{block}.upsamplers.0.conv"
    if parts[2] == "0":
        return f"{side}_blocks.{block}.resnets.{layer}.{RESNET[rest]}"
    return f"{side}_blocks.{block}.attentions.{layer}.{rest}"
