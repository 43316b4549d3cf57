"""One picture without a browser: the same way as from the page, through a queue of its own."""

from __future__ import annotations

from pathlib import Path

from webui.errors import InvalidRequest, StorageError, WebUIError
from webui.flags import Flags, Generate
from webui.image_files.save import write_atomically
from webui.jobs.job import EventType, Job
from webui.paths import Paths
from webui.request import GenerationRequest, Saving, Seed
from webui.services import OWNER_LOCAL, Services, build
from webui.settings import PictureFormat

SUFFIXES: dict[str, PictureFormat] = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".webp": "webp",
    ".avif": "avif",
}


def generate(flags: Flags, wanted: Generate, paths: Paths) -> None:
    """Make a picture and write it to the file that was asked for.

    Args:
        paths: with a scratch folder, which holds the queue.
    Raises: WebUIError: with the sentence for the user.
    """
    form = SUFFIXES.get(wanted.out.suffix.lower())
    if form is None:
        raise InvalidRequest("out", f"--out needs a file name that ends in {', '.join(SUFFIXES)}.")
    if not wanted.out.absolute().parent.is_dir():
        raise StorageError(f"The folder of {wanted.out} does not exist: make it first.")
    request = GenerationRequest(
        prompt=wanted.prompt,
        negative_prompt=wanted.negative_prompt,
        checkpoint=flags.checkpoint and Path(flags.checkpoint).name,
        width=wanted.width,
        height=wanted.height,
        sampler=wanted.sampler,
        schedule=wanted.schedule,
        steps=wanted.steps,
        cfg_scale=wanted.cfg_scale,
        seed=Seed(seed=wanted.seed),
        saving=Saving(samples=False, grid=False),
        overrides={"samples_format": form, "live_previews_enable": False},
    )
    services = build(flags, paths)
    services.start_working()
    try:
        job = services.submit(request, OWNER_LOCAL)
        _follow(services, job)
        facts = services.queue.units(job.id, OWNER_LOCAL)[0].facts
        write_atomically(wanted.out.absolute(), services.result_bytes(facts))
        print(facts["infotext"])  # noqa: T201 - what the command is for
    finally:
        services.stop()


def _follow(services: Services, job: Job) -> None:
    for event in services.queue.subscribe(job.id, OWNER_LOCAL):
        if event.type is EventType.FAILED:
            raise WebUIError(str(event.data.get("error") or "The picture could not be made."))
