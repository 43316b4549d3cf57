"""Every sampler against recorded values, exact solutions and the contract that all share."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from webui.errors import Interrupted
from webui.sampling.brownian import BrownianNoise
from webui.sampling.catalog import Catalog, default_catalog
from webui.sampling.noise import ImageNoise, NoiseSeeds, RandomSource
from webui.sampling.noise_schedule import NoiseSchedule
from webui.sampling.planning import plan_img2img, plan_txt2img
from webui.sampling.protocols import NoiseSource
from webui.sampling.sampler import Sampler, SamplerOptions
from webui.sampling.samplers import Churn, adams_bashforth_weights, ancestral_step
from webui.sampling.samplers_restart import restart_steps
from webui.sampling.samplers_unipc import UniPCOptions
from webui.sampling.sigmas import build_sigmas, karras_sigmas
from webui.sampling.trajectory import Trajectory

SAMPLERS = default_catalog().samplers
NAMES = [row.name for row in SAMPLERS]
BY_SIGMA = [row.name for row in SAMPLERS if row.space == "sigma"]
STEPWISE = [name for name in NAMES if name not in ("DPM fast", "DPM adaptive", "Restart")]
RECORDED = 3e-4
"""Recorded on another processor, whose last bits the steep toy model amplifies."""
ODE = ("DPM++ 2M", "Euler", "LMS", "Heun", "DPM2")
SHAPE = (4, 2, 2)


def noise_for(
    sampler: Sampler, plan: Trajectory, seeds: Sequence[int], source: RandomSource = "NV"
) -> tuple[Tensor, NoiseSource]:
    """The initial noise of a batch and the source for its steps."""
    image_noise = ImageNoise(SHAPE, NoiseSeeds(tuple(seeds)), source=source)
    initial = image_noise.draw()
    if not sampler.brownian_noise:
        return initial, image_noise
    return initial, BrownianNoise(SHAPE, tuple(seeds), plan.brownian_range, source=source)


def plan_for(catalog: Catalog, name: str, steps: int, levels: NoiseSchedule) -> Trajectory:
    choice = catalog.resolve(name)
    return plan_txt2img(choice.sampler, choice.effective_schedule, steps, levels)


def sampler_named(catalog: Catalog, name: str) -> Sampler:
    return catalog.resolve(name).sampler


def constant_noise(asked: list[tuple[float, float]]) -> NoiseSource:
    """Ones for noise; writes down the levels that it is asked for."""

    def noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        asked.append((float(sigma), float(sigma_next)))
        return torch.ones(1, *SHAPE)

    return noise


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [8, 24])
def test_txt2img_equals_the_recorded_values(
    name: str, steps: int, golden: Any, catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    recorded = golden("vectors/functions_samplers_toy.json")[f"txt2img_steps{steps}"][name]
    sampler, plan = sampler_named(catalog, name), plan_for(catalog, name, steps, sd1)
    initial, noise = noise_for(sampler, plan, [1])
    x = sampler.run(toy(sampler, plan, wavy), plan.start(initial), plan, noise=noise)
    torch.testing.assert_close(x.flatten(), torch.tensor(recorded), rtol=0, atol=RECORDED)


@pytest.mark.parametrize("name", NAMES)
def test_img2img_equals_the_recorded_values(
    name: str, golden: Any, catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    recorded = golden("vectors/functions_samplers_toy.json")["img2img_steps10_denoise0.6"][name]
    choice = catalog.resolve(name)
    sampler = choice.sampler
    plan = plan_img2img(sampler, choice.effective_schedule, 10, sd1, denoising_strength=0.6)
    initial, noise = noise_for(sampler, plan, [1])
    x = plan.start_from(torch.linspace(-1, 1, 16).reshape(1, *SHAPE), initial)
    x = sampler.run(toy(sampler, plan, wavy), x, plan, noise=noise)
    torch.testing.assert_close(x.flatten(), torch.tensor(recorded), rtol=0, atol=RECORDED)


def test_lcm_walks_the_recorded_levels(golden: Any, catalog: Catalog, sd1: NoiseSchedule) -> None:
    recorded = golden("vectors/functions_samplers_toy.json")
    for steps in (8, 24):
        levels = torch.tensor(recorded[f"txt2img_steps{steps}"]["LCM sigmas"])
        found = plan_for(catalog, "LCM", steps, sd1).levels
        torch.testing.assert_close(found, levels, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_of_a_batch_equals_the_single_one(
    name: str, catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    sampler, plan = sampler_named(catalog, name), plan_for(catalog, name, 6, sd1)

    def run(seeds: list[int]) -> Tensor:
        initial, noise = noise_for(sampler, plan, seeds, source="CPU")
        return sampler.run(toy(sampler, plan, wavy), plan.start(initial), plan, noise=noise)

    batch, single = run([5, 6, 7]), run([6])
    assert torch.equal(batch[1], single[0]) != sampler.batch_coupled


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_give_numbers(
    name: str, steps: int, catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    sampler, plan = sampler_named(catalog, name), plan_for(catalog, name, steps, sd1)
    initial, noise = noise_for(sampler, plan, [1])
    x = sampler.run(toy(sampler, plan, wavy), plan.start(initial), plan, noise=noise)
    assert x.isfinite().all()
    assert x.shape == initial.shape and x.dtype == torch.float32


@pytest.mark.parametrize("name", BY_SIGMA)
def test_a_known_picture_is_reached_exactly(
    name: str, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    picture = torch.linspace(-2, 2, 16).reshape(1, *SHAPE)
    sampler, plan = sampler_named(catalog, name), plan_for(catalog, name, 12, sd1)
    initial, noise = noise_for(sampler, plan, [1])
    x = sampler.run(lambda x, _: picture.expand_as(x), plan.start(initial), plan, noise=noise)
    reached = 4 * sd1.sigma_min if "fast" in name or "adaptive" in name else 1e-4
    torch.testing.assert_close(x, picture, rtol=0, atol=reached)


@pytest.mark.parametrize("name", ODE)
def test_deterministic_samplers_approach_the_exact_solution(
    name: str, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    """If pictures are standard normal, x0 = x / (1 + sigma²) and x grows with sqrt(1 + sigma²)."""
    sampler = sampler_named(catalog, name)

    def error(steps: int) -> float:
        levels = build_sigmas(catalog.schedule("karras"), steps, sd1)
        plan = Trajectory("sigma", levels, sd1, steps)
        start = torch.full((1, 1, 1, 1), math.sqrt(1 + float(levels[0]) ** 2))
        x = sampler.run(
            lambda x, sigma: x / (1 + sigma**2),
            start,
            plan,
            noise=lambda *_: torch.zeros_like(start),
        )
        return abs(float(x) - 1)

    assert error(12) < (0.3 if name == "Euler" else 0.1)
    assert error(96) < error(12) / 4


@pytest.mark.parametrize("name", ["DDIM", "PLMS", "UniPC"])
def test_timestep_samplers_keep_a_normal_sample(
    name: str, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    """If pictures are standard normal, the noise is sqrt(1 - ᾱ) x and x never changes."""
    sampler = sampler_named(catalog, name)
    plan = plan_txt2img(sampler, None, 50, sd1)
    x = torch.linspace(-2, 2, 16).reshape(1, *SHAPE)

    def denoiser(x: Tensor, timestep: Tensor) -> Tensor:
        alpha = sd1.alphas_cumprod[timestep.long()]
        return x * (1 - alpha).sqrt()

    found = sampler.run(denoiser, x, plan, noise=lambda *_: x)
    torch.testing.assert_close(found, x, rtol=0.03, atol=0)


@pytest.mark.parametrize("variant", ["bh1", "bh2", "vary_coeff"])
@pytest.mark.parametrize("skip_type", ["time_uniform", "time_quadratic", "logSNR"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_unipc_options_lead_to_the_same_picture(
    variant: Any,
    skip_type: Any,
    order: int,
    catalog: Catalog,
    sd1: NoiseSchedule,
    toy: Any,
    wavy: Any,
) -> None:
    sampler = sampler_named(catalog, "UniPC")
    plan = plan_txt2img(sampler, None, 60, sd1)
    initial, noise = noise_for(sampler, plan, [1])
    unipc = UniPCOptions(variant, skip_type, order, lower_order_final=order < 4)

    def run(unipc: UniPCOptions) -> Tensor:
        model = toy(sampler, plan, wavy)
        options = SamplerOptions(unipc=unipc)
        return sampler.run(model, plan.start(initial), plan, noise=noise, options=options)

    found, reference = run(unipc), run(UniPCOptions())
    torch.testing.assert_close(found, reference, rtol=0.02, atol=0.01)
    assert torch.equal(found, reference) == (unipc == UniPCOptions())


def test_unipc_lowers_its_order_to_the_steps(
    catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    sampler = sampler_named(catalog, "UniPC")
    plan = plan_txt2img(sampler, None, 2, sd1)
    initial, noise = noise_for(sampler, plan, [1])

    def run(order: int) -> Tensor:
        options = SamplerOptions(unipc=UniPCOptions(order=order))
        model = toy(sampler, plan, wavy)
        return sampler.run(model, plan.start(initial), plan, noise=noise, options=options)

    assert torch.equal(run(50), run(2))


@pytest.mark.parametrize("name", STEPWISE)
def test_each_step_is_told_once(
    name: str, catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    sampler, plan = sampler_named(catalog, name), plan_for(catalog, name, 10, sd1)
    initial, noise = noise_for(sampler, plan, [1])
    told: list[tuple[int, Tensor, Tensor, Tensor]] = []
    model = toy(sampler, plan, wavy)
    x = sampler.run(
        model,
        plan.start(initial),
        plan,
        noise=noise,
        on_step=lambda *step: told.append(step),
    )
    count = len(plan.levels) - (0 if name == "UniPC" else 1)
    assert [step[0] for step in told] == list(range(count))
    assert torch.equal(told[-1][2], x)
    levels = torch.stack([step[1].float() for step in told])
    assert (levels.diff() < 0).all()
    assert all(step[3].shape == x.shape for step in told)
    extra = {"PLMS": 1}.get(name, count - 1 if sampler.second_order else 0)
    assert model.calls == count + extra


@pytest.mark.parametrize("name", NAMES)
def test_a_listener_stops_the_sampler(
    name: str, catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    sampler, plan = sampler_named(catalog, name), plan_for(catalog, name, 10, sd1)
    initial, noise = noise_for(sampler, plan, [1])
    model = toy(sampler, plan, wavy)

    def stop(index: int, level: Tensor, x: Tensor, denoised: Tensor, /) -> None:  # noqa: ARG001
        if index == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        sampler.run(model, plan.start(initial), plan, noise=noise, on_step=stop)
    assert 2 <= model.calls <= 6


@pytest.mark.parametrize(
    "name", ["Euler a", "DPM2 a", "DPM++ 2S a", "DPM fast", "DPM++ 2M SDE", "DDIM"]
)
def test_eta_sets_the_share_of_fresh_noise(
    name: str, catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    sampler, plan = sampler_named(catalog, name), plan_for(catalog, name, 6, sd1)
    initial, _ = noise_for(sampler, plan, [1])
    drawn: list[tuple[float, float]] = []
    noise = constant_noise(drawn)

    def run(eta: float) -> tuple[Tensor, int]:
        drawn.clear()
        model = toy(sampler, plan, wavy)
        options = SamplerOptions(eta=eta)
        x = sampler.run(model, plan.start(initial), plan, noise=noise, options=options)
        return x, len(drawn)

    (plain, none), (half, some), (full, all_of_them) = run(0.0), run(0.5), run(1.0)
    assert none == 0 and some == all_of_them > 0
    assert not torch.equal(plain, half) and not torch.equal(half, full)


def test_without_fresh_noise_ancestral_euler_is_euler(
    catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    plan = plan_for(catalog, "Euler", 9, sd1)
    ancestral, euler = sampler_named(catalog, "Euler a"), sampler_named(catalog, "Euler")
    initial, noise = noise_for(euler, plan, [1])
    x = plan.start(initial)
    options = SamplerOptions(eta=0.0)
    found = ancestral.run(toy(ancestral, plan, wavy), x, plan, noise=noise, options=options)
    assert torch.equal(found, euler.run(toy(euler, plan, wavy), x, plan, noise=noise))


@pytest.mark.parametrize("name", ["Euler", "Heun", "DPM2"])
def test_churn_works_within_its_bounds(
    name: str, catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    sampler, plan = sampler_named(catalog, name), plan_for(catalog, name, 8, sd1)
    initial, _ = noise_for(sampler, plan, [1])
    drawn: list[tuple[float, float]] = []
    noise = constant_noise(drawn)

    def run(options: SamplerOptions) -> tuple[Tensor, int]:
        drawn.clear()
        model = toy(sampler, plan, wavy)
        x = sampler.run(model, plan.start(initial), plan, noise=noise, options=options)
        return x, len(drawn)

    plain, none = run(SamplerOptions())
    outside, drawn_outside = run(SamplerOptions(s_churn=5.0, s_tmin=100.0))
    churned, _ = run(SamplerOptions(s_churn=5.0))
    bounded, _ = run(SamplerOptions(s_churn=5.0, s_tmax=2.0))
    louder, _ = run(SamplerOptions(s_churn=5.0, s_noise=1.05))
    assert none == 0 and drawn_outside == 8
    assert torch.equal(plain, outside)
    results = [plain, churned, bounded, louder]
    assert not any(torch.equal(a, b) for i, a in enumerate(results) for b in results[:i])


def test_churn_raises_the_level_by_at_most_the_square_root_of_two() -> None:
    x, sigma = torch.zeros(1, 1, 1, 1), torch.tensor(2.0)
    churn = Churn(s_churn=100.0, s_noise=0.5)
    raised_x, raised = churn.raise_level(x, sigma, lambda *_: torch.ones_like(x), 10)
    assert float(raised) == pytest.approx(2 * math.sqrt(2))
    assert float(raised_x) == pytest.approx(0.5 * 2.0)
    _, raised = Churn(s_churn=1.0).raise_level(x, sigma, lambda *_: x, 10)
    assert float(raised) == pytest.approx(2.2)


def test_ancestral_steps_keep_the_variance() -> None:
    sigma, sigma_next = torch.tensor(5.0), torch.tensor(3.0)
    for eta in (0.0, 0.3, 1.0, 9.0):
        down, up = ancestral_step(sigma, sigma_next, eta)
        assert float(down**2 + up**2) == pytest.approx(9.0)
    assert float(ancestral_step(sigma, sigma_next, 1.0)[1]) == pytest.approx(3 * 4 / 5)
    assert ancestral_step(sigma, sigma_next, 9.0)[0] == 0


def test_multistep_weights_integrate_cubics_exactly() -> None:
    sigmas = torch.tensor([9.0, 6.0, 4.5, 3.0, 1.0], dtype=torch.float64)
    weights = adams_bashforth_weights(sigmas, 3, 4)
    slopes = [float(s) ** 3 - 2 * float(s) for s in sigmas[:4].flip(0)]
    integral = (1 / 4 - 1) - (3**4 / 4 - 9)
    assert sum(w * s for w, s in zip(weights, slopes, strict=True)) == pytest.approx(integral)
    even = torch.tensor([4.0, 3.0, 2.0])
    assert adams_bashforth_weights(even, 1, 2) == pytest.approx([-1.5, 0.5])


@pytest.mark.parametrize(
    ("steps", "main", "restarts", "length"),
    [(19, 19, 0, 0), (20, 11, 1, 9), (36, 18, 2, 9), (50, 26, 2, 12)],
)
def test_restarts_go_back_from_a_tenth_to_two(
    steps: int, main: int, restarts: int, length: int, sd1: NoiseSchedule
) -> None:
    sigmas = karras_sigmas(steps, sd1.sigma_min, sd1.sigma_max)
    walk = list(restart_steps(sigmas))
    assert len(walk) == main + restarts * length == steps
    ups = [
        (float(before[1]), float(after[0]))
        for before, after in itertools.pairwise(walk)
        if after[0] > before[1] * 1.001
    ]
    assert len(ups) == restarts
    for low, high in ups:
        assert 0.03 < low < 0.25 and 1.2 < high < 3.0
    assert walk[-1][1] == 0


def test_noise_is_asked_for_the_levels_of_the_step(
    catalog: Catalog, sd1: NoiseSchedule, toy: Any, wavy: Any
) -> None:
    sampler, plan = (
        sampler_named(catalog, "DPM++ 2M SDE"),
        plan_for(catalog, "DPM++ 2M SDE", 5, sd1),
    )
    asked: list[tuple[float, float]] = []
    noise = constant_noise(asked)

    sampler.run(toy(sampler, plan, wavy), torch.ones(1, *SHAPE), plan, noise=noise)
    levels = plan.levels.tolist()
    assert asked == list(itertools.pairwise(levels[:-1]))


def test_a_broken_network_does_not_keep_the_adaptive_sampler_busy(
    catalog: Catalog, sd1: NoiseSchedule
) -> None:
    sampler, plan = (
        sampler_named(catalog, "DPM adaptive"),
        plan_for(catalog, "DPM adaptive", 5, sd1),
    )
    initial, noise = noise_for(sampler, plan, [1])
    x = sampler.run(lambda x, _: x * math.nan, plan.start(initial), plan, noise=noise)
    assert x.isnan().all()
