"""The path from a request to saved pictures: the one use case of Easel."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from webui.engine.generate import generate
from webui.engine.refiner import RefinerPlan, RefinerRule
from webui.engine.task import Task, Workshop
from webui.engine.tiling import seamless
from webui.errors import Interrupted, Skipped
from webui.families.base import LoadedModel
from webui.image_files.archive import Archive
from webui.image_files.store import PictureStore
from webui.job_networks import JobNetworks, NetworkStock
from webui.jobs.handle import JobHandle
from webui.model_manager.catalog import CheckpointFile
from webui.model_manager.loader import ignore_progress
from webui.preparation import agreed_by_all_runs, make_task, parts_of
from webui.prompt.comments import strip_comments
from webui.prompt.style_files import StyleBook
from webui.recording import JobWatch, Recorder
from webui.request import GenerationRequest, plan_batches
from webui.settings import Settings


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


def run(
    job: JobHandle,
    request: GenerationRequest,
    settings: Settings,
    styles: StyleBook,
    studio: Studio,
) -> str:
    """Carry out a resolved request; what an earlier run finished is not made again.

    Args:
        settings, styles: in force now; the first run's hold for all runs of a job.
    Returns: the result as JSON: the number of pictures.
    Raises:
        WebUIError: with a sentence for the user.
        Interrupted: the user stopped the job; what was finished is recorded.
    """
    settings, created, prompts = agreed_by_all_runs(job, request, settings, styles)
    assert request.checkpoint is not None
    name = request.checkpoint

    def on_progress(fraction: float) -> None:
        job.loading(fraction, name)

    on_progress(0.0)
    with ExitStack() as open_models:
        model = open_models.enter_context(studio.models.use(name, on_progress))
        open_models.enter_context(seamless(model.networks, enabled=bool(request.tiling)))
        networks = JobNetworks(request, settings, prompts, studio.networks, job.warn)
        refiner = _refiner(networks, model, studio.models, open_models)
        file = studio.models.file(name)
        networks.give_vae(model, file)
        recorder = Recorder(
            job=job,
            request=request,
            settings=settings,
            archive=studio.archive,
            sampling=studio.workshop.sampling,
            prompts=networks.prompts,
            unstyled_prompt=strip_comments(request.prompt),
            created=created,
            model_name=file.stem,
            model_hash=file.short_hash or "",
            vae=networks.vae,
            networks=lambda names: networks.infotext(model, names),
        )
        task = make_task(
            request, settings, networks.prompts, file.short_title, studio.pictures, refiner
        )
        for batch in plan_batches(request):
            if not recorder.is_done(batch):
                ready = networks.put_on(replace(task, batch=batch), model, file)
                _make(ready, model, studio.workshop, recorder)
    recorder.record_grid()
    return json.dumps({"pictures": len(job.finished)})


def _make(task: Task, model: LoadedModel, workshop: Workshop, recorder: Recorder) -> None:
    job, request = recorder.job, task.request
    passes = 2 if request.hires else 1
    job.start_batch(task.batch.index * passes, request.batch_count * passes)
    watch = JobWatch(job, task, workshop.colors.of(model, task.model_key))
    try:
        for part in parts_of(task, workshop):
            outcome = generate(part, model, workshop, watch)
            recorder.record(part.batch, outcome)
            if not outcome.is_complete:
                raise Interrupted("The job was interrupted.")
    except Skipped:
        return


def _refiner(
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
