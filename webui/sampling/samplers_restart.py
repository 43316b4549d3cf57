"""Restart: Heun steps that go back up to a noisier level now and then."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor

from webui.sampling.protocols import Denoiser, NoiseSource, OnStep, ignore
from webui.sampling.samplers import heun_step
from webui.sampling.sigmas import karras_sigmas

RESTART_FROM, RESTART_TO = 0.1, 2.0
"""A restart happens at the sigma nearest the first and returns to the one nearest the second."""


def restart_plan(sigmas: Tensor) -> tuple[Tensor, int, int]:
    """Choose how often to restart for a number of steps.

    Returns: sigmas of the main walk, steps of one restart, number of restarts.
    """
    steps = len(sigmas) - 1
    if steps < 20:
        return sigmas, 0, 0
    length, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    main = karras_sigmas(steps - length * times, float(sigmas[-2]), float(sigmas[0]))
    return main, length, times


def restart_steps(sigmas: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """List (sigma, sigma_next) of all steps; noise is due where one begins above the last's end."""
    main, length, times = restart_plan(sigmas)
    low = int((main - RESTART_FROM).abs().argmin())
    high = int((main - RESTART_TO).abs().argmin())
    for index, step in enumerate(pairwise(main), start=1):
        yield step
        if times and index == low and high < low:
            again = karras_sigmas(length + 1, float(main[low]), float(main[high]))[:-1]
            for _ in range(times):
                yield from pairwise(again)


def sample_restart(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take Heun steps with restarts (from 20 steps on; then the schedule is always Karras').

    Source: Xu et al. 2023 (arXiv:2306.14878), Alg. 2.
    """
    last = sigmas[0]
    for index, (sigma, sigma_next) in enumerate(restart_steps(sigmas)):
        if sigma > last:
            x = x + noise(last, sigma) * (sigma**2 - last**2) ** 0.5
        denoised = denoiser(x, sigma)
        x = heun_step(denoiser, x, denoised, sigma, sigma_next)
        last = sigma_next
        on_step(index, sigma, x, denoised)
    return x
