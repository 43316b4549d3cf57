import math
import re
from typing import Any

import pytest
import torch

from webui.sampling.catalog import Catalog
from webui.sampling.noise_schedule import NoiseSchedule
from webui.sampling.planning import ddim_timesteps, img2img_steps, plan_img2img, plan_txt2img
from webui.sampling.sampler import Sampler
from webui.sampling.sigmas import ScheduleOptions

SIGMA_SAMPLERS = (
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE",
    "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive",
    "Restart", "LCM",
)  # fmt: skip


def sampler_named(catalog: Catalog, name: str) -> Sampler:
    return catalog.resolve(name).sampler


@pytest.mark.parametrize("name", SIGMA_SAMPLERS)
def test_levels_of_each_sampler_equal_the_recorded_tables(
    name: str, golden: Any, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    recorded = golden("vectors/sigmas_sd1.json")["per_sampler"][name]
    assert set(recorded) == {"Automatic", "Karras", "Simple"}
    for label, tables in recorded.items():
        choice = catalog.resolve(name, label)
        for steps, sigmas in tables.items():
            plan = plan_txt2img(choice.sampler, choice.effective_schedule, int(steps), sd1)
            torch.testing.assert_close(plan.levels, torch.tensor(sigmas), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["DDIM", "DDIM CFG++", "PLMS", "UniPC"])
def test_timesteps_equal_the_recorded_tables(
    name: str, golden: Any, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    recorded = golden("vectors/sigmas_sd1.json")["per_sampler"][name]["timesteps"]
    for steps, timesteps in recorded.items():
        plan = plan_txt2img(sampler_named(catalog, name), None, int(steps), sd1)
        assert plan.levels.tolist() == timesteps


def test_ddim_timesteps_follow_the_whole_stride(golden: Any) -> None:
    for steps, timesteps in golden("vectors/functions_sigmas_sd1.json")["ddim_timesteps"].items():
        assert ddim_timesteps(int(steps)).tolist() == timesteps
    assert ddim_timesteps(5000).tolist() == [*range(1, 1000), 999]


def test_img2img_steps_equal_the_recorded_table(
    golden: Any, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    euler = sampler_named(catalog, "Euler")
    for case, recorded in golden("vectors/functions_img2img_steps.json").items():
        found = re.fullmatch(r"steps(\d+) denoise([\d.]+) exact(True|False)", case)
        assert found is not None
        steps, strength, exact = int(found[1]), float(found[2]), found[3] == "True"
        total, t_enc = img2img_steps(steps, strength, exact_steps=exact)
        assert (total, t_enc) == (recorded["schedule_len_steps"], recorded["t_enc"])
        if total:
            plan = plan_img2img(
                euler, None, steps, sd1, denoising_strength=strength, exact_steps=exact
            )
            calls = recorded["kdiff_model_calls_first_order"]
            assert plan.steps == len(plan.levels) - 1 == calls


@pytest.mark.parametrize("name", [*SIGMA_SAMPLERS, "DDIM", "DDIM CFG++", "PLMS", "UniPC"])
def test_hires_without_denoising_gives_the_latents_back(
    name: str, catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    sampler = sampler_named(catalog, name)
    plan = plan_img2img(sampler, None, 20, sd1, denoising_strength=0.0, exact_steps=True)
    assert plan.is_empty
    latents, noise = torch.randn(1, 4, 2, 2), torch.randn(1, 4, 2, 2)
    model = toy(sampler, plan, wavy)
    x = plan.start_from(latents, noise, extra_noise=0.5)
    result = sampler.run(model, x, plan, noise=lambda *_: noise)
    assert torch.equal(result, latents)
    assert model.calls == 0


def test_txt2img_noise_is_scaled_to_the_first_level(catalog: Catalog, sd1: NoiseSchedule) -> None:
    noise = torch.randn(2, 4, 2, 2)
    plan = plan_txt2img(sampler_named(catalog, "Euler"), catalog.schedule("ddim"), 10, sd1)
    first = float(plan.levels[0])
    assert first == pytest.approx(8.390685)
    torch.testing.assert_close(plan.start(noise), noise * first)
    expected = noise * math.sqrt(1 + first**2)
    torch.testing.assert_close(plan.start(noise, sgm_noise_multiplier=True), expected)
    plan = plan_txt2img(sampler_named(catalog, "DDIM"), None, 10, sd1)
    assert torch.equal(plan.start(noise, sgm_noise_multiplier=True), noise)


def test_img2img_noise_reaches_the_level_of_the_first_step(
    catalog: Catalog, sd1: NoiseSchedule
) -> None:
    latents, noise = torch.randn(1, 4, 2, 2), torch.randn(1, 4, 2, 2)
    plan = plan_img2img(sampler_named(catalog, "Euler"), None, 20, sd1, denoising_strength=0.5)
    whole = plan_txt2img(sampler_named(catalog, "Euler"), None, 20, sd1)
    assert torch.equal(plan.levels, whole.levels[9:])
    assert plan.brownian_range == whole.brownian_range
    start = plan.start_from(latents, noise, extra_noise=0.1)
    torch.testing.assert_close(start, latents + noise * (plan.levels[0] + 0.1))

    plan = plan_img2img(sampler_named(catalog, "DDIM"), None, 20, sd1, denoising_strength=0.5)
    assert plan.levels.tolist() == [1 + 50 * i for i in range(10)]
    alpha = sd1.alphas_cumprod[501]
    start = plan.start_from(latents, noise, extra_noise=0.1)
    expected = latents * alpha.sqrt() + noise * ((1 - alpha).sqrt() + 0.1 * alpha.sqrt())
    torch.testing.assert_close(start, expected)


def test_discarding_lengthens_the_timestep_table(catalog: Catalog, sd1: NoiseSchedule) -> None:
    options = ScheduleOptions(discard_penultimate=True)
    plan = plan_txt2img(sampler_named(catalog, "DDIM"), None, 9, sd1, options=options)
    assert plan.levels.tolist() == ddim_timesteps(10).tolist()


def test_span_is_the_model_s_range_or_that_of_the_part(
    catalog: Catalog, sd1: NoiseSchedule
) -> None:
    fast = sampler_named(catalog, "DPM fast")
    plan = plan_txt2img(fast, catalog.schedule("ddim"), 12, sd1)
    assert (plan.span.low, plan.span.high, plan.span.steps) == (sd1.sigma_min, sd1.sigma_max, 12)
    plan = plan_img2img(fast, catalog.schedule("ddim"), 12, sd1, denoising_strength=0.5)
    assert (plan.span.low, plan.span.high) == (float(plan.levels[-2]), float(plan.levels[0]))
    assert plan.span.steps == len(plan.levels) - 1 == 8


def test_completed_ratio_goes_by_the_nearest_timestep(catalog: Catalog, sd1: NoiseSchedule) -> None:
    plan = plan_txt2img(sampler_named(catalog, "Euler"), None, 12, sd1)
    assert plan.completed_ratio(plan.levels[0]) == 0
    assert plan.completed_ratio(sd1.sigmas[499] * 1.0001) == 0.5
    switch = [i for i in range(12) if plan.completed_ratio(plan.levels[i]) >= 0.5]
    assert switch[0] == 6
    plan = plan_txt2img(sampler_named(catalog, "DDIM"), None, 12, sd1)
    ratios = [plan.completed_ratio(t) for t in plan.levels.flip(0)[:-1]]
    assert next(i for i, ratio in enumerate(ratios) if ratio >= 0.8) == 10
    plan = plan_txt2img(sampler_named(catalog, "LCM"), None, 8, sd1)
    assert plan.completed_ratio(sd1.sigmas[499]) == 0.5
