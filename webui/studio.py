"""What all runs share, and what one run takes of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from webui.engine.refiner import RefinerPlan, RefinerRule
from webui.engine.task import Workshop
from webui.extensions.registry import Extensions
from webui.extensions.runs import Run
from webui.extensions.toolbox import HostToolbox, Shelf, pixel_upscalers
from webui.families.base import LoadedModel
from webui.image_files.archive import Archive
from webui.image_files.store import PictureStore
from webui.job_networks import JobNetworks, NetworkStock
from webui.jobs.handle import JobHandle
from webui.model_manager.catalog import CheckpointFile
from webui.model_manager.loader import ignore_progress
from webui.request import GenerationRequest


class Models(Protocol):
    """What a run needs of the model manager."""

    def file(self, name: str) -> CheckpointFile:
        """The checkpoint that a name means, with its hash."""

    def use(
        self, name: str, on_progress: Callable[[float], None]
    ) -> AbstractContextManager[LoadedModel]:
        """Load a checkpoint, telling how far it is (0 to 1), and keep it for the duration."""


@dataclass(frozen=True, slots=True)
class Studio:
    """What all runs share."""

    models: Models
    workshop: Workshop
    pictures: PictureStore
    archive: Archive
    networks: NetworkStock
    extensions: Extensions
    shelf: Shelf


def extended_by(job: JobHandle, request: GenerationRequest, studio: Studio) -> tuple[Run, Workshop]:
    """The extensions' part in the job, and the workshop with their upscalers."""
    extensions, workshop = studio.extensions, studio.workshop
    toolbox = HostToolbox(studio.shelf, studio.pictures, job.check)
    more = pixel_upscalers(extensions.offers, toolbox, extensions.guard)
    extended = Run(extensions, request, toolbox, job.warn)
    return extended, replace(workshop, upscalers={**workshop.upscalers, **more})


def plan_refiner(
    networks: JobNetworks, model: LoadedModel, models: Models, open_models: ExitStack
) -> RefinerPlan | None:
    """The plan for the request's refiner, which is loaded when its turn comes."""
    request, settings = networks.request, networks.settings
    if request.refiner is None:
        return None
    name = request.refiner.checkpoint
    file = models.file(name)
    loaded: list[LoadedModel] = []

    def load() -> LoadedModel:
        if not loaded:
            loaded.append(open_models.enter_context(models.use(name, ignore_progress)))
        networks.put_on_refiner(loaded[0], model, file)
        return loaded[0]

    rule = RefinerRule(request.refiner.switch_at, settings.refiner_switch_by_sample_steps)
    return RefinerPlan(rule, load, file.short_title)
