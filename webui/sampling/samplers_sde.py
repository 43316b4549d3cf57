"""DPM-Solver++ for the diffusion SDE; the contract is that of `samplers`, the noise Brownian."""

from __future__ import annotations

import torch
from torch import Tensor

from webui.sampling.protocols import Denoiser, NoiseSource, OnStep, ignore
from webui.sampling.samplers import ancestral_step, to_derivative


def sample_dpmpp_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    eta: float = 1.0,
    s_noise: float = 1.0,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take two-stage steps with noise in both stages (two model calls).

    Args:
        eta: share of fresh noise, 0 to 1.
        s_noise: standard deviation of the fresh noise.
    Source: Lu et al. 2022 (arXiv:2211.01095), Alg. 1 with r = 1/2, and ancestral noise. Sigmas go
        through logarithms as in k-diffusion, since Brownian trees resolve the last digit.
    """

    def stage(time: Tensor, time_next: Tensor, target: Tensor) -> Tensor:
        sigma, sigma_next = (-time).exp(), (-time_next).exp()
        down, up = ancestral_step(sigma, sigma_next, eta)
        moved = x * (down / sigma) - target * (time + down.log()).expm1()
        return moved + noise(sigma, sigma_next) * (s_noise * up) if eta else moved

    times = -sigmas.log()
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        if sigmas[i + 1] == 0:
            x = x + to_derivative(x, sigmas[i], denoised) * (sigmas[i + 1] - sigmas[i])
        else:
            middle = times[i] + (times[i + 1] - times[i]) * 0.5
            denoised_middle = denoiser(stage(times[i], middle, denoised), (-middle).exp())
            x = stage(times[i], times[i + 1], denoised_middle)
        on_step(i, sigmas[i], x, denoised)
    return x


def sample_dpmpp_2m_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: str = "midpoint",
    on_step: OnStep = ignore,
) -> Tensor:
    """Take second-order multistep steps with noise.

    Args:
        eta: share of fresh noise, 0 to 1.
        s_noise: standard deviation of the fresh noise.
        solver_type: ``midpoint`` or ``heun``, how the second-order term is weighted.
    Source: Lu et al. 2022 (arXiv:2211.01095), sec. 4 for the SDE (SDE-DPM-Solver++(2M)).
    """
    previous: Tensor | None = None
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        if sigmas[i + 1] == 0:
            x = denoised
        else:
            h = sigmas[i].log() - sigmas[i + 1].log()
            decay = -(1 + eta) * h
            gain = -decay.expm1()
            x = x * (sigmas[i + 1] / sigmas[i] * (-eta * h).exp()) + denoised * gain
            if previous is not None:
                ratio = (sigmas[i - 1].log() - sigmas[i].log()) / h
                weight = gain / 2 if solver_type == "midpoint" else gain / decay + 1
                x = x + (denoised - previous) * (weight / ratio)
            if eta:
                spread = sigmas[i + 1] * (-(-2 * eta * h).expm1()).sqrt()
                x = x + noise(sigmas[i], sigmas[i + 1]) * (s_noise * spread)
        previous = denoised
        on_step(i, sigmas[i], x, denoised)
    return x


def sample_dpmpp_3m_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    eta: float = 1.0,
    s_noise: float = 1.0,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take third-order multistep steps with noise.

    Args:
        eta: share of fresh noise, 0 to 1.
        s_noise: standard deviation of the fresh noise.
    Source: Lu et al. 2022 (arXiv:2211.01095), multistep with Newton's divided differences, for the
        SDE.
    """
    past: list[Tensor] = []
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        if sigmas[i + 1] == 0:
            x = denoised
        else:
            h = sigmas[i].log() - sigmas[i + 1].log()
            decay = -(1 + eta) * h
            x = x * decay.exp() - denoised * decay.expm1()
            x = x + _higher_orders([denoised, *past], sigmas[: i + 2], decay)
            if eta:
                spread = sigmas[i + 1] * (-(-2 * eta * h).expm1()).sqrt()
                x = x + noise(sigmas[i], sigmas[i + 1]) * (s_noise * spread)
        past = [denoised, *past[:1]]
        on_step(i, sigmas[i], x, denoised)
    return x


def _higher_orders(predictions: list[Tensor], sigmas: Tensor, decay: Tensor) -> Tensor:
    """Give what the older predictions add to a step of `sample_dpmpp_3m_sde`.

    Args:
        predictions: the last one to three x0, the newest first.
        sigmas: up to and with the step's end.
        decay: minus (1 + eta) times the step in log sigma.
    """
    if len(predictions) == 1:
        return torch.zeros_like(predictions[0])
    steps = -sigmas[-4:].log().diff()
    ratio = steps[-2] / steps[-1]
    phi_2 = decay.expm1() / -decay + 1
    slope = (predictions[0] - predictions[1]) / ratio
    if len(predictions) == 2:
        return slope * phi_2
    older_ratio = steps[-3] / steps[-1]
    older_slope = (predictions[1] - predictions[2]) / older_ratio
    curve = (slope - older_slope) / (ratio + older_ratio)
    phi_3 = phi_2 / -decay - 0.5
    return (slope + curve * ratio) * phi_2 - curve * phi_3
