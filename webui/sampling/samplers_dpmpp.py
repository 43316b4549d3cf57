"""DPM-Solver++ samplers without Brownian noise; the contract is that of `samplers`."""

from __future__ import annotations

from torch import Tensor

from webui.sampling.protocols import Denoiser, NoiseSource, OnStep, ignore
from webui.sampling.samplers import ancestral_step, to_derivative


def sample_dpmpp_2m(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,  # noqa: ARG001 - the contract of all samplers
    on_step: OnStep = ignore,
) -> Tensor:
    """Take second-order multistep steps: x0 is extrapolated from the last two predictions.

    Source: Lu et al. 2022 (arXiv:2211.01095), Alg. 2 (DPM-Solver++(2M)).
    """
    previous: Tensor | None = None
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        if sigmas[i + 1] == 0:
            x = denoised
        else:
            h = sigmas[i].log() - sigmas[i + 1].log()
            target = denoised
            if previous is not None:
                ratio = (sigmas[i - 1].log() - sigmas[i].log()) / h
                target = denoised + (denoised - previous) * (1 / (2 * ratio))
            x = x * (sigmas[i + 1] / sigmas[i]) - target * (-h).expm1()
        previous = denoised
        on_step(i, sigmas[i], x, denoised)
    return x


def sample_dpmpp_2s_ancestral(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    eta: float = 1.0,
    s_noise: float = 1.0,
    on_step: OnStep = ignore,
) -> Tensor:
    """Take second-order singlestep steps to a lower level and add noise back up to the next.

    Args:
        eta: share of fresh noise per step, 0 to 1.
        s_noise: standard deviation of the fresh noise.
    Source: Lu et al. 2022 (arXiv:2211.01095), Alg. 1 (DPM-Solver++(2S)) with r = 1/2.
    """
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        down, up = ancestral_step(sigmas[i], sigmas[i + 1], eta)
        if down == 0:
            x = x + to_derivative(x, sigmas[i], denoised) * (down - sigmas[i])
        else:
            h = sigmas[i].log() - down.log()
            middle = (sigmas[i].log() - h / 2).exp()
            x_middle = x * (middle / sigmas[i]) - denoised * (-h / 2).expm1()
            denoised_middle = denoiser(x_middle, middle)
            x = x * (down / sigmas[i]) - denoised_middle * (-h).expm1()
        if sigmas[i + 1] > 0 and eta:
            x = x + noise(sigmas[i], sigmas[i + 1]) * (s_noise * up)
        on_step(i, sigmas[i], x, denoised)
    return x
