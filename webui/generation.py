"""The path from a request to saved pictures: the one use case of Easel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from torch import Tensor

from webui.engine.generate import generate
from webui.engine.preview import preview_jpeg
from webui.engine.task import InitPictures, Prompts, Task, Workshop
from webui.engine.tiling import seamless
from webui.errors import Interrupted, Skipped
from webui.families.base import LoadedModel
from webui.image_files.archive import Archive
from webui.image_files.store import PictureStore
from webui.jobs.handle import JobHandle
from webui.model_manager.catalog import CheckpointFile
from webui.prompt.comments import strip_comments
from webui.prompt.extra_networks import parse_extra_networks
from webui.prompt.style_files import StyleBook
from webui.prompt.styles import apply_styles
from webui.recording import Recorder
from webui.request import Batch, GenerationRequest, plan_batches
from webui.settings import Settings, overridden


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
    settings, created, prompts = _agreed(job, request, settings, styles)
    assert request.checkpoint is not None
    name = request.checkpoint

    def on_progress(fraction: float) -> None:
        job.loading(fraction, name)

    on_progress(0.0)
    with studio.models.use(name, on_progress) as model, _tiled(model, request):
        file = studio.models.file(name)
        recorder = Recorder(
            job=job,
            request=request,
            settings=settings,
            archive=studio.archive,
            sampling=studio.workshop.sampling,
            prompts=prompts,
            unstyled_prompt=strip_comments(request.prompt),
            created=created,
            model_name=file.stem,
            model_hash=file.short_hash or "",
        )
        task = _task(request, settings, prompts, file.name, studio.pictures)
        for batch in plan_batches(request):
            if not recorder.is_done(batch):
                _make(replace(task, batch=batch), model, studio.workshop, recorder)
    recorder.record_grid()
    return json.dumps({"pictures": len(job.finished)})


def _make(task: Task, model: LoadedModel, workshop: Workshop, recorder: Recorder) -> None:
    job, request = recorder.job, task.request
    passes = 2 if request.hires else 1
    job.start_batch(task.batch.index * passes, request.batch_count * passes)
    watch = _JobWatch(job, task)
    try:
        for part in _parts(task):
            outcome = generate(part, model, workshop, watch)
            recorder.record(part.batch, outcome)
            if not outcome.is_complete:
                raise Interrupted("The job was interrupted.")
    except Skipped:
        return


def _parts(task: Task) -> Iterator[Task]:
    """The batch as it is, or picture by picture where batches may not change a bit of it."""
    if not task.settings.batch_invariant:
        yield task
        return
    batch = task.batch
    for i, (seed, subseed) in enumerate(zip(batch.seeds, batch.subseeds, strict=True)):
        alone = Batch(
            index=batch.index,
            first_picture=batch.first_picture + i,
            seeds=(seed,),
            subseeds=(subseed,),
        )
        yield replace(task, batch=alone)


def _agreed(
    job: JobHandle, request: GenerationRequest, settings: Settings, styles: StyleBook
) -> tuple[Settings, datetime, Prompts]:
    """What every run of the job must agree on: stored by the first, read by the later ones."""
    chosen = styles.chosen(request.styles)
    positive, negative = apply_styles(request.prompt, request.negative_prompt, chosen)
    hires = ("", "")
    if request.hires is not None:
        hires = apply_styles(
            request.hires.prompt or request.prompt,
            request.hires.negative_prompt or request.negative_prompt,
            chosen,
        )
    texts = [positive, negative, *hires]
    if settings.enable_prompt_comments:
        texts = [strip_comments(text) for text in texts]
    first = {
        "settings": settings.model_dump(mode="json", exclude_defaults=True),
        "created": datetime.now().astimezone().isoformat(),
        "prompts": texts,
    }
    agreed = json.loads(job.remember(json.dumps(first)))
    snapshot = overridden(Settings.model_validate(agreed["settings"]), request.overrides)
    return snapshot, datetime.fromisoformat(agreed["created"]), Prompts(*agreed["prompts"])


def _task(
    request: GenerationRequest,
    settings: Settings,
    prompts: Prompts,
    model_key: str,
    pictures: PictureStore,
) -> Task:
    first = next(plan_batches(request))
    return Task(
        request=request,
        settings=settings,
        batch=first,
        prompts=Prompts(
            positive=parse_extra_networks(prompts.positive).text,
            negative=prompts.negative,
            hires_positive=parse_extra_networks(prompts.hires_positive).text,
            hires_negative=prompts.hires_negative,
        ),
        model_key=model_key,
        first_seeds=first.seeds,
        init=_init_pictures(request, pictures),
    )


def _init_pictures(request: GenerationRequest, pictures: PictureStore) -> InitPictures | None:
    init = request.init
    if init is None:
        return None
    inpaint = init.inpaint
    return InitPictures(
        images=tuple(pictures.open(image) for image in init.images),
        mask=pictures.open(inpaint.mask) if inpaint else None,
        latent_mask=pictures.open(inpaint.latent_mask) if inpaint and inpaint.latent_mask else None,
    )


def _tiled(model: LoadedModel, request: GenerationRequest) -> AbstractContextManager[None]:
    return seamless(model.networks, enabled=bool(request.tiling))


class _JobWatch:
    """Hands the engine's steps and previews to the job."""

    def __init__(self, job: JobHandle, task: Task) -> None:
        self._job = job
        self._task = task

    def enter_pass(self, number: int, count: int) -> None:
        """See `engine.task.Watch`."""
        if number:
            self._job.enter_pass(
                self._task.batch.index * count + number, self._task.request.batch_count * count
            )

    def step(self, index: int, total: int, denoised: Tensor) -> None:
        """See `engine.task.Watch`."""
        settings = self._task.settings
        every = settings.show_progress_every_n_steps
        if settings.live_previews_enable and every > 0 and index % every == 0 and index < total:
            self._job.preview(preview_jpeg(denoised))
        self._job.step(index, total)
