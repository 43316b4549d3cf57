from typing import Any

import pytest
import torch

from webui.sampling.catalog import Catalog
from webui.sampling.noise_schedule import NoiseSchedule
from webui.sampling.sigmas import Schedule, ScheduleInput, ScheduleOptions, build_sigmas

LABELS = (
    "Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal",
    "Align Your Steps", "Simple", "Normal", "DDIM", "Beta",
)  # fmt: skip


def close(found: torch.Tensor, recorded: list[float], rtol: float = 1e-6) -> None:
    torch.testing.assert_close(found, torch.tensor(recorded), rtol=rtol, atol=0)


@pytest.mark.parametrize("label", LABELS)
def test_schedule_equals_the_recorded_tables(
    label: str, golden: Any, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    tables = golden("vectors/sigmas_sd1.json")["schedulers"][label]["tables"]
    assert tables
    for steps, recorded in tables.items():
        close(build_sigmas(catalog.schedule(label), int(steps), sd1), recorded)


def test_overridden_ranges_equal_the_recorded_tables(
    golden: Any, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    cases = golden("vectors/sigmas_sd1.json")["custom"]
    assert len(cases) == 11
    for case in cases:
        options = ScheduleOptions(**case["args"])
        found = build_sigmas(catalog.schedule(case["scheduler"]), case["n"], sd1, options)
        close(found, case["sigmas"])


def test_sdxl_has_its_own_align_your_steps(
    golden: Any, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    recorded = golden("vectors/functions_sigmas_sd1.json")
    for key, steps in (("steps10", 10), ("steps20", 20)):
        options = ScheduleOptions(table="sdxl")
        found = build_sigmas(catalog.schedule("align_your_steps"), steps, sd1, options)
        close(found[:-1], recorded[key]["Align Your Steps (SDXL)"][:-1], rtol=1e-4)
        assert found[-1] == 0
    eleven = build_sigmas(catalog.schedule("align_your_steps"), 11, sd1)
    close(eleven[[0, 5, 10]], [14.615, 1.396, 0.029])


def test_old_karras_range_holds_for_any_schedule(
    golden: Any, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    options = ScheduleOptions(old_karras_range=True)
    recorded = golden("vectors/functions_sigmas_sd1.json")["karras_old_0.1_10_steps10"]
    close(build_sigmas(catalog.schedule("karras"), 10, sd1, options)[:-1], recorded[:-1], rtol=1e-5)
    exponential = build_sigmas(catalog.schedule("exponential"), 10, sd1, options)
    close(exponential[[0, -2]], [10.0, 0.1])


def test_rho_matters_only_where_there_is_a_default(catalog: Catalog, sd1: NoiseSchedule) -> None:
    options = ScheduleOptions(rho=3.0)
    for label in LABELS:
        schedule = catalog.schedule(label)
        plain, changed = build_sigmas(schedule, 9, sd1), build_sigmas(schedule, 9, sd1, options)
        assert torch.equal(plain, changed) == (label not in ("Karras", "Polyexponential"))


@pytest.mark.parametrize("by_sampler", [True, False])
def test_discarding_drops_the_second_to_last_of_one_more(
    by_sampler: bool, catalog: Catalog, sd1: NoiseSchedule
) -> None:
    schedule = catalog.schedule("karras")
    options = ScheduleOptions(discard_penultimate=not by_sampler)
    found = build_sigmas(schedule, 10, sd1, options, discard_penultimate=by_sampler)
    longer = build_sigmas(schedule, 11, sd1)
    assert torch.equal(found[:-1], longer[:-2])
    assert found[-1] == 0 and len(found) == 11


def test_beta_shape_moves_the_sigmas(catalog: Catalog, sd1: NoiseSchedule) -> None:
    schedule = catalog.schedule("beta")
    plain = build_sigmas(schedule, 12, sd1)
    skewed = build_sigmas(schedule, 12, sd1, ScheduleOptions(beta_alpha=0.3, beta_beta=0.9))
    assert torch.equal(plain[[0, -1]], skewed[[0, -1]])
    assert (skewed[1:-2] < plain[1:-2]).all()


@pytest.mark.parametrize("label", LABELS)
def test_no_steps_give_an_empty_run(label: str, catalog: Catalog, sd1: NoiseSchedule) -> None:
    assert build_sigmas(catalog.schedule(label), 0, sd1).tolist() == [0.0]


def test_a_schedule_from_elsewhere_gets_the_range_and_the_steps(sd1: NoiseSchedule) -> None:
    def halving(given: ScheduleInput) -> torch.Tensor:
        powers = torch.arange(given.steps)
        return torch.cat([given.sigma_max * 0.5**powers, torch.zeros(1)])

    schedule = Schedule("halving", "Halving", halving)
    found = build_sigmas(schedule, 3, sd1, ScheduleOptions(sigma_max=8.0))
    assert found.tolist() == [8.0, 4.0, 2.0, 0.0]
