"""What samplers are given: a denoiser, a source of noise, and a listener for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""``denoiser(x, level)``: guided prediction for the latents ``x`` [B, C, h, w].

For samplers in sigma space `level` is sigma (0-d float32 on the CPU), ``x = x0 + sigma * noise``
and the answer is x0. For samplers in timestep space `level` is the network's timestep (0-d, int64
or float32, on the CPU), ``x = sqrt(ᾱ) * x0 + sqrt(1 - ᾱ) * noise`` and the answer is the noise.
"""

PairDenoiser = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Like `Denoiser`, but answers (guided, unconditional); for samplers with ``needs_uncond``."""

NoiseSource = Callable[[Tensor, Tensor], Tensor]
"""``noise(sigma, sigma_next)``: standard normal float32 numbers of the latents' shape, on their
device.

Plain sources ignore the two levels; Brownian sources answer the normalised increment between them.
"""


class OnStep(Protocol):
    """Told after each step; raises to stop the sampler (`webui.errors.JobStopped`)."""

    def __call__(self, index: int, level: Tensor, x: Tensor, denoised: Tensor, /) -> None:
        """Look at a finished step.

        Args:
            index: number of the step, from 0.
            level: sigma (or timestep) that the step started from, 0-d on the CPU.
            x: [B, C, h, w] latents after the step.
            denoised: [B, C, h, w] prediction of x0 that the step used.
        """


def ignore(index: int, level: Tensor, x: Tensor, denoised: Tensor, /) -> None:
    """Do nothing with a step."""
