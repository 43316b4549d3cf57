"""Samplers in timestep space (DDIM and its kin), where latents keep unit variance.

All follow one contract. `x` is [B, C, h, w] float32, ``sqrt(ᾱ) * x0 + sqrt(1 - ᾱ) * noise``;
`timesteps` is [n] int64 on the CPU, ascending; the walk goes from the last entry to the first,
which is only the end of the last step and never evaluated; `alphas_cumprod` is the schedule's [T]
ᾱ. The denoiser answers the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from webui.sampling.protocols import Denoiser, NoiseSource, OnStep, PairDenoiser, ignore


@dataclass(frozen=True)
class Move:
    """One step from ᾱ to the next lower timestep's ᾱ, as plain numbers.

    Attributes:
        timestep: 0-d int64, where the step starts.
        timestep_next: 0-d int64, where it ends.
        alpha: ᾱ at the start.
        alpha_next: ᾱ at the end.
        spread: standard deviation of the fresh noise (DDIM's sigma).
    """

    timestep: Tensor
    timestep_next: Tensor
    alpha: float
    alpha_next: float
    spread: float

    def denoised(self, x: Tensor, noise_pred: Tensor) -> Tensor:
        """Give x0 (Song et al. 2021, eq. 9)."""
        return (x - noise_pred * math.sqrt(1 - self.alpha)) * (1 / math.sqrt(self.alpha))

    def advance(self, denoised: Tensor, direction: Tensor) -> Tensor:
        """Noise x0 along a direction to the end of the step (eq. 12 without the random term)."""
        weight = math.sqrt(max(1 - self.alpha_next - self.spread**2, 0.0))
        return denoised * math.sqrt(self.alpha_next) + direction * weight


def moves(timesteps: Tensor, alphas_cumprod: Tensor, eta: float) -> Iterator[Move]:
    """Walk from the highest timestep down to the lowest, in ``len(timesteps) - 1`` moves.

    Args:
        eta: share of fresh noise, 0 (deterministic) to 1 (DDPM).
    """
    alphas = alphas_cumprod[timesteps].double().tolist()
    for i in range(len(timesteps) - 1, 0, -1):
        alpha, alpha_next = alphas[i], alphas[i - 1]
        variance = (1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)
        yield Move(timesteps[i], timesteps[i - 1], alpha, alpha_next, eta * math.sqrt(variance))


def sample_ddim(
    denoiser: Denoiser,
    x: Tensor,
    timesteps: Tensor,
    *,
    alphas_cumprod: Tensor,
    noise: NoiseSource,
    eta: float = 0.0,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take DDIM steps; the result ends at the ᾱ of the lowest timestep, not at 1, as in A1111.

    Args:
        eta: share of fresh noise, 0 (deterministic) to 1.
    Source: Song et al. 2021 (arXiv:2010.02502), eq. 12.
    """
    for index, move in enumerate(moves(timesteps, alphas_cumprod, eta)):
        noise_pred = denoiser(x, move.timestep)
        denoised = move.denoised(x, noise_pred)
        x = move.advance(denoised, noise_pred)
        if eta:
            x = x + noise(move.timestep, move.timestep_next) * move.spread
        on_step(index, move.timestep, x, denoised)
    return x


def sample_ddim_cfgpp(
    denoiser: PairDenoiser,
    x: Tensor,
    timesteps: Tensor,
    *,
    alphas_cumprod: Tensor,
    noise: NoiseSource,
    eta: float = 0.0,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take DDIM steps that noise x0 again along the unconditional prediction.

    Args:
        denoiser: answers (guided, unconditional) noise; its guidance scale is that of the request
            over 12.5 (`Sampler.cfg_scale_factor`).
        eta: share of fresh noise, 0 to 1.
    Source: Chung et al. 2024 (arXiv:2406.08070), Alg. 1.
    """
    for index, move in enumerate(moves(timesteps, alphas_cumprod, eta)):
        guided, uncond = denoiser(x, move.timestep)
        denoised = move.denoised(x, guided)
        x = move.advance(denoised, uncond)
        if eta:
            x = x + noise(move.timestep, move.timestep_next) * move.spread
        on_step(index, move.timestep, x, denoised)
    return x


ADAMS_BASHFORTH = (
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the newest and the older noise predictions, for two, three and four of them."""


def sample_plms(
    denoiser: Denoiser,
    x: Tensor,
    timesteps: Tensor,
    *,
    alphas_cumprod: Tensor,
    noise: NoiseSource,  # noqa: ARG001 - the contract of all samplers
    on_step: OnStep = ignore,
) -> Tensor:
    """Take pseudo linear multistep steps, beginning with a pseudo improved Euler step.

    Source: Liu et al. 2022 (arXiv:2202.09778), eq. 12 and Alg. 2, after the version of latent
        diffusion.
    """
    history: list[Tensor] = []
    for index, move in enumerate(moves(timesteps, alphas_cumprod, 0.0)):
        noise_pred = denoiser(x, move.timestep)
        history = [noise_pred, *history[:3]]
        if index == 0:
            x_next = move.advance(move.denoised(x, noise_pred), noise_pred)
            combined = (noise_pred + denoiser(x_next, move.timestep_next)) / 2
        else:
            weights = ADAMS_BASHFORTH[len(history) - 2]
            combined = torch.zeros_like(x)
            for prediction, weight in zip(history, weights, strict=True):
                combined = combined + prediction * weight
        denoised = move.denoised(x, combined)
        x = move.advance(denoised, combined)
        on_step(index, move.timestep, x, denoised)
    return x
