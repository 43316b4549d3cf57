from typing import Any

import pytest
import torch

from webui.sampling.denoiser import parameterize
from webui.sampling.noise_schedule import NoiseSchedule

PICTURE, NOISE = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_a_perfect_network_gives_the_picture_in_sigma_space(
    prediction: Any, sd1: NoiseSchedule
) -> None:
    sigma = sd1.sigmas[600]
    x = PICTURE + NOISE * sigma
    alpha = sd1.alphas_cumprod[600]
    velocity = NOISE * alpha.sqrt() - PICTURE * (1 - alpha).sqrt()
    parameterization = parameterize(prediction, "sigma", sd1)
    output = NOISE if prediction == "eps" else velocity
    torch.testing.assert_close(
        parameterization.convert(x, output, sigma), PICTURE, rtol=1e-4, atol=1e-4
    )
    assert float(parameterization.timestep(sigma)) == pytest.approx(600, abs=1e-3)
    expected = PICTURE * alpha.sqrt() + NOISE * (1 - alpha).sqrt()
    torch.testing.assert_close(parameterization.network_input(x, sigma), expected)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_a_perfect_network_gives_the_noise_in_timestep_space(
    prediction: Any, sd1: NoiseSchedule
) -> None:
    timestep = torch.tensor(600)
    alpha = sd1.alphas_cumprod[600]
    x = PICTURE * alpha.sqrt() + NOISE * (1 - alpha).sqrt()
    velocity = NOISE * alpha.sqrt() - PICTURE * (1 - alpha).sqrt()
    parameterization = parameterize(prediction, "timestep", sd1)
    output = NOISE if prediction == "eps" else velocity
    torch.testing.assert_close(parameterization.convert(x, output, timestep), NOISE)
    assert parameterization.timestep(timestep) is timestep
    assert parameterization.network_input(x, timestep) is x


def test_fractional_timesteps_of_velocity_are_cut_to_the_level_below(sd1: NoiseSchedule) -> None:
    parameterization = parameterize("v", "timestep", sd1)
    found = parameterization.convert(PICTURE, NOISE, torch.tensor(600.9))
    assert torch.equal(found, parameterization.convert(PICTURE, NOISE, torch.tensor(600)))


def test_branches_are_converted_at_once(sd1: NoiseSchedule) -> None:
    parameterization = parameterize("v", "sigma", sd1)
    both = parameterization.convert(PICTURE, torch.stack([NOISE, PICTURE]), sd1.sigmas[500])
    assert torch.equal(both[0], parameterization.convert(PICTURE, NOISE, sd1.sigmas[500]))
    assert both.shape == (2, *PICTURE.shape)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_consistency_models_return_x_only_near_timestep_zero(
    prediction: Any, sd1: NoiseSchedule
) -> None:
    distilled = sd1.distilled()
    consistency = parameterize(prediction, "sigma", distilled, consistency=True)
    plain = parameterize(prediction, "sigma", distilled)
    sigma = sd1.sigmas[19]
    found = consistency.convert(PICTURE, NOISE, sigma)
    denoised = plain.convert(PICTURE, NOISE, sigma)
    scaled = 190.0
    share = 0.25 / (scaled**2 + 0.25)
    expected = denoised * scaled / (scaled**2 + 0.25) ** 0.5 + PICTURE * share
    torch.testing.assert_close(found, expected)
    assert consistency.timestep(sd1.sigmas[985]) == 979
