"""A small classifier that names what a picture shows, trained on the emoji alone.

Why a classifier and not the nearest training picture: the distance between pictures is ruled by
where edges lie and by large areas of colour, so a good cat that sits two pixels to the left is
"nearer" to a blurred orange disc than to the cat of the training set. The classifier sees every
emoji shifted, scaled, blurred, noised and on every ground, and so learns the shape, as eyes do.
It never sees a picture made by the model, so it cannot learn the model's habits.
"""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.bundled_model.latents import pictures_tensor
from tools.bundled_model.scenes import GROUNDS, HUES, Scene, SceneMaker

INPUT = 48
BATCH = 64
VARIANTS = 10
EPOCHS = 14


def classifier(classes: int) -> nn.Sequential:
    """A convolutional network: [B, 3, 48, 48] to [B, classes] logits."""
    widths = (3, 32, 64, 128, 192)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(192 * 9, classes))


def crop(pictures: Tensor, left: int, top: int, side: int) -> Tensor:
    """Cut a square out of [B, 3, 128, 128] pictures and scale it to the classifier's input."""
    square = pictures[..., top : top + side, left : left + side]
    return functional.interpolate(square, size=(INPUT, INPUT), mode="area")


def spoil(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Shift, scale, blur and noise a batch at random, as weak pictures are.

    Args:
        pictures: [B, 3, 48, 48] float32, -1 to 1.
    """
    count = len(pictures)
    change = torch.rand(count, 3, generator=generator) * 2 - 1
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + 0.1 * change[:, 0]
    theta[:, :, 2] = 0.1 * change[:, 1:]
    grid = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
    moved = functional.grid_sample(
        pictures, grid, padding_mode="border", align_corners=False, mode="bilinear"
    )
    low = functional.interpolate(moved, scale_factor=1 / 3, mode="area")
    low = functional.interpolate(low, size=(INPUT, INPUT), mode="bilinear")
    blur = torch.rand(count, 1, 1, 1, generator=generator)
    noise = 0.15 * torch.rand(count, 1, 1, 1, generator=generator)
    spoiled = torch.lerp(moved, low, blur)
    return spoiled + noise * torch.randn(spoiled.shape, generator=generator)


def training_scenes(maker: SceneMaker, seed: int) -> list[tuple[Scene, int]]:
    """Scenes of one thing each with the number of its concept, in random order."""
    chooser = random.Random(seed)
    scenes = []
    for number, concept in enumerate(maker.concepts):
        for style in maker.styles(concept):
            for variant in range(VARIANTS):
                ground = "white" if variant < VARIANTS // 2 else chooser.choice(GROUNDS)
                if variant % 3 == 2 and concept.paintable:
                    hue = chooser.choice(sorted(HUES))
                    scenes.append((maker.painted(concept, style, ground, hue), number))
                else:
                    scenes.append((maker.single(concept, style, ground), number))
    chooser.shuffle(scenes)
    return scenes


def _small_pictures(scenes: Sequence[Scene], sprites: Path) -> Tensor:
    parts = [
        crop(pictures_tensor(list(scenes[start : start + BATCH]), sprites), 0, 0, 128).half()
        for start in range(0, len(scenes), BATCH)
    ]
    return torch.cat(parts)


def train_judge(sprites: Path, seed: int = 0) -> nn.Sequential:
    """Train the classifier; takes some minutes."""
    torch.manual_seed(seed)
    maker = SceneMaker(sprites, seed)
    scenes = training_scenes(maker, seed)
    pictures = _small_pictures([scene for scene, _ in scenes], sprites)
    labels = torch.tensor([number for _, number in scenes])
    network = classifier(len(maker.concepts)).to(memory_format=torch.channels_last)
    steps = EPOCHS * (len(labels) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(len(labels), (BATCH,), generator=generator)
        batch = spoil(pictures[chosen].float(), generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(batch.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=0.05)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def best_guesses(network: nn.Module, pictures: Tensor, count: int = 5) -> list[list[int]]:
    """The most likely concepts of each picture, best first.

    Args:
        pictures: [B, 3, 48, 48] float32, -1 to 1, as `crop` returns.
    """
    guesses: list[list[int]] = network(pictures).topk(count).indices.tolist()
    return guesses
