import inspect
from typing import Any

import pytest

from webui.sampling.catalog import Catalog
from webui.sampling.sampler import Sampler, SamplerOptions
from webui.sampling.samplers import sample_euler
from webui.sampling.sigmas import Schedule, karras


def test_samplers_are_those_that_the_api_lists(golden: Any, catalog: Catalog) -> None:
    listed = [
        {"name": row.name, "aliases": list(row.aliases), "options": row.api_options()}
        for row in catalog.samplers
    ]
    assert listed == golden("api/samplers.json")


def test_schedules_are_those_that_the_api_lists(golden: Any, catalog: Catalog) -> None:
    listed = [
        {
            "name": row.name,
            "label": row.label,
            "aliases": list(row.aliases) or None,
            "default_rho": row.default_rho,
            "need_inner_model": row.need_inner_model,
        }
        for row in catalog.schedules
    ]
    assert listed == golden("api/schedulers.json")


def test_each_function_takes_what_its_row_names(catalog: Catalog) -> None:
    for row in catalog.samplers:
        parameters = inspect.signature(row.function).parameters
        own = set(parameters) - {"denoiser", "x", "sigmas", "timesteps", "noise", "on_step"}
        named = {*row.options, *row.inputs, *dict(row.extra)}
        assert named <= own, row.name
        assert own - named <= {"order", "solver_type"}, row.name


@pytest.mark.parametrize(
    ("sampler", "schedule", "expected"),
    [
        ("Euler", "Karras", ("Euler", "Karras", "Karras")),
        ("Euler", "karras", ("Euler", "Karras", "Karras")),
        ("Euler", None, ("Euler", "Automatic", "Automatic")),
        ("Euler", "no such schedule", ("Euler", "Automatic", "Automatic")),
        ("Euler", "SGMUniform", ("Euler", "Automatic", "Automatic")),
        ("DPM++ 2M", "Automatic", ("DPM++ 2M", "Automatic", "Karras")),
        ("DPM++ 2M", "Karras", ("DPM++ 2M", "Automatic", "Karras")),
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "Automatic", "Karras")),
        ("DPM++ 2M SDE Karras", "Exponential", ("DPM++ 2M SDE", "Karras", "Karras")),
        ("DPM++ 2M SGMUniform", None, ("DPM++ 2M", "SGM Uniform", "SGM Uniform")),
        ("Euler a align_your_steps", None, ("Euler a", "Align Your Steps", "Align Your Steps")),
        ("DPM++ 3M SDE Exponential", None, ("DPM++ 3M SDE", "Automatic", "Exponential")),
        ("DDIM", "Karras", ("DDIM", "Karras", "Karras")),
        (None, None, ("DPM++ 2M", "Automatic", "Karras")),
        ("", "", ("DPM++ 2M", "Automatic", "Karras")),
    ],
)
def test_names_resolve(
    sampler: str | None, schedule: str | None, expected: tuple[str, str, str], catalog: Catalog
) -> None:
    choice = catalog.resolve(sampler, schedule)
    found = (choice.sampler.name, choice.schedule.label, choice.effective_schedule.label)
    assert found == expected
    assert not choice.is_fallback


@pytest.mark.parametrize("name", ["k_euler", "euler", "Euler A", "no such sampler"])
def test_unknown_samplers_become_the_first(name: str, catalog: Catalog) -> None:
    choice = catalog.resolve(name, "Uniform")
    assert choice.is_fallback
    assert (choice.sampler.name, choice.schedule.label) == ("DPM++ 2M", "Uniform")


def test_steps_are_counted_in_model_calls(catalog: Catalog) -> None:
    twice = {row.name for row in catalog.samplers if row.model_calls(20) == 40}
    assert twice == {"DPM++ SDE", "DPM++ 2S a", "Heun", "DPM2", "DPM2 a", "Restart"}
    assert {row.model_calls(20) for row in catalog.samplers} == {20, 40}


def test_eta_of_the_request_wins_over_the_two_settings(catalog: Catalog) -> None:
    options = SamplerOptions(eta_ancestral=0.7, eta_ddim=0.2)
    ancestral, ddim = catalog.sampler("Euler a"), catalog.sampler("DDIM")
    assert ancestral is not None and ddim is not None
    assert (ancestral.eta(options), ddim.eta(options)) == (0.7, 0.2)
    assert ancestral.eta(SamplerOptions(eta=0.0, eta_ancestral=0.7)) == 0.0


def test_extensions_add_rows(catalog: Catalog) -> None:
    mine = Sampler("Mine", ("k_mine",), sample_euler, schedule="steep")
    steep = Schedule("steep", "Steep", karras, default_rho=9.0)
    extended = catalog.extended([mine], [steep])
    choice = extended.resolve("Mine", "Automatic")
    assert choice.sampler is mine and choice.effective_schedule is steep
    assert extended.resolve("Euler Steep").effective_schedule is steep
    assert catalog.sampler("Mine") is None


def test_a_taken_name_is_refused(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="Euler"):
        catalog.extended([Sampler("Euler", (), sample_euler)])
