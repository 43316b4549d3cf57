"""UniPC: a predictor-corrector that reuses each model call for both; works in continuous time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from webui.sampling.protocols import Denoiser, NoiseSource, OnStep, ignore

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UniPCOptions:
    """How UniPC steps.

    Attributes:
        variant: the function B(h) of the paper, or the varying-coefficients form.
        skip_type: how times are spaced.
        order: 1 upwards; lowered to the number of steps.
        lower_order_final: lower the order for the last steps.
    """

    variant: Literal["bh1", "bh2", "vary_coeff"] = "bh1"
    skip_type: Literal["time_uniform", "time_quadratic", "logSNR"] = "time_uniform"
    order: int = 3
    lower_order_final: bool = True


DEFAULT_UNIPC = UniPCOptions()


@dataclass(frozen=True)
class ContinuousTime:
    """A discrete schedule's log alpha, interpolated over times 1/T .. 1."""

    times: Floats
    log_alphas: Floats

    @classmethod
    def from_alphas(cls, alphas_cumprod: Tensor) -> ContinuousTime:
        """Tabulate; log alpha is half the logarithm of ᾱ."""
        log_alphas = 0.5 * np.log(alphas_cumprod.double().numpy())
        times = np.arange(1, len(log_alphas) + 1) / len(log_alphas)
        return cls(times, log_alphas)

    def level(self, time: float) -> Level:
        """Look a time up."""
        return Level(time, float(np.interp(time, self.times, self.log_alphas)))

    def times_by_snr(self, start: float, end: float, count: int) -> Floats:
        """Space lambda (half the log signal-to-noise ratio) evenly between two times."""
        lambdas = np.linspace(self.level(start).lam, self.level(end).lam, count)
        log_alphas = -0.5 * np.logaddexp(0.0, -2.0 * lambdas)
        return np.interp(log_alphas, self.log_alphas[::-1], self.times[::-1])


@dataclass(frozen=True)
class Level:
    """A time with its log alpha; alpha² + sigma² = 1."""

    time: float
    log_alpha: float

    @property
    def alpha(self) -> float:
        """Share of the picture."""
        return math.exp(self.log_alpha)

    @property
    def sigma(self) -> float:
        """Share of the noise."""
        return math.sqrt(-math.expm1(2 * self.log_alpha))

    @property
    def lam(self) -> float:
        """Give log(alpha / sigma)."""
        return self.log_alpha - math.log(self.sigma)


def times(clock: ContinuousTime, start: float, steps: int, skip_type: str) -> Floats:
    """Space ``steps + 1`` times from `start` down to the schedule's first."""
    end = float(clock.times[0])
    if skip_type == "logSNR":
        return clock.times_by_snr(start, end, steps + 1)
    if skip_type == "time_quadratic":
        return np.linspace(math.sqrt(start), math.sqrt(end), steps + 1) ** 2
    return np.linspace(start, end, steps + 1)


def phi_series(hh: float, count: int) -> list[float]:
    """Give the first `count` integrals of the exponential that the update is made of.

    The first is ``exp(hh) - 1``, the k-th that before it over hh, minus ``1 / (k - 1)!``.
    """
    values = [math.expm1(hh)]
    for k in range(1, count):
        values.append(values[-1] / hh - 1 / math.factorial(k))
    return values


def coefficients(hh: float, ratios: list[float], variant: str) -> tuple[Floats, Floats]:
    """Weigh the differences of predictions in one step.

    Args:
        hh: minus the step in lambda.
        ratios: (lambda_i - lambda_0) / h of the older predictions, newest first.
        variant: see `UniPCOptions`.
    Returns: weights of the older differences for the predictor, and of these and the newest for the
        corrector.
    Source: Zhao et al. 2023 (arXiv:2302.04867), eq. 3-9 and appendix C.
    """
    points = np.array([*ratios, 1.0])
    order = len(points)
    phis = phi_series(hh, order + 1)
    if variant == "vary_coeff":
        factorials = [math.factorial(k + 1) for k in range(order)]
        matrix = np.stack([points**k / factorials[k] for k in range(order)], axis=1)
        inner = np.linalg.inv(matrix[:-1, :-1])
        full = np.linalg.inv(matrix)
        tail = np.array(phis[1:order])
        last = phis[order] * full[max(order - 2, 0), -1]
        return tail @ inner, np.append(tail @ full[: order - 1, :-1], last)
    scale = hh if variant == "bh1" else math.expm1(hh)
    matrix = np.stack([points**k for k in range(order)])
    wanted = np.array([phis[k + 1] * math.factorial(k + 1) / scale for k in range(order)])
    corrector = np.linalg.solve(matrix, wanted) if order > 1 else np.array([0.5])
    predictor = np.array([0.5])
    if order != 2:
        predictor = np.linalg.solve(matrix[:-1, :-1], wanted[:-1])
    return predictor * scale, corrector * scale


def combine(differences: list[Tensor], weights: Floats) -> Tensor | float:
    """Add up differences with their weights; 0.0 if there are none."""
    total: Tensor | float = 0.0
    for difference, weight in zip(differences, weights.tolist(), strict=True):
        total = total + difference * weight
    return total


class History:
    """The last predictions of x0 and their levels, newest first; local to one run."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.levels: list[Level] = []
        self.denoised: list[Tensor] = []

    def push(self, level: Level, denoised: Tensor) -> None:
        """Remember a prediction and forget the oldest."""
        self.levels = [level, *self.levels[: self.order - 1]]
        self.denoised = [denoised, *self.denoised[: self.order - 1]]


def sample_unipc(
    denoiser: Denoiser,
    x: Tensor,
    timesteps: Tensor,
    *,
    alphas_cumprod: Tensor,
    noise: NoiseSource,  # noqa: ARG001 - the contract of all samplers
    unipc: UniPCOptions = DEFAULT_UNIPC,
    is_partial: bool = False,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take UniPC steps: as many as there are timesteps, which otherwise only tell where to start.

    Args:
        denoiser: answers noise for fractional timesteps.
        timesteps: [n] ascending.
        unipc: variant, order and spacing.
        is_partial: start at the last timestep instead of at pure noise.
    Source: Zhao et al. 2023 (arXiv:2302.04867), Alg. 1-2, predicting x0.
    """
    clock = ContinuousTime.from_alphas(alphas_cumprod)
    steps, total = len(timesteps), len(alphas_cumprod)
    start = (float(timesteps[-1]) + 1) / total if is_partial else 1.0
    order = min(unipc.order, steps)
    history = History(order)

    def predict(x: Tensor, level: Level) -> Tensor:
        timestep = torch.tensor((level.time - 1 / total) * 1000, dtype=torch.float32)
        return (x - denoiser(x, timestep) * level.sigma) * (1 / level.alpha)

    levels = [clock.level(time) for time in times(clock, start, steps, unipc.skip_type).tolist()]
    history.push(levels[0], predict(x, levels[0]))
    for i in range(1, steps + 1):
        used = min(order, i)
        if unipc.lower_order_final:
            used = min(used, steps + 1 - i)
        before, level = history.levels[0], levels[i]
        newest, older = history.denoised[0], history.denoised[1:used]
        h = level.lam - before.lam
        ratios = [(past.lam - before.lam) / h for past in history.levels[1:used]]
        differences = [(d - newest) * (1 / r) for d, r in zip(older, ratios, strict=True)]
        predictor, corrector = coefficients(-h, ratios, unipc.variant)
        base = x * (level.sigma / before.sigma) - newest * (level.alpha * math.expm1(-h))
        x = base - combine(differences, predictor) * level.alpha
        if i < steps:
            denoised = predict(x, level)
            differences.append(denoised - newest)
            x = base - combine(differences, corrector) * level.alpha
            history.push(level, denoised)
        on_step(i - 1, torch.tensor(before.time * 1000 - 1), x, newest)
    return x
