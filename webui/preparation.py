"""What a run is made of: the settings and prompts that all its runs agree on, the engine's task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from webui.engine.refiner import RefinerPlan
from webui.engine.task import InitPictures, Prompts, Task, Workshop
from webui.image_files.store import PictureStore
from webui.jobs.handle import JobHandle
from webui.prompt.attention import weighted_texts
from webui.prompt.comments import strip_comments
from webui.prompt.composition import split_composition
from webui.prompt.extra_networks import (
    HYPERNETWORK_KIND,
    LORA_KINDS,
    hypernetwork_arguments,
    lora_arguments,
    parse_extra_networks,
)
from webui.prompt.style_files import StyleBook
from webui.prompt.styles import apply_styles
from webui.request import Batch, GenerationRequest, plan_batches
from webui.settings import Settings, overridden


def check_prompts(request: GenerationRequest, settings: Settings) -> None:
    """Refuse prompts that cannot be read, before the job waits for its turn.

    Raises: InvalidRequest: a malformed weight.
    """
    if settings.use_old_emphasis_implementation:
        return
    for part in split_composition(strip_comments(request.prompt)):
        weighted_texts(part.text, settings.emphasis)
    weighted_texts(strip_comments(request.negative_prompt), settings.emphasis)
    check_tags(request)


def check_tags(request: GenerationRequest) -> None:
    """Refuse tags that cannot be read. Raises: InvalidRequest."""
    texts = (request.prompt, request.hires.prompt if request.hires else "")
    for text in texts:
        for tag in parse_extra_networks(strip_comments(text)).networks:
            if tag.kind in LORA_KINDS:
                lora_arguments(tag)
            elif tag.kind == HYPERNETWORK_KIND:
                hypernetwork_arguments(tag)


def agreed_by_all_runs(
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


def make_task(
    request: GenerationRequest,
    settings: Settings,
    prompts: Prompts,
    model_key: str,
    pictures: PictureStore,
    refiner: RefinerPlan | None,
) -> Task:
    """The engine's task for the first batch, without extra networks.

    Args:
        model_key: see `Task`.
    Raises: BadImage: a picture of the request is gone or damaged.
    """
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
        refiner=refiner,
    )


def parts_of(task: Task, workshop: Workshop) -> Iterator[Task]:
    """The batch as it is, or picture by picture: by setting, or as its sampler needs."""
    sampler = workshop.sampling.resolve(task.request.sampler, task.request.schedule).sampler
    if not (task.settings.batch_invariant or sampler.batch_coupled):
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
