"""Draw scenes and keep their latents on disk, so that training only reads numbers."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from tools.bundled_model import vae
from tools.bundled_model.scenes import Part, Scene, SceneMaker, draw_scene

SHARD = 512
BATCH = 16


@dataclass
class LatentSet:
    """Latents and what they show.

    Attributes:
        latents: [N, 4, 16, 16] float16, mean 0 and variance 1 per channel.
        scenes: N descriptions.
    """

    latents: Tensor
    scenes: list[Scene]


def pictures_tensor(scenes: list[Scene], sprites: Path) -> Tensor:
    """Draw scenes: [B, 3, 128, 128] float32, -1 to 1, channels last."""
    drawn = np.stack([np.asarray(draw_scene(scene, sprites)) for scene in scenes])
    pictures = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pictures.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def encode_scenes(network: AutoencoderKL, scenes: list[Scene], sprites: Path) -> Tensor:
    """Draw and encode scenes: [B, 4, 16, 16] float16."""
    parts = []
    for start in range(0, len(scenes), BATCH):
        pictures = pictures_tensor(scenes[start : start + BATCH], sprites)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts.append(vae.encode(network, pictures).half())
    return torch.cat(parts).contiguous()


def write_shards(
    network: AutoencoderKL,
    sprites: Path,
    folder: Path,
    numbers: range,
    tier_weights: tuple[float, float, float],
    *,
    size: int = SHARD,
) -> None:
    """Write shards of random scenes; those that exist are kept.

    Args:
        numbers: which shards; a shard's number is the seed of its scenes.
        size: scenes of a shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        path = folder / f"{number:05d}.pt"
        if path.exists():
            continue
        maker = SceneMaker(sprites, number)
        scenes = [maker.any(tier_weights) for _ in range(size)]
        latents = encode_scenes(network, scenes, sprites)
        unfinished = path.with_suffix(f".{os.getpid()}")
        torch.save({"latents": latents, "scenes": scenes}, unfinished)
        unfinished.replace(path)


def read_shards(folder: Path, known: int = 0) -> LatentSet:
    """Read the finished shards from number `known` (in the sorted list) on."""
    parts, scenes = [torch.zeros(0, 4, 16, 16, dtype=torch.float16)], []
    with torch.serialization.safe_globals([Scene, Part]):
        for path in sorted(folder.glob("*.pt"))[known:]:
            shard = torch.load(path, weights_only=True)
            parts.append(shard["latents"])
            scenes.extend(shard["scenes"])
    return LatentSet(torch.cat(parts), scenes)
