"""The path from a request to saved pictures: the one use case of Easel."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace

from webui.engine.generate import generate
from webui.engine.task import Task, Workshop
from webui.engine.tiling import seamless
from webui.errors import Interrupted, Skipped
from webui.extensions.runs import Run
from webui.families.base import LoadedModel
from webui.job_networks import JobNetworks
from webui.jobs.handle import JobHandle
from webui.preparation import agreed_by_all_runs, make_task, parts_of
from webui.prompt.comments import strip_comments
from webui.prompt.style_files import StyleBook
from webui.recording import JobWatch, Recorder
from webui.request import GenerationRequest, plan_batches
from webui.settings import Settings
from webui.studio import Studio, extended_by, plan_refiner


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
    extended, workshop = extended_by(job, request, studio)
    request = extended.before_generate()
    settings, created, prompts = agreed_by_all_runs(job, request, settings, styles)
    assert request.checkpoint is not None
    name = request.checkpoint

    def on_progress(fraction: float) -> None:
        job.loading(fraction, name)

    on_progress(0.0)
    with ExitStack() as open_models:
        model = open_models.enter_context(studio.models.use(name, on_progress))
        open_models.enter_context(seamless(model.networks, enabled=bool(request.tiling)))
        open_models.enter_context(extended.patched(model))
        networks = JobNetworks(request, settings, prompts, studio.networks, job.warn)
        refiner = plan_refiner(networks, model, studio.models, open_models)
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
            image_input=model.image_input,
            vae=networks.vae,
            networks=lambda names: networks.infotext(model, names),
        )
        task = make_task(
            request, settings, networks.prompts, file.short_title, studio.pictures, refiner
        )
        for planned in plan_batches(request):
            if not recorder.is_done(planned):
                batch = extended.before_batch(planned)
                ready = networks.put_on(replace(task, batch=batch), model, file)
                _make(ready, model, workshop, recorder, extended)
    recorder.record_grid()
    extended.job_end(len(job.finished))
    return json.dumps({"pictures": len(job.finished)})


def _make(
    task: Task, model: LoadedModel, workshop: Workshop, recorder: Recorder, extended: Run
) -> None:
    job, request = recorder.job, task.request
    passes = 2 if request.hires else 1
    job.start_batch(task.batch.index * passes, request.batch_count * passes)
    watch = JobWatch(job, task, workshop.colors.of(model, task.model_key))
    try:
        for part in parts_of(task, workshop):
            hooks = extended.batch_hooks()
            outcome = generate(replace(part, hooks=hooks), model, workshop, watch)
            recorder.record(part.batch, extended.finish(outcome, hooks))
            if not outcome.is_complete:
                raise Interrupted("The job was interrupted.")
    except Skipped:
        return
