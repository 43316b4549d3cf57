"""From a request's steps and denoising strength to the trajectory of a pass."""

from __future__ import annotations

import torch
from torch import Tensor

from webui.sampling.noise_schedule import NoiseSchedule
from webui.sampling.sampler import Sampler
from webui.sampling.sigmas import DEFAULT_SCHEDULE_OPTIONS, Schedule, ScheduleOptions, build_sigmas
from webui.sampling.trajectory import Span, Trajectory

MAX_DENOISING = 0.999


def ddim_timesteps(steps: int, total: int = 1000) -> Tensor:
    """Space timesteps by a whole number, from 1 upwards.

    Returns: int64, ascending; more than `steps` entries where `steps` does not divide `total`.
    """
    spaced = torch.arange(0, total, max(total // steps, 1)) + 1
    return spaced.clamp(0, total - 1)


def img2img_steps(
    steps: int, denoising_strength: float, *, exact_steps: bool = False
) -> tuple[int, int]:
    """Find how long a schedule an img2img pass needs and where in it the pass begins.

    Args:
        steps: steps of the request, at least 1.
        denoising_strength: 0 to 1.
        exact_steps: run exactly `steps` steps by stretching the schedule (hires; an option of
            img2img).
    Returns: steps of the whole schedule, and ``t_enc``: all but the last ``t_enc + 1`` of them are
        left out. The schedule is 0 long if the strength is 0 and `exact_steps` is set.
    """
    capped = min(denoising_strength, MAX_DENOISING)
    if not exact_steps:
        return steps, int(capped * steps)
    return (int(steps / capped) if capped > 0 else 0), steps - 1


def plan_txt2img(
    sampler: Sampler,
    schedule: Schedule | None,
    steps: int,
    noise_schedule: NoiseSchedule,
    *,
    options: ScheduleOptions = DEFAULT_SCHEDULE_OPTIONS,
) -> Trajectory:
    """Plan a pass that starts from pure noise.

    Args:
        sampler: row of the catalog.
        schedule: the row to run (`Choice.effective_schedule`) or any other `Schedule`; None for
            the model's own levels. Not used in timestep space.
        steps: at least 1.
        noise_schedule: the model's.
        options: the user's options for schedules.
    """
    if sampler.space == "timestep":
        levels = ddim_timesteps(steps + options.discard_penultimate, len(noise_schedule.sigmas))
        return Trajectory("timestep", levels, noise_schedule, steps)
    levels_of = _pass_schedule(sampler, noise_schedule)
    levels = _sigmas(sampler, schedule, steps, levels_of, options)
    return Trajectory(
        "sigma",
        levels,
        levels_of,
        steps,
        span=Span(levels_of.sigma_min, levels_of.sigma_max, steps),
        brownian_range=_positive_range(levels),
    )


def plan_img2img(
    sampler: Sampler,
    schedule: Schedule | None,
    steps: int,
    noise_schedule: NoiseSchedule,
    *,
    denoising_strength: float,
    exact_steps: bool = False,
    options: ScheduleOptions = DEFAULT_SCHEDULE_OPTIONS,
) -> Trajectory:
    """Plan a pass that starts from a picture.

    Args:
        sampler, schedule, steps, noise_schedule, options: as for `plan_txt2img`.
        denoising_strength: 0 to 1.
        exact_steps: as for `img2img_steps`; always set for hires passes.
    Returns: an empty trajectory for strength 0 with `exact_steps`.
    """
    total, t_enc = img2img_steps(steps, denoising_strength, exact_steps=exact_steps)
    if total == 0:
        return Trajectory(sampler.space, torch.zeros(1), noise_schedule, 0, is_partial=True)
    if sampler.space == "timestep":
        table = ddim_timesteps(total + options.discard_penultimate, len(noise_schedule.sigmas))
        return Trajectory(
            "timestep",
            table[:t_enc],
            noise_schedule,
            t_enc + 1,
            start_timestep=int(table[t_enc]),
            is_partial=True,
        )
    levels_of = _pass_schedule(sampler, noise_schedule)
    sigmas = _sigmas(sampler, schedule, total, levels_of, options)
    levels = sigmas[total - t_enc - 1 :]
    return Trajectory(
        "sigma",
        levels,
        levels_of,
        t_enc + 1,
        span=Span(float(levels[-2]), float(levels[0]), len(levels) - 1),
        brownian_range=_positive_range(sigmas),
        is_partial=True,
    )


def _pass_schedule(sampler: Sampler, noise_schedule: NoiseSchedule) -> NoiseSchedule:
    return noise_schedule.distilled() if sampler.consistency else noise_schedule


def _sigmas(
    sampler: Sampler,
    schedule: Schedule | None,
    steps: int,
    noise_schedule: NoiseSchedule,
    options: ScheduleOptions,
) -> Tensor:
    return build_sigmas(
        schedule,
        steps,
        noise_schedule,
        options,
        discard_penultimate=sampler.discard_penultimate,
    )


def _positive_range(sigmas: Tensor) -> tuple[float, float]:
    positive = sigmas[sigmas > 0]
    return float(positive.min()), float(sigmas.max())
