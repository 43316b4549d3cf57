"""DPM-Solver fast and adaptive: exponential integrators that place their own steps in log sigma.

They use the ends of the trajectory only. Times are ``-log(sigma)``, ascending.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from webui.sampling.protocols import Denoiser, NoiseSource, OnStep, ignore
from webui.sampling.samplers import ancestral_step, to_derivative
from webui.sampling.trajectory import Span


class Stages:
    """One step's model calls, shared by the orders that are tried from the same point.

    Args:
        denoiser: the model.
        x: latents at `time`.
        time: 0-d, where the step starts.
    Source: Lu et al. 2022 (arXiv:2206.00927), eq. 3.7 and Alg. 1-2, in sigma space.
    """

    def __init__(self, denoiser: Denoiser, x: Tensor, time: Tensor) -> None:
        self.denoiser = denoiser
        self.x = x
        self.time = time
        sigma = (-time).exp()
        self.denoised = denoiser(x, sigma)
        self.eps = to_derivative(x, sigma, self.denoised)
        self._at_third: Tensor | None = None

    def _eps_at(self, x: Tensor, time: Tensor) -> Tensor:
        sigma = (-time).exp()
        return to_derivative(x, sigma, self.denoiser(x, sigma))

    def _first(self, time_next: Tensor) -> Tensor:
        return self.x - self.eps * ((-time_next).exp() * (time_next - self.time).expm1())

    def _eps_at_third(self, h: Tensor) -> Tensor:
        if self._at_third is None:
            third = self.time + h / 3
            self._at_third = self._eps_at(self._first(third), third)
        return self._at_third

    def order_1(self, time_next: Tensor) -> Tensor:
        """Step with the slope at the start."""
        return self._first(time_next)

    def order_2(self, time_next: Tensor, *, at_third: bool = False) -> Tensor:
        """Step with one further slope, half (or a third) of the way."""
        h = time_next - self.time
        share = 1 / 3 if at_third else 1 / 2
        if at_third:
            eps = self._eps_at_third(h)
        else:
            middle = self.time + share * h
            eps = self._eps_at(self._first(middle), middle)
        weight = (-time_next).exp() / (2 * share) * h.expm1()
        return self._first(time_next) - (eps - self.eps) * weight

    def order_3(self, time_next: Tensor) -> Tensor:
        """Step with two further slopes, one and two thirds of the way."""
        h = time_next - self.time
        change = self._eps_at_third(h) - self.eps
        later, later_h = self.time + 2 / 3 * h, 2 / 3 * h
        weight = (-later).exp() * 2 * (later_h.expm1() / later_h - 1)
        eps = self._eps_at(self._first(later) - change * weight, later)
        weight = (-time_next).exp() * 1.5 * (h.expm1() / h - 1)
        return self._first(time_next) - (eps - self.eps) * weight


def noisy_end(time: Tensor, time_next: Tensor, end: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Overshoot a step so that fresh noise leads back to it.

    Returns: the time to step to (at most `end`) and the standard deviation of the noise.
    """
    if not eta:
        return time_next, torch.zeros_like(time)
    sigma_next = (-time_next).exp()
    down, _ = ancestral_step((-time).exp(), sigma_next, eta)
    target = torch.minimum(end, -down.log())
    return target, (sigma_next**2 - (-target).exp() ** 2).clamp(min=0) ** 0.5


def sample_dpm_fast(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,  # noqa: ARG001 - the contract of all samplers
    *,
    noise: NoiseSource,
    span: Span,
    eta: float = 0.0,
    s_noise: float = 1.0,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take even steps in log sigma, of order 3 as long as the model calls suffice.

    Args:
        span: ends and number of model calls, at least 1.
        eta: share of fresh noise, 0 to 1.
        s_noise: standard deviation of the fresh noise.
    Source: Lu et al. 2022 (arXiv:2206.00927), "DPM-Solver-fast".
    """
    end, start = -torch.tensor([span.low, span.high]).log()
    count = span.steps // 3 + 1
    rest = span.steps % 3
    orders = [3] * (count - 1) + [rest] if rest else [3] * (count - 2) + [2, 1]
    times = torch.linspace(float(start), float(end), count + 1)
    for i, order in enumerate(orders):
        target, spread = noisy_end(times[i], times[i + 1], end, eta)
        stages = Stages(denoiser, x, times[i])
        x = (stages.order_1, stages.order_2, stages.order_3)[order - 1](target)
        sigma = (-times[i]).exp()
        if eta:
            x = x + noise(sigma, (-times[i + 1]).exp()) * (s_noise * spread)
        on_step(i, sigma, x, stages.denoised)
    return x


RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 0.05, 0.0078
FIRST_STEP, ACCEPT_SAFETY = 0.05, 0.81


def step_error(low: Tensor, high: Tensor, before: Tensor) -> float:
    """Measure the difference of two orders in units of the tolerance (root mean square)."""
    scale = torch.maximum(low.abs(), before.abs()) * RELATIVE_TOLERANCE
    delta = scale.clamp(min=ABSOLUTE_TOLERANCE)
    return float(torch.linalg.norm((low - high) / delta)) / math.sqrt(low.numel())


def sample_dpm_adaptive(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,  # noqa: ARG001 - the contract of all samplers
    *,
    noise: NoiseSource,
    span: Span,
    eta: float = 0.0,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take steps of order 3 as long as their difference from order 2 is small; any number of them.

    Args:
        span: ends.
        eta: share of fresh noise, 0 to 1.
    Source: Lu et al. 2022 (arXiv:2206.00927), appendix C (DPM-Solver-12/23), with the step size
        limiter ``1 + atan(factor - 1)`` of Söderlind & Wang 2006.
    """
    end, time = -torch.tensor([span.low, span.high]).log()
    step, tries, before = FIRST_STEP, 0, x
    while time < end - 1e-5:
        time_next = torch.minimum(end, time + step)
        target, spread = noisy_end(time, time_next, end, eta)
        stages = Stages(denoiser, x, time)
        low, high = stages.order_2(target, at_third=True), stages.order_3(target)
        error = step_error(low, high, before)
        factor = (1 / (error + 1e-8)) ** (1 / 1.5 if eta else 1 / 3)
        factor = 1 + math.atan(factor - 1)
        step *= factor
        sigma = (-time).exp()
        if not factor < ACCEPT_SAFETY:  # NaN too, which no smaller step would mend
            before, x = low, high
            if eta:
                x = x + noise(sigma, (-time_next).exp()) * spread
            time = time_next
        on_step(tries, sigma, x, stages.denoised)
        tries += 1
    return x
