"""Samplers that step along the probability-flow ODE, with or without fresh noise.

All follow one contract. `x` is [B, C, h, w] float32, standard normal times ``sigmas[0]`` (plus the
picture, if there is one); `sigmas` is [steps + 1] float32 on the CPU, descending, the last one 0;
the denoised latents are returned. `on_step` may raise `webui.errors.JobStopped`, which passes
through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from webui.sampling.protocols import Denoiser, NoiseSource, OnStep, ignore


def to_derivative(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """Give dx/dsigma of the probability-flow ODE (Karras et al. 2022, eq. 4)."""
    return (x - denoised) / sigma


def ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Split a step into a deterministic part down to a lower level and fresh noise back up.

    Args:
        sigma, sigma_next: 0-d, where the step starts and ends.
        eta: share of fresh noise, 0 (none) to 1.
    Returns: the level to step down to, and the noise to add; their squares sum to sigma_next².
    """
    if not eta:
        return sigma_next, torch.zeros_like(sigma_next)
    variance = sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2
    up = torch.minimum(sigma_next, eta * variance**0.5)
    return (sigma_next**2 - up**2) ** 0.5, up


def sample_euler_ancestral(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    eta: float = 1.0,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take ancestral Euler steps.

    Args:
        eta: share of fresh noise per step, 0 (plain Euler) to 1.
    Source: Karras et al. 2022 (arXiv:2206.00364), Alg. 2 with ancestral noise.
    """
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        down, up = ancestral_step(sigmas[i], sigmas[i + 1], eta)
        x = x + to_derivative(x, sigmas[i], denoised) * (down - sigmas[i])
        if sigmas[i + 1] > 0 and eta:
            x = x + noise(sigmas[i], sigmas[i + 1]) * up
        on_step(i, sigmas[i], x, denoised)
    return x


@dataclass(frozen=True)
class Churn:
    """Noise added before each step and removed by it.

    Attributes:
        s_churn: amount over the whole run, 0 (none) upwards.
        s_tmin, s_tmax: only at sigmas within these bounds, both included.
        s_noise: standard deviation of the noise, 1 for what theory asks.
    Source: Karras et al. 2022 (arXiv:2206.00364), Alg. 2.
    """

    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0

    def raise_level(
        self, x: Tensor, sigma: Tensor, noise: NoiseSource, steps: int
    ) -> tuple[Tensor, Tensor]:
        """Give the noisier latents and their sigma.

        Noise is drawn at each step, also outside of the bounds, so that the bounds do not change
        which numbers later steps get.
        """
        if self.s_churn <= 0:
            return x, sigma
        fresh = noise(sigma, sigma)
        if not self.s_tmin <= sigma <= self.s_tmax:
            return x, sigma
        raised = sigma * (min(self.s_churn / steps, math.sqrt(2) - 1) + 1)
        return x + fresh * (self.s_noise * (raised**2 - sigma**2) ** 0.5), raised


NO_CHURN = Churn()


def sample_euler(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    churn: Churn = NO_CHURN,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take Euler steps.

    Source: Karras et al. 2022 (arXiv:2206.00364), Alg. 2 without its second-order correction.
    """
    steps = len(sigmas) - 1
    for i in range(steps):
        x, sigma = churn.raise_level(x, sigmas[i], noise, steps)
        denoised = denoiser(x, sigma)
        x = x + to_derivative(x, sigma, denoised) * (sigmas[i + 1] - sigma)
        on_step(i, sigmas[i], x, denoised)
    return x


def sample_heun(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    churn: Churn = NO_CHURN,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take Heun steps: the mean of the slopes at both ends (one model call for the last step).

    Source: Karras et al. 2022 (arXiv:2206.00364), Alg. 2.
    """
    steps = len(sigmas) - 1
    for i in range(steps):
        x, sigma = churn.raise_level(x, sigmas[i], noise, steps)
        denoised = denoiser(x, sigma)
        x = heun_step(denoiser, x, denoised, sigma, sigmas[i + 1])
        on_step(i, sigmas[i], x, denoised)
    return x


def heun_step(
    denoiser: Denoiser, x: Tensor, denoised: Tensor, sigma: Tensor, sigma_next: Tensor
) -> Tensor:
    """Go from sigma to sigma_next by Heun's rule, or by Euler's if sigma_next is 0."""
    slope = to_derivative(x, sigma, denoised)
    step = sigma_next - sigma
    x_euler = x + slope * step
    if sigma_next == 0:
        return x_euler
    slope_next = to_derivative(x_euler, sigma_next, denoiser(x_euler, sigma_next))
    return x + (slope + slope_next) / 2 * step


def midpoint_step(
    denoiser: Denoiser, x: Tensor, denoised: Tensor, sigma: Tensor, sigma_next: Tensor
) -> Tensor:
    """Go from sigma to sigma_next with the slope at their geometric mean; by Euler's rule to 0."""
    slope = to_derivative(x, sigma, denoised)
    if sigma_next == 0:
        return x + slope * (sigma_next - sigma)
    middle = sigma.log().lerp(sigma_next.log(), 0.5).exp()
    x_middle = x + slope * (middle - sigma)
    slope = to_derivative(x_middle, middle, denoiser(x_middle, middle))
    return x + slope * (sigma_next - sigma)


def sample_dpm_2(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    churn: Churn = NO_CHURN,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take midpoint steps in log sigma (two model calls; one for the last step).

    Source: Karras et al. 2022 (arXiv:2206.00364), Alg. 2, with the update of DPM-Solver-2
    (Lu et al. 2022, arXiv:2206.00927, Alg. 1).
    """
    steps = len(sigmas) - 1
    for i in range(steps):
        x, sigma = churn.raise_level(x, sigmas[i], noise, steps)
        denoised = denoiser(x, sigma)
        x = midpoint_step(denoiser, x, denoised, sigma, sigmas[i + 1])
        on_step(i, sigmas[i], x, denoised)
    return x


def sample_dpm_2_ancestral(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    eta: float = 1.0,
    s_noise: float = 1.0,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take midpoint steps to a lower level and add noise back up to the next.

    Args:
        eta: share of fresh noise per step, 0 to 1.
        s_noise: standard deviation of the fresh noise.
    Source: as `sample_dpm_2`, with ancestral noise.
    """
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        down, up = ancestral_step(sigmas[i], sigmas[i + 1], eta)
        x = midpoint_step(denoiser, x, denoised, sigmas[i], down)
        if down > 0 and eta:
            x = x + noise(sigmas[i], sigmas[i + 1]) * (s_noise * up)
        on_step(i, sigmas[i], x, denoised)
    return x


def adams_bashforth_weights(sigmas: Tensor, index: int, order: int) -> list[float]:
    """Integrate over step `index` the polynomial through the last `order` slopes.

    Returns: the weight of each slope, the newest first.
    Source: Lagrange's basis polynomials; two-point Gauss-Legendre is exact up to degree 3.
    """
    points = [float(sigmas[index - k]) for k in range(order)]
    start, end = points[0], float(sigmas[index + 1])
    middle, half = (start + end) / 2, (end - start) / 2
    nodes = (middle - half / math.sqrt(3), middle + half / math.sqrt(3))

    def basis(k: int, at: float) -> float:
        others = [p for j, p in enumerate(points) if j != k]
        return math.prod((at - p) / (points[k] - p) for p in others)

    return [half * sum(basis(k, node) for node in nodes) for k in range(order)]


def sample_lms(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,  # noqa: ARG001 - the contract of all samplers
    order: int = 4,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take linear multistep (Adams-Bashforth) steps over uneven sigmas.

    Args:
        order: slopes that a step looks back on, 1 to 4.
    Source: Liu et al. 2022 (arXiv:2202.09778), linear multistep without its pseudo steps.
    """
    slopes: list[Tensor] = []
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        slopes = [to_derivative(x, sigmas[i], denoised), *slopes[: order - 1]]
        weights = adams_bashforth_weights(sigmas, i, len(slopes))
        for slope, weight in zip(slopes, weights, strict=True):
            x = x + slope * weight
        on_step(i, sigmas[i], x, denoised)
    return x


def sample_lcm(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep = ignore,
) -> Tensor:
    """Jump to x0 and noise it again to the next level, as consistency models are sampled.

    Source: Luo et al. 2023 (arXiv:2310.04378), Alg. 3.
    """
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        x = denoised
        if sigmas[i + 1] > 0:
            x = x + noise(sigmas[i], sigmas[i + 1]) * sigmas[i + 1]
        on_step(i, sigmas[i], x, denoised)
    return x
