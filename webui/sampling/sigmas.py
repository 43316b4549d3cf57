"""The twelve noise schedules: which sigmas a run of n steps visits.

Each function takes a `ScheduleInput` and answers descending sigmas, [n + 1] float32 on the CPU,
the last one 0 (exceptions are named). `build_sigmas` applies the options around them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import special
from torch import Tensor

from webui.sampling.noise_schedule import NoiseSchedule

OLD_KARRAS_RANGE = (0.1, 10.0)

ALIGN_YOUR_STEPS: Mapping[str, tuple[float, ...]] = {
    "sd1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
}


@dataclass(frozen=True)
class ScheduleInput:
    """What a schedule may look at.

    Attributes:
        steps: number of sigmas above 0, at least 1.
        noise_schedule: the model's levels.
        sigma_min, sigma_max: ends of the range, the model's own unless overridden.
        rho: exponent, for schedules that have a default for it.
        table: which tabulated schedule fits the model.
        beta_alpha, beta_beta: shape of the beta distribution, above 0.
    """

    steps: int
    noise_schedule: NoiseSchedule
    sigma_min: float
    sigma_max: float
    rho: float = 1.0
    table: Literal["sd1", "sdxl"] = "sd1"
    beta_alpha: float = 0.6
    beta_beta: float = 0.6


@dataclass(frozen=True)
class ScheduleOptions:
    """The user's options for schedules; 0 stands for "the default" in the first three.

    Attributes:
        sigma_min, sigma_max: ends of the range instead of the model's.
        rho: exponent of Karras (7) and Polyexponential (1).
        old_karras_range: use 0.1 to 10 instead of the model's range.
        discard_penultimate: compute one more step and drop the second-to-last sigma.
        table: which Align Your Steps table fits the model.
        beta_alpha, beta_beta: shape of the Beta schedule.
    """

    sigma_min: float = 0.0
    sigma_max: float = 0.0
    rho: float = 0.0
    old_karras_range: bool = False
    discard_penultimate: bool = False
    table: Literal["sd1", "sdxl"] = "sd1"
    beta_alpha: float = 0.6
    beta_beta: float = 0.6


DEFAULT_SCHEDULE_OPTIONS = ScheduleOptions()


@dataclass(frozen=True)
class Schedule:
    """A row of the catalog.

    Attributes:
        name, label: identifier (``karras``) and what the page shows (``Karras``).
        function: computes the sigmas; None for "Automatic".
        aliases: further names that infotexts use.
        default_rho: exponent that the `rho` option replaces; -1 where there is none.
        need_inner_model: whether A1111's API says that the schedule asks the model.
    """

    name: str
    label: str
    function: Callable[[ScheduleInput], Tensor] | None
    aliases: tuple[str, ...] = ()
    default_rho: float = -1.0
    need_inner_model: bool = False


def append_zero(sigmas: Tensor) -> Tensor:
    """Add the final 0."""
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def uniform(given: ScheduleInput) -> Tensor:
    """Space timesteps evenly over the model's whole range, both ends included.

    The override of the range does not apply. On a distilled schedule, which has fewer levels, the
    timesteps are the network's.
    """
    levels = given.noise_schedule
    start = (len(levels.sigmas) - 1) * levels.stride + (levels.stride - 1)
    timesteps = torch.linspace(start, levels.stride - 1, given.steps)
    return append_zero(levels.t_to_sigma(timesteps))


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Space sigma^(1/rho) evenly.

    Source: Karras et al. 2022 (arXiv:2206.00364), eq. 5.
    """
    ramp = torch.linspace(0, 1, steps)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return append_zero((high + ramp * (low - high)) ** rho)


def karras(given: ScheduleInput) -> Tensor:
    """Space sigma^(1/rho) evenly (`karras_sigmas`)."""
    return karras_sigmas(given.steps, given.sigma_min, given.sigma_max, given.rho)


def exponential(given: ScheduleInput) -> Tensor:
    """Space log sigma evenly."""
    ends = math.log(given.sigma_max), math.log(given.sigma_min)
    return append_zero(torch.linspace(*ends, given.steps).exp())


def polyexponential(given: ScheduleInput) -> Tensor:
    """Space log sigma by a power of an even ramp."""
    ramp = torch.linspace(1, 0, given.steps) ** given.rho
    low, high = math.log(given.sigma_min), math.log(given.sigma_max)
    return append_zero((ramp * (high - low) + low).exp())


def _timestep_ends(given: ScheduleInput) -> tuple[float, float]:
    ends = given.noise_schedule.sigma_to_t(torch.tensor([given.sigma_max, given.sigma_min]))
    return float(ends[0]), float(ends[1])


def normal(given: ScheduleInput) -> Tensor:
    """Space timesteps evenly between the ends of the range, both included."""
    timesteps = torch.linspace(*_timestep_ends(given), given.steps)
    return append_zero(given.noise_schedule.t_to_sigma(timesteps))


def sgm_uniform(given: ScheduleInput) -> Tensor:
    """Space timesteps evenly, leaving out the lowest, as Stability's generative-models does."""
    timesteps = torch.linspace(*_timestep_ends(given), given.steps + 1)[:-1]
    return append_zero(given.noise_schedule.t_to_sigma(timesteps))


def kl_optimal(given: ScheduleInput) -> Tensor:
    """Space the arctangent of sigma evenly; the last of the n + 1 sigmas is sigma_min, not 0.

    Source: Sabour et al. 2024 (arXiv:2404.14507), eq. 13.
    """
    low, high = torch.tensor(given.sigma_min).arctan(), torch.tensor(given.sigma_max).arctan()
    share = torch.arange(given.steps + 1) / given.steps
    return (share * low + (1.0 - share) * high).tan()


def align_your_steps(given: ScheduleInput) -> Tensor:
    """Take tabulated sigmas, interpolated in log sigma unless there are 11 steps.

    The override of the range does not apply.
    Source: Sabour et al. 2024 (arXiv:2404.14507), "quickstart guide".
    """
    table = np.array(ALIGN_YOUR_STEPS[given.table])
    if given.steps != len(table):
        known = np.linspace(0, 1, len(table))
        wanted = np.linspace(0, 1, given.steps)
        table = np.exp(np.interp(wanted, known, np.log(table[::-1])))[::-1].copy()
    return append_zero(torch.from_numpy(table).float())


def simple(given: ScheduleInput) -> Tensor:
    """Take every T/n-th of the model's sigmas, from the highest."""
    sigmas = given.noise_schedule.sigmas
    stride = len(sigmas) / given.steps
    picked = [-(1 + int(i * stride)) for i in range(given.steps)]
    return append_zero(sigmas[picked])


def ddim(given: ScheduleInput) -> Tensor:
    """Take the model's sigmas at DDIM's timesteps; starts below sigma_max, may be longer."""
    sigmas = given.noise_schedule.sigmas
    stride = max(len(sigmas) // given.steps, 1)
    return append_zero(sigmas[1::stride].flip(0))


def beta(given: ScheduleInput) -> Tensor:
    """Space sigmas by the quantiles of a beta distribution.

    Source: Lee et al. 2024 (arXiv:2407.12173), sec. 4; over sigma, as in A1111, not over timesteps.
    """
    quantiles = 1 - np.linspace(0, 1, given.steps)
    shares = special.betaincinv(given.beta_alpha, given.beta_beta, quantiles)
    sigmas = given.sigma_min + shares * (given.sigma_max - given.sigma_min)
    return append_zero(torch.from_numpy(sigmas).float())


def build_sigmas(
    schedule: Schedule | None,
    steps: int,
    noise_schedule: NoiseSchedule,
    options: ScheduleOptions = DEFAULT_SCHEDULE_OPTIONS,
    *,
    discard_penultimate: bool = False,
) -> Tensor:
    """Compute a run's sigmas exactly as A1111 does.

    Args:
        schedule: None or "Automatic" (no function): the model's own, `uniform`.
        steps: 0 gives the single sigma 0, an empty run.
        noise_schedule: the model's levels.
        options: the user's overrides.
        discard_penultimate: the sampler drops the second-to-last sigma by itself.
    Returns: [n + 1] float32 on the CPU, descending.
    """
    if steps <= 0:
        return torch.zeros(1)
    discard = discard_penultimate or options.discard_penultimate
    given = _schedule_input(schedule, steps + discard, noise_schedule, options)
    function = schedule.function if schedule and schedule.function else uniform
    sigmas = function(given)
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if discard else sigmas


def _schedule_input(
    schedule: Schedule | None, steps: int, noise_schedule: NoiseSchedule, options: ScheduleOptions
) -> ScheduleInput:
    low, high = noise_schedule.sigma_min, noise_schedule.sigma_max
    if options.old_karras_range:
        low, high = OLD_KARRAS_RANGE
    default_rho = schedule.default_rho if schedule else -1.0
    return ScheduleInput(
        steps=steps,
        noise_schedule=noise_schedule,
        sigma_min=options.sigma_min or low,
        sigma_max=options.sigma_max or high,
        rho=(options.rho or default_rho) if default_rho != -1 else 1.0,
        table=options.table,
        beta_alpha=options.beta_alpha,
        beta_beta=options.beta_beta,
    )
