"""Random numbers for pictures: sources, a generator per picture, variations, resized seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from webui.sampling.philox import philox_normal

RandomSource = Literal["CPU", "GPU", "NV"]
CPU = torch.device("cpu")


class NormalStream(Protocol):
    """A sequence of standard normal numbers that starts from a seed."""

    def draw(self, shape: Sequence[int]) -> Tensor:
        """Draw the next numbers, float32, on the device the stream was opened for."""


class TorchStream:
    """PyTorch's generator on a device, its numbers moved to another."""

    def __init__(self, seed: int, generator_device: torch.device, device: torch.device) -> None:
        self.generator = torch.Generator(generator_device).manual_seed(seed)
        self.device = device

    def draw(self, shape: Sequence[int]) -> Tensor:
        """Draw the next numbers."""
        drawn = torch.randn(
            tuple(shape),
            generator=self.generator,
            device=self.generator.device,
            dtype=torch.float32,
        )
        return drawn.to(self.device)


class PhiloxStream:
    """The numbers of PyTorch's CUDA generator, computed on the CPU."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed = seed
        self.device = device
        self.offset = 0

    def draw(self, shape: Sequence[int]) -> Tensor:
        """Draw the next numbers."""
        size = torch.Size(shape)
        numbers = philox_normal(self.seed, self.offset, size.numel())
        self.offset += 1
        return torch.from_numpy(numbers).reshape(size).to(self.device)


def open_stream(source: RandomSource, seed: int, device: torch.device) -> NormalStream:
    """Start a sequence of random numbers.

    Args:
        source: ``CPU``: PyTorch's CPU generator; ``NV``: CUDA's numbers on any device; ``GPU``: the
            device's own generator if it is a CUDA device, else the CPU's (as A1111 does).
        seed: 0 upwards, up to 64 bits.
        device: where the numbers are to lie.
    """
    if source == "NV":
        return PhiloxStream(seed, device)
    own = source == "GPU" and device.type == "cuda"
    return TorchStream(seed, device if own else CPU, device)


def slerp(share: float, low: Tensor, high: Tensor) -> Tensor:
    """Interpolate between two noises along the sphere.

    Args:
        share: 0 gives `low`, 1 gives `high`.
        low, high: [C, h, w].
    Angles are taken per column, over the axis h, and for nearly parallel noises the weights of the
    linear fallback are swapped: variations of A1111 come out only that way.
    """
    low_unit = low / torch.linalg.vector_norm(low, dim=1, keepdim=True)
    high_unit = high / torch.linalg.vector_norm(high, dim=1, keepdim=True)
    dot = (low_unit * high_unit).sum(1)
    if dot.mean() > 0.9995:
        return low * share + high * (1 - share)
    angle = torch.acos(dot)
    low_weight, high_weight = ((1 - share) * angle).sin(), (share * angle).sin()
    return (low_weight.unsqueeze(1) * low + high_weight.unsqueeze(1) * high) / (
        angle.sin().unsqueeze(1)
    )


def paste_centred(small: Tensor, canvas: Tensor) -> Tensor:
    """Put one noise [C, h, w] into the middle of a copy of another, cutting what does not fit."""
    merged = canvas.clone()
    target, origin = [], []
    for inner, outer in zip(small.shape[1:], canvas.shape[1:], strict=True):
        shift = (outer - inner) // 2
        length = inner if shift >= 0 else inner + 2 * shift
        target.append(slice(max(shift, 0), max(shift, 0) + length))
        origin.append(slice(max(-shift, 0), max(-shift, 0) + length))
    merged[:, target[0], target[1]] = small[:, origin[0], origin[1]]
    return merged


@dataclass(frozen=True)
class NoiseSeeds:
    """What the noise of a batch depends on.

    Attributes:
        seeds: one per picture.
        subseeds: variation seeds, one per picture; a missing one counts as 0.
        subseed_strength: 0 (only `seeds`) to 1 (only `subseeds`).
        resize_from: (height, width) of a picture in pixels whose noise is to reappear; 0 or less:
            none.
        ensd: added to the seeds for all draws but the first ("eta noise seed delta").
    """

    seeds: tuple[int, ...]
    subseeds: tuple[int, ...] = ()
    subseed_strength: float = 0.0
    resize_from: tuple[int, int] = (0, 0)
    ensd: int = 0


class ImageNoise:
    """Noise for a batch in which each picture has its own generator; a `protocols.NoiseSource`.

    The first draw is the initial noise, with variation and resizing; each further draw continues
    every picture's generator. So picture k of a batch gets what it would get alone.

    Args:
        shape: (C, h, w) of one picture's latents.
        seeds: what to seed with.
        source: which random numbers.
        device: where the noise is to lie.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        seeds: NoiseSeeds,
        *,
        source: RandomSource = "CPU",
        device: torch.device = CPU,
    ) -> None:
        self.shape = shape
        self.seeds = seeds
        self.source = source
        self.device = device
        self._streams = [self._open(seed) for seed in seeds.seeds]
        self._is_first = True

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:  # noqa: ARG002
        """Draw noise for a step, [B, C, h, w]."""
        return self.draw()

    def draw(self) -> Tensor:
        """Draw noise [B, C, h, w] float32: first the initial noise, then fresh numbers."""
        if not self._is_first:
            return torch.stack([stream.draw(self.shape) for stream in self._streams])
        self._is_first = False
        noise = torch.stack([self._initial(index) for index in range(len(self._streams))])
        if self.seeds.ensd:
            self._streams = [self._open(seed + self.seeds.ensd) for seed in self.seeds.seeds]
        return noise

    def _open(self, seed: int) -> NormalStream:
        return open_stream(self.source, seed, self.device)

    def _initial(self, index: int) -> Tensor:
        stream = self._streams[index]
        height, width = self.seeds.resize_from
        shape = self.shape
        if height > 0 and width > 0:
            shape = (shape[0], height // 8, width // 8)
        is_resized = shape != self.shape
        noise = (self._open(self.seeds.seeds[index]) if is_resized else stream).draw(shape)
        if self.seeds.subseed_strength:
            subseeds = self.seeds.subseeds
            subseed = subseeds[index] if index < len(subseeds) else 0
            noise = slerp(self.seeds.subseed_strength, noise, self._open(subseed).draw(shape))
        return paste_centred(noise, stream.draw(self.shape)) if is_resized else noise
