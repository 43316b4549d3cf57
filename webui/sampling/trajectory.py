"""Which noise levels a pass walks through, and the latents it starts from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from webui.sampling.denoiser import Space
from webui.sampling.noise_schedule import NoiseSchedule


@dataclass(frozen=True)
class Span:
    """What samplers that place their own steps go by.

    Attributes:
        low, high: ends, as sigmas above 0.
        steps: how many model calls to spend, for those that do not adapt.
    """

    low: float
    high: float
    steps: int


@dataclass(frozen=True)
class Trajectory:
    """The way of one pass from noise to picture; made by `planning`.

    Attributes:
        space: what `levels` are.
        levels: sigmas [n + 1] descending, or timesteps [n] ascending; on the CPU.
        noise_schedule: what the pass's parameterization must be built on.
        steps: steps of the pass, as shown to the user and used for "share of steps done"; 0 if
            empty.
        span: for samplers that place their steps themselves.
        brownian_range: lowest and highest sigma of the whole schedule, for Brownian trees.
        start_timestep: the timestep that the picture is noised to, in timestep space.
        is_partial: the pass starts from a picture, not from pure noise.
    """

    space: Space
    levels: Tensor
    noise_schedule: NoiseSchedule
    steps: int
    span: Span = Span(0.0, 0.0, 0)
    brownian_range: tuple[float, float] = (0.0, 0.0)
    start_timestep: int = 0
    is_partial: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing to do: the latents are to be returned as they are (hires with denoising 0)."""
        return self.steps == 0

    @property
    def alphas_cumprod(self) -> Tensor:
        """Give the [T] ᾱ of the noise schedule."""
        return self.noise_schedule.alphas_cumprod

    def completed_ratio(self, level: Tensor) -> float:
        """Tell how far the noise has gone, 0 at the noisiest timestep to almost 1; for refiners.

        Args:
            level: sigma or timestep that a model call is made for, 0-d.
        """
        schedule = self.noise_schedule
        if self.space == "timestep":
            timestep = int(level)
        else:
            nearest = int((schedule.sigmas - level).abs().argmin())
            timestep = nearest * schedule.stride + schedule.stride - 1
        total = len(schedule.sigmas) * schedule.stride
        return (total - 1 - timestep) / total

    def start(self, noise: Tensor, *, sgm_noise_multiplier: bool = False) -> Tensor:
        """Scale the initial noise of a pass that starts from nothing.

        Args:
            noise: [B, C, h, w] standard normal.
            sgm_noise_multiplier: scale by sqrt(1 + sigma²) instead of sigma.
        Returns: latents to begin with, same shape.
        """
        if self.space == "timestep":
            return noise
        sigma = self.levels[0]
        return noise * ((1 + sigma**2) ** 0.5 if sgm_noise_multiplier else sigma)

    def start_from(self, latents: Tensor, noise: Tensor, *, extra_noise: float = 0.0) -> Tensor:
        """Noise a picture's latents to the level where the pass begins.

        Args:
            latents: [B, C, h, w], scaled as the network was trained.
            noise: [B, C, h, w] standard normal (times the initial noise multiplier, if any).
            extra_noise: share of the same noise added on top.
        Returns: latents to begin with; the latents themselves if the pass is empty.
        """
        if self.is_empty:
            return latents
        if self.space == "sigma":
            return latents + noise * (float(self.levels[0]) + extra_noise)
        alpha = float(self.alphas_cumprod[self.start_timestep])
        root = math.sqrt(alpha)
        return latents * root + noise * (math.sqrt(1 - alpha) + extra_noise * root)
