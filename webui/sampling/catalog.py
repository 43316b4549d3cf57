"""The table of samplers and schedules, and how names find their rows.

A new sampler is a function in `samplers*.py` and a row here; extensions add theirs with
`Catalog.extended`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from webui.sampling import sigmas
from webui.sampling.sampler import Sampler
from webui.sampling.samplers import (
    sample_dpm_2,
    sample_dpm_2_ancestral,
    sample_euler,
    sample_euler_ancestral,
    sample_heun,
    sample_lcm,
    sample_lms,
)
from webui.sampling.samplers_dpm import sample_dpm_adaptive, sample_dpm_fast
from webui.sampling.samplers_dpmpp import sample_dpmpp_2m, sample_dpmpp_2s_ancestral
from webui.sampling.samplers_restart import sample_restart
from webui.sampling.samplers_sde import (
    sample_dpmpp_2m_sde,
    sample_dpmpp_3m_sde,
    sample_dpmpp_sde,
)
from webui.sampling.samplers_timestep import sample_ddim, sample_ddim_cfgpp, sample_plms
from webui.sampling.samplers_unipc import sample_unipc
from webui.sampling.sigmas import Schedule


@dataclass(frozen=True)
class Choice:
    """What two names in a request mean.

    Attributes:
        sampler: the sampler.
        schedule: the schedule as requests record it: "Automatic" if it is the sampler's default.
        effective_schedule: the schedule that runs; "Automatic" here stands for the model's own.
        is_fallback: the sampler's name was unknown, the first of the catalog was taken instead.
    """

    sampler: Sampler
    schedule: Schedule
    effective_schedule: Schedule
    is_fallback: bool


@dataclass(frozen=True)
class Catalog:
    """All samplers and schedules, in the page's order; the first of each is the default."""

    samplers: tuple[Sampler, ...]
    schedules: tuple[Schedule, ...]

    def extended(
        self, samplers: Iterable[Sampler] = (), schedules: Iterable[Schedule] = ()
    ) -> Catalog:
        """Give a catalog with further rows.

        Raises: ValueError: if a name is taken.
        """
        catalog = Catalog((*self.samplers, *samplers), (*self.schedules, *schedules))
        names = [row.name for row in catalog.samplers]
        labels = [row.label for row in catalog.schedules]
        taken = [text for group in (names, labels) for text in group if group.count(text) > 1]
        if taken:
            raise ValueError(f"There is already a sampler or schedule named {taken[0]}.")
        return catalog

    def sampler(self, name: str) -> Sampler | None:
        """Find a sampler by its exact name."""
        return next((row for row in self.samplers if row.name == name), None)

    def schedule(self, name: str) -> Schedule | None:
        """Find a schedule by its exact name or label."""
        return next((row for row in self.schedules if name in (row.name, row.label)), None)

    def resolve(self, sampler_name: str | None, schedule_name: str | None = None) -> Choice:
        """Find the rows for the names of a request, an infotext or an API call, as A1111 does.

        A sampler's name may end in a schedule's ("DPM++ 2M Karras"), which then wins over
        `schedule_name`. Unknown samplers become the first of the catalog, unknown schedules
        "Automatic"; aliases of samplers are unknown here.
        """
        automatic = self.schedules[0]
        schedule = (self.schedule(schedule_name) if schedule_name else None) or automatic
        name = sampler_name or self.samplers[0].name
        for row in self.schedules:
            suffixes = [f" {text}" for text in (row.label, row.name, *row.aliases)]
            suffix = next((text for text in suffixes if name.endswith(text)), None)
            if suffix is not None:
                name, schedule = name.removesuffix(suffix), row
        found = self.sampler(name)
        sampler = found or self.samplers[0]
        default = (self.schedule(sampler.schedule) if sampler.schedule else None) or automatic
        if schedule == default:
            schedule = automatic
        effective = default if schedule == automatic else schedule
        return Choice(sampler, schedule, effective, is_fallback=found is None)


DPMPP_SDE = Sampler(
    "DPM++ SDE",
    ("k_dpmpp_sde",),
    sample_dpmpp_sde,
    schedule="karras",
    options=("eta", "s_noise"),
    second_order=True,
    brownian_noise=True,
)
DPMPP_2M_SDE = Sampler(
    "DPM++ 2M SDE",
    ("k_dpmpp_2m_sde",),
    sample_dpmpp_2m_sde,
    schedule="exponential",
    options=("eta", "s_noise"),
    brownian_noise=True,
)
DPMPP_2M_SDE_HEUN = replace(
    DPMPP_2M_SDE,
    name="DPM++ 2M SDE Heun",
    aliases=("k_dpmpp_2m_sde_heun",),
    extra=(("solver_type", "heun"),),
)
DPMPP_2S_A = Sampler(
    "DPM++ 2S a",
    ("k_dpmpp_2s_a",),
    sample_dpmpp_2s_ancestral,
    schedule="karras",
    options=("eta", "s_noise"),
    uses_ensd=True,
    second_order=True,
)
DPMPP_3M_SDE = Sampler(
    "DPM++ 3M SDE",
    ("k_dpmpp_3m_sde",),
    sample_dpmpp_3m_sde,
    schedule="exponential",
    options=("eta", "s_noise"),
    discard_penultimate=True,
    brownian_noise=True,
)
EULER_A = Sampler(
    "Euler a",
    ("k_euler_a", "k_euler_ancestral"),
    sample_euler_ancestral,
    options=("eta",),
    uses_ensd=True,
)
HEUN = Sampler("Heun", ("k_heun",), sample_heun, options=("churn",), second_order=True)
DPM2 = Sampler(
    "DPM2",
    ("k_dpm_2",),
    sample_dpm_2,
    schedule="karras",
    options=("churn",),
    discard_penultimate=True,
    second_order=True,
)
DPM2_A = Sampler(
    "DPM2 a",
    ("k_dpm_2_a",),
    sample_dpm_2_ancestral,
    schedule="karras",
    options=("eta", "s_noise"),
    discard_penultimate=True,
    uses_ensd=True,
    second_order=True,
)
DPM_FAST = Sampler(
    "DPM fast",
    ("k_dpm_fast",),
    sample_dpm_fast,
    options=("eta", "s_noise"),
    inputs=("span",),
    uses_ensd=True,
)
DPM_ADAPTIVE = Sampler(
    "DPM adaptive",
    ("k_dpm_ad",),
    sample_dpm_adaptive,
    options=("eta",),
    inputs=("span",),
    uses_ensd=True,
    batch_coupled=True,
)
RESTART = Sampler("Restart", ("restart",), sample_restart, schedule="karras", second_order=True)
DDIM = Sampler(
    "DDIM", ("ddim",), sample_ddim, "timestep", options=("eta",), inputs=("alphas_cumprod",)
)
DDIM_CFGPP = replace(
    DDIM,
    name="DDIM CFG++",
    aliases=("ddim_cfgpp",),
    function=sample_ddim_cfgpp,
    needs_uncond=True,
    cfg_scale_factor=1 / 12.5,
)
PLMS = Sampler("PLMS", ("plms",), sample_plms, "timestep", inputs=("alphas_cumprod",))
UNIPC = Sampler(
    "UniPC",
    ("unipc",),
    sample_unipc,
    "timestep",
    options=("unipc",),
    inputs=("alphas_cumprod", "is_partial"),
)

SAMPLERS: tuple[Sampler, ...] = (
    Sampler("DPM++ 2M", ("k_dpmpp_2m",), sample_dpmpp_2m, schedule="karras"),
    DPMPP_SDE,
    DPMPP_2M_SDE,
    DPMPP_2M_SDE_HEUN,
    DPMPP_2S_A,
    DPMPP_3M_SDE,
    EULER_A,
    Sampler("Euler", ("k_euler",), sample_euler, options=("churn",)),
    Sampler("LMS", ("k_lms",), sample_lms),
    HEUN,
    DPM2,
    DPM2_A,
    DPM_FAST,
    DPM_ADAPTIVE,
    RESTART,
    DDIM,
    DDIM_CFGPP,
    PLMS,
    UNIPC,
    Sampler("LCM", ("k_lcm",), sample_lcm, consistency=True),
)

SCHEDULES: tuple[Schedule, ...] = (
    Schedule("automatic", "Automatic", None),
    Schedule("uniform", "Uniform", sigmas.uniform, need_inner_model=True),
    Schedule("karras", "Karras", sigmas.karras, default_rho=7.0),
    Schedule("exponential", "Exponential", sigmas.exponential),
    Schedule("polyexponential", "Polyexponential", sigmas.polyexponential, default_rho=1.0),
    Schedule(
        "sgm_uniform", "SGM Uniform", sigmas.sgm_uniform, ("SGMUniform",), need_inner_model=True
    ),
    Schedule("kl_optimal", "KL Optimal", sigmas.kl_optimal),
    Schedule("align_your_steps", "Align Your Steps", sigmas.align_your_steps),
    Schedule("simple", "Simple", sigmas.simple, need_inner_model=True),
    Schedule("normal", "Normal", sigmas.normal, need_inner_model=True),
    Schedule("ddim", "DDIM", sigmas.ddim, need_inner_model=True),
    Schedule("beta", "Beta", sigmas.beta, need_inner_model=True),
)


def default_catalog() -> Catalog:
    """Give the samplers and schedules that Easel comes with."""
    return Catalog(SAMPLERS, SCHEDULES)
