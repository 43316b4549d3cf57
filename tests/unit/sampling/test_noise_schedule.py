from typing import Any

import pytest
import torch

from webui.sampling.noise_schedule import (
    TERMINAL_ALPHA,
    NoiseSchedule,
    model_schedule,
    scaled_linear_alphas,
    zero_terminal_snr,
)

ROUNDING = 1e-6
"""Processors differ in the last bits of powers and square roots; A1111's users see none of them."""


def test_tables_equal_the_recorded_ones(golden: Any, sd1: NoiseSchedule) -> None:
    recorded = golden("vectors/sigmas_sd1.json")
    torch.testing.assert_close(
        sd1.alphas_cumprod, torch.tensor(recorded["alphas_cumprod"]), rtol=ROUNDING, atol=0
    )
    torch.testing.assert_close(
        sd1.sigmas, torch.tensor(recorded["model_sigmas_1000"]), rtol=ROUNDING, atol=0
    )
    assert sd1.sigma_min == pytest.approx(recorded["sigma_min"], rel=ROUNDING)
    assert sd1.sigma_max == pytest.approx(recorded["sigma_max"], rel=ROUNDING)


def test_sigma_to_t_equals_the_recorded_values(golden: Any, sd1: NoiseSchedule) -> None:
    sigmas, timesteps = zip(*golden("vectors/sigmas_sd1.json")["sigma_to_t"], strict=True)
    found = sd1.sigma_to_t(torch.tensor(sigmas))
    torch.testing.assert_close(found, torch.tensor(timesteps), rtol=1e-5, atol=1e-5)
    assert sd1.sigma_to_t(torch.tensor(0.001)) == 0


def test_t_to_sigma_equals_the_recorded_values(golden: Any, sd1: NoiseSchedule) -> None:
    timesteps, sigmas = zip(*golden("vectors/sigmas_sd1.json")["t_to_sigma"], strict=True)
    found = sd1.t_to_sigma(torch.tensor(timesteps))
    torch.testing.assert_close(found, torch.tensor(sigmas), rtol=1e-6, atol=0)


def test_both_ways_meet(sd1: NoiseSchedule) -> None:
    timesteps = torch.linspace(0, 999, 77)
    there_and_back = sd1.sigma_to_t(sd1.t_to_sigma(timesteps))
    torch.testing.assert_close(there_and_back, timesteps, rtol=1e-4, atol=1e-3)


def test_zero_terminal_snr_equals_the_recorded_values(golden: Any) -> None:
    recorded = golden("vectors/functions_sigmas_sd1.json")
    alphas = zero_terminal_snr(scaled_linear_alphas())
    picked = alphas[[0, 499, 998, 999]]
    expected = torch.tensor(recorded["ztsnr_alphas[0,499,998,999]"])
    torch.testing.assert_close(picked, expected, rtol=1e-4, atol=1e-9)
    assert alphas[-1] == torch.tensor(TERMINAL_ALPHA)
    schedule = model_schedule(scaled_linear_alphas(), zero_terminal=True)
    assert abs(schedule.sigma_max / recorded["ztsnr_sigma_max"] - 1) < 1e-5


def test_downcast_rounds_the_whole_table_to_half_precision(sd1: NoiseSchedule) -> None:
    schedule = model_schedule(scaled_linear_alphas(), downcast=True)
    assert schedule.alphas_cumprod.dtype == torch.float16
    assert schedule.sigmas.dtype == schedule.log_sigmas.dtype == torch.float32
    assert torch.equal(schedule.sigmas.half().float(), schedule.sigmas)
    assert not torch.equal(schedule.sigmas, sd1.sigmas)
    torch.testing.assert_close(schedule.sigmas[1:], sd1.sigmas[1:], rtol=0.1, atol=0)


def test_quantized_timesteps_are_the_nearest_whole_ones(sd1: NoiseSchedule) -> None:
    schedule = model_schedule(scaled_linear_alphas(), quantize=True)
    found = schedule.sigma_to_t(sd1.t_to_sigma(torch.tensor([0.3, 10.4, 499.8, 998.9])))
    assert found.tolist() == [0, 10, 500, 999]


def test_distilled_levels_are_every_twentieth_from_the_noisiest(sd1: NoiseSchedule) -> None:
    distilled = sd1.distilled()
    assert torch.equal(distilled.sigmas, sd1.sigmas[19::20])
    assert distilled.sigma_to_t(sd1.sigmas[[19, 39, 999]]).tolist() == [19, 39, 999]
    assert distilled.sigma_to_t(torch.tensor(0.0001)) == 19
    torch.testing.assert_close(
        distilled.t_to_sigma(torch.tensor([19.0, 999.0])), sd1.sigmas[[19, 999]]
    )
