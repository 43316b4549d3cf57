"""From what a network predicts (noise, velocity) to what samplers ask for.

A `Parameterization` is chosen once per pass by `parameterize`; the engine calls its three methods
around each network call. Guidance happens outside, on the converted predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from webui.sampling.noise_schedule import NoiseSchedule

Prediction = Literal["eps", "v"]
Space = Literal["sigma", "timestep"]


class Parameterization(Protocol):
    """How one network call is prepared and read."""

    def network_input(self, x: Tensor, level: Tensor) -> Tensor:
        """Scale latents [B, C, h, w] to the unit variance that the network was trained on."""

    def timestep(self, level: Tensor) -> Tensor:
        """Give the timestep for the network, 0-d on the CPU; the caller expands it to [B]."""

    def convert(self, x: Tensor, output: Tensor, level: Tensor) -> Tensor:
        """Turn the network's output into what `protocols.Denoiser` promises.

        Args:
            x: [B, C, h, w] latents as the sampler gave them.
            output: [B, C, h, w], or [n, B, C, h, w] for n branches.
            level: sigma or timestep, 0-d.
        Returns: x0 (sigma space) or noise (timestep space), shape of `output`.
        """


@dataclass(frozen=True)
class EpsInSigma:
    """Noise prediction for samplers in sigma space: x0 = x - sigma * eps.

    Source: Karras et al. 2022 (arXiv:2206.00364), table 1, column VP.
    """

    schedule: NoiseSchedule

    def network_input(self, x: Tensor, level: Tensor) -> Tensor:
        """Divide by sqrt(sigma² + 1)."""
        return x * (1 / (level**2 + 1) ** 0.5)

    def timestep(self, level: Tensor) -> Tensor:
        """Look sigma up in the model's schedule."""
        return self.schedule.sigma_to_t(level)

    def convert(self, x: Tensor, output: Tensor, level: Tensor) -> Tensor:
        """Give x0."""
        return x - output * level


@dataclass(frozen=True)
class VelocityInSigma(EpsInSigma):
    """Velocity prediction for samplers in sigma space.

    Source: Salimans & Ho 2022 (arXiv:2202.00512), appendix D, written in sigma.
    """

    def convert(self, x: Tensor, output: Tensor, level: Tensor) -> Tensor:
        """Give x0 = x / (sigma² + 1) - v * sigma / sqrt(sigma² + 1)."""
        total = level**2 + 1
        return x * (1 / total) - output * (level / total**0.5)


@dataclass(frozen=True)
class ConsistencyInSigma:
    """Latent consistency models: x0 with the boundary condition at the cleanest level.

    Args:
        inner: converts the network's output to x0 over the distilled schedule.
    Source: Luo et al. 2023 (arXiv:2310.04378), eq. 9; sigma_data 0.5, timesteps scaled by 10.
    """

    inner: EpsInSigma

    def network_input(self, x: Tensor, level: Tensor) -> Tensor:
        """Divide by sqrt(sigma² + 1)."""
        return self.inner.network_input(x, level)

    def timestep(self, level: Tensor) -> Tensor:
        """Give the nearest timestep that the model was distilled on."""
        return self.inner.timestep(level)

    def convert(self, x: Tensor, output: Tensor, level: Tensor) -> Tensor:
        """Mix x0 with x; the share of x vanishes away from timestep 0."""
        scaled = self.timestep(level) * 10.0
        share = 0.25 / (scaled**2 + 0.25)
        weight = scaled / (scaled**2 + 0.25) ** 0.5
        return self.inner.convert(x, output, level) * weight + x * share


@dataclass(frozen=True)
class EpsInTimestep:
    """Noise prediction for samplers in timestep space: nothing to convert."""

    schedule: NoiseSchedule

    def network_input(self, x: Tensor, level: Tensor) -> Tensor:  # noqa: ARG002 - the protocol's
        """Give x, which has unit variance already."""
        return x

    def timestep(self, level: Tensor) -> Tensor:
        """Give the level, which is a timestep already."""
        return level

    def convert(self, x: Tensor, output: Tensor, level: Tensor) -> Tensor:  # noqa: ARG002
        """Give the noise."""
        return output


@dataclass(frozen=True)
class VelocityInTimestep(EpsInTimestep):
    """Velocity prediction for samplers in timestep space: eps = sqrt(ᾱ) v + sqrt(1 - ᾱ) x."""

    def convert(self, x: Tensor, output: Tensor, level: Tensor) -> Tensor:
        """Give the noise; a fractional timestep is cut to the whole number below."""
        alpha = self.schedule.alphas_cumprod[level.to(torch.int64)].float()
        return output * alpha.sqrt() + x * (1 - alpha).sqrt()


def parameterize(
    prediction: Prediction, space: Space, schedule: NoiseSchedule, *, consistency: bool = False
) -> Parameterization:
    """Choose the conversion for one pass.

    Args:
        prediction: what the network answers.
        space: where the sampler works.
        schedule: the pass's noise schedule (`Trajectory.noise_schedule`).
        consistency: the sampler is made for consistency models (LCM).
    """
    if space == "timestep":
        return (EpsInTimestep if prediction == "eps" else VelocityInTimestep)(schedule)
    inner = (EpsInSigma if prediction == "eps" else VelocityInSigma)(schedule)
    return ConsistencyInSigma(inner) if consistency else inner
