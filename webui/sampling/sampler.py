"""A sampler as the engine sees it: one description, one way to run it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from webui.sampling.denoiser import Space
from webui.sampling.protocols import Denoiser, NoiseSource, OnStep, PairDenoiser, ignore
from webui.sampling.samplers import Churn
from webui.sampling.samplers_unipc import UniPCOptions
from webui.sampling.trajectory import Trajectory


@dataclass(frozen=True)
class SamplerOptions:
    """Every number that a sampler may take; each sampler uses those that its row names.

    Attributes:
        eta: the request's share of fresh noise, 0 to 1; None to use one of the next two.
        eta_ancestral: used in sigma space if `eta` is None.
        eta_ddim: used in timestep space if `eta` is None.
        s_churn, s_tmin, s_tmax, s_noise: see `samplers.Churn`; ``s_tmax`` 0 stands for no bound.
        unipc: UniPC's own options.
    """

    eta: float | None = None
    eta_ancestral: float = 1.0
    eta_ddim: float = 0.0
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = 0.0
    s_noise: float = 1.0
    unipc: UniPCOptions = field(default_factory=UniPCOptions)


DEFAULT_OPTIONS = SamplerOptions()


@dataclass(frozen=True)
class Sampler:
    """A row of the catalog.

    Attributes:
        name: what requests, infotexts and the page say.
        aliases: further names, lower case.
        function: ``(denoiser, x, levels, *, noise, on_step, ...)``, pure.
        space: what the levels are, and with it what the denoiser must answer
            (`protocols.Denoiser`).
        schedule: name of the schedule that "Automatic" stands for; None for the model's own.
        options: which of ``eta, s_noise, churn, unipc`` the function takes.
        inputs: which fields of the trajectory the function takes.
        extra: further fixed arguments, also listed by the API.
        second_order: two model calls a step.
        uses_ensd: the infotext records ENSD.
        brownian_noise: wants noise of a Brownian tree.
        discard_penultimate: the second-to-last sigma is dropped.
        consistency: needs the denoiser of consistency models.
        needs_uncond: the denoiser must be a `protocols.PairDenoiser`.
        cfg_scale_factor: the guidance scale is to be multiplied by this.
        batch_coupled: the pictures of a batch share step sizes, so that one alone comes out
            differently.
    """

    name: str
    aliases: tuple[str, ...]
    function: Callable[..., Tensor]
    space: Space = "sigma"
    schedule: str | None = None
    options: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    second_order: bool = False
    uses_ensd: bool = False
    brownian_noise: bool = False
    discard_penultimate: bool = False
    consistency: bool = False
    needs_uncond: bool = False
    cfg_scale_factor: float = 1.0
    batch_coupled: bool = False

    def model_calls(self, steps: int) -> int:
        """Give the steps that prompt editing counts: model calls, two a step if second-order."""
        return steps * 2 if self.second_order else steps

    def eta(self, options: SamplerOptions) -> float:
        """Give the share of fresh noise that holds for this sampler."""
        if options.eta is not None:
            return options.eta
        return options.eta_ancestral if self.space == "sigma" else options.eta_ddim

    def api_options(self) -> dict[str, str]:
        """List the row's flags as A1111's API does."""
        listed = {"scheduler": self.schedule} if self.schedule else {}
        flags = {
            "discard_next_to_last_sigma": self.discard_penultimate,
            "uses_ensd": self.uses_ensd,
            "second_order": self.second_order,
            "brownian_noise": self.brownian_noise,
        }
        listed.update({name: "True" for name, is_set in flags.items() if is_set})
        return {**listed, **dict(self.extra)}

    def run(
        self,
        denoiser: Denoiser | PairDenoiser,
        x: Tensor,
        trajectory: Trajectory,
        *,
        noise: NoiseSource,
        options: SamplerOptions = DEFAULT_OPTIONS,
        on_step: OnStep = ignore,
    ) -> Tensor:
        """Walk the trajectory.

        Args:
            denoiser: as `space` and `needs_uncond` ask.
            x: [B, C, h, w] float32 latents from `trajectory.start_latents`.
            noise: per-image noise, or a Brownian source if `brownian_noise`.
            options: the user's numbers.
            on_step: told after each step.
        Returns: the latents at the end, same shape and dtype; `x` itself if there are no steps.
        Raises: JobStopped: if `on_step` does.
        """
        if trajectory.is_empty or not len(trajectory.levels):
            return x
        arguments: dict[str, object] = {name: self._option(name, options) for name in self.options}
        arguments.update({name: getattr(trajectory, name) for name in self.inputs})
        arguments.update(self.extra)
        return self.function(
            denoiser, x, trajectory.levels, noise=noise, on_step=on_step, **arguments
        )

    def _option(self, name: str, options: SamplerOptions) -> object:
        if name == "eta":
            return self.eta(options)
        if name == "churn":
            s_tmax = options.s_tmax or math.inf
            return Churn(options.s_churn, options.s_tmin, s_tmax, options.s_noise)
        return getattr(options, name)
