"""The noise levels that a model was trained on, and the way between sigmas and timesteps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TERMINAL_ALPHA = 4.8973451890853435e-08
"""Stands in for zero as the last ᾱ of a zero-terminal-SNR schedule, so that sigma stays finite."""


@dataclass(frozen=True)
class NoiseSchedule:
    """A discrete noise schedule.

    Attributes:
        alphas_cumprod: [T] float32 (float16 if downcast), ᾱ by timestep, descending.
        sigmas: [T] float32 on the CPU, ascending, sqrt((1 - ᾱ) / ᾱ).
        log_sigmas: [T] float32, natural logarithm of `sigmas`.
        stride: the network's timesteps per entry; 1 but for distilled schedules.
        quantize: round the timesteps that the network sees to whole numbers.
    """

    alphas_cumprod: Tensor
    sigmas: Tensor
    log_sigmas: Tensor
    stride: int = 1
    quantize: bool = False

    @property
    def sigma_min(self) -> float:
        """The lowest trained noise level."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The highest trained noise level."""
        return float(self.sigmas[-1])

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        """Turn sigmas of any shape into timesteps, linear in log sigma and clamped to the schedule.

        Returns: float32 of the same shape; whole numbers if `quantize` or if the schedule is
            distilled.
        """
        log_sigma = sigma.log()
        if self.quantize or self.stride > 1:
            distance = (log_sigma.unsqueeze(-1) - self.log_sigmas).abs()
            return (distance.argmin(dim=-1) * self.stride + (self.stride - 1)).float()
        count = len(self.sigmas)
        low = torch.searchsorted(self.log_sigmas, log_sigma, right=True) - 1
        low = low.clamp(0, count - 2)
        low_log, high_log = self.log_sigmas[low], self.log_sigmas[low + 1]
        share = ((low_log - log_sigma) / (low_log - high_log)).clamp(0, 1)
        return (1 - share) * low + share * (low + 1)

    def t_to_sigma(self, timestep: Tensor) -> Tensor:
        """Turn timesteps of any shape into sigmas, linear in log sigma; float32, same shape."""
        position = (timestep.float() - (self.stride - 1)) / self.stride
        position = position.clamp(0, len(self.sigmas) - 1)
        low, high, share = position.floor().long(), position.ceil().long(), position.frac()
        return ((1 - share) * self.log_sigmas[low] + share * self.log_sigmas[high]).exp()

    def distilled(self, entries: int = 50) -> NoiseSchedule:
        """Keep every T/entries-th level, counted from the noisiest, as consistency models do."""
        stride = len(self.sigmas) // entries
        return from_alphas(self.alphas_cumprod[stride - 1 :: stride], stride=stride)


def from_alphas(
    alphas_cumprod: Tensor, *, stride: int = 1, quantize: bool = False
) -> NoiseSchedule:
    """Tabulate a schedule.

    Args:
        alphas_cumprod: [T] ᾱ, descending; in float16 the table is computed in float16, as A1111's
            "downcast alphas" does.
        stride: the network's timesteps per entry.
        quantize: round the network's timesteps.
    """
    alphas = alphas_cumprod.detach().cpu()
    sigmas = ((1 - alphas) / alphas) ** 0.5
    return NoiseSchedule(alphas, sigmas.float(), sigmas.log().float(), stride, quantize)


def scaled_linear_alphas(
    start: float = 0.00085, end: float = 0.012, timesteps: int = 1000
) -> Tensor:
    """Compute Stable Diffusion's ᾱ: betas linear in their square root.

    Returns: [timesteps] float32.
    Source: Rombach et al. 2022 (arXiv:2112.10752), "linear" schedule of latent diffusion.
    """
    betas = torch.linspace(start**0.5, end**0.5, timesteps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """Rescale ᾱ so that the last timestep is (almost) pure noise; same shape and dtype.

    Source: Lin et al. 2023 (arXiv:2305.08891), Alg. 1; the last value is `TERMINAL_ALPHA`, not 0.
    """
    root = alphas_cumprod.sqrt()
    first, last = root[0].clone(), root[-1].clone()
    rescaled = ((root - last) * (first / (first - last))) ** 2
    rescaled[-1] = TERMINAL_ALPHA
    return rescaled


def model_schedule(
    alphas_cumprod: Tensor,
    *,
    zero_terminal: bool = False,
    downcast: bool = False,
    quantize: bool = False,
) -> NoiseSchedule:
    """Apply the options that change a model's own schedule.

    Args:
        alphas_cumprod: [T] float32, the model's ᾱ.
        zero_terminal: rescale to zero terminal SNR.
        downcast: round ᾱ to float16 first (repeats pictures of old half-precision set-ups).
        quantize: round the network's timesteps.
    """
    alphas = alphas_cumprod.half() if downcast else alphas_cumprod
    if zero_terminal:
        alphas = zero_terminal_snr(alphas)
    return from_alphas(alphas, quantize=quantize)
