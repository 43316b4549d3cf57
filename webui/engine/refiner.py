"""A second checkpoint takes over for the last part of sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from webui.families.base import LoadedModel
from webui.sampling.denoiser import Space
from webui.sampling.noise_schedule import NoiseSchedule

LAST_TIMESTEP = 999


@dataclass(frozen=True, slots=True)
class RefinerRule:
    """When the refiner takes over.

    Attributes:
        switch_at: share of the noise levels (or of the model calls), 0: at once, 1: never.
        by_calls: count model calls instead of noise levels (A1111 before 1.8).
    """

    switch_at: float
    by_calls: bool

    def is_due(
        self, level: Tensor, space: Space, schedule: NoiseSchedule, call: int, total_calls: int
    ) -> bool:
        """Whether it takes over before this model call.

        Args:
            level: sigma or timestep, as `space` says.
            call: number of the call, from 0.
        """
        if self.switch_at >= 1:
            return False
        if self.by_calls:
            return call / max(total_calls, 1) >= self.switch_at
        if space == "timestep":
            timestep = float(level)
        else:
            timestep = float((schedule.sigmas - level).abs().argmin())
        return (LAST_TIMESTEP - timestep) / (LAST_TIMESTEP + 1) >= self.switch_at


@dataclass(frozen=True, slots=True)
class RefinerPlan:
    """The refiner of a task.

    Attributes:
        open: loads it (the first time) and keeps it for the rest of the job.
        key: as `Task.model_key`, of the refiner.
    """

    rule: RefinerRule
    open: Callable[[], LoadedModel]
    key: str
