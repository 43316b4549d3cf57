"""Carry out a job of the Extras tab: each picture read, processed and written exactly once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from webui.errors import Skipped
from webui.image_files.archive import Archive, Place
from webui.image_files.filenames import FileNameFacts
from webui.image_files.infotext import quote
from webui.image_files.metadata import read_metadata
from webui.image_files.store import PictureStore
from webui.images.resize import Upscaler
from webui.jobs.handle import JobHandle
from webui.postprocess.network import OnTile
from webui.postprocess.pipeline import Processed, process
from webui.postprocess.request import ExtrasRequest
from webui.settings import Settings

MOST_RESULTS = 1000
"""Of one picture; splitting makes several."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a run needs.

    Attributes:
        find: an upscaler by name. Raises: InvalidRequest.
        settings: in force now.
    """

    pictures: PictureStore
    archive: Archive
    find: Callable[[str, OnTile], Upscaler | None]
    settings: Settings


def run_extras(job: JobHandle, request: ExtrasRequest, bench: Bench) -> str:
    """Process a request's pictures in order; finished ones of an earlier run are not made again.

    Returns: the result as JSON: the number of pictures.
    Raises: WebUIError, Interrupted.
    """
    created = datetime.fromisoformat(job.remember(datetime.now().astimezone().isoformat()))
    total = len(request.pictures)
    for number in range(total):
        job.start_batch(number, total)
        try:
            _one(job, request, bench, number, created)
        except Skipped:
            continue
    return json.dumps({"pictures": len(job.finished)})


def _one(
    job: JobHandle, request: ExtrasRequest, bench: Bench, number: int, created: datetime
) -> None:
    first = number * MOST_RESULTS
    if first in job.finished:
        return
    content = bench.pictures.read(request.pictures[number])

    def on_tile(index: int, tiles: int) -> None:
        job.step(index, tiles)

    made = process(
        bench.pictures.open(request.pictures[number]),
        request,
        lambda name: bench.find(name, on_tile),
    )
    if len(made) > MOST_RESULTS:
        job.warn(f"Only the first {MOST_RESULTS} parts of a picture are kept.")
    write = _writer(job, request, bench, content, created)
    # the first one last: it tells that the picture is done
    for offset in (*range(1, min(len(made), MOST_RESULTS)), 0):
        if first + offset not in job.finished:
            write(first + offset, made[offset])
    job.check()


def _writer(
    job: JobHandle, request: ExtrasRequest, bench: Bench, content: bytes, created: datetime
) -> Callable[[int, Processed], None]:
    """What writes one result beside what its original said of itself."""
    found = read_metadata(content)

    def write(index: int, picture: Processed) -> None:
        place = Place("extras", False, request.is_saved, job.job.id, index)
        taken = [str(unit["path"]) for unit in job.reserved_elsewhere()]
        number = index // MOST_RESULTS
        name = request.names[number] if number < len(request.names) else ""
        facts = FileNameFacts(created=created, basename=name)
        planned = bench.archive.plan(place, picture.image.size, facts, bench.settings, taken)
        path = str(job.begin_unit(index, {"path": planned})["path"])
        said = notes_text(picture)
        texts = {**found.items, "postprocessing": said, "extras": said} if said else found.items
        written = bench.archive.write(path, picture.image, found.infotext, bench.settings, texts)
        for warning in written.warnings:
            job.warn(warning)
        job.finish_unit(
            index,
            {
                "kind": "image",
                "path": path,
                "is_saved": request.is_saved,
                "infotext": found.infotext or "",
                "extras": said,
                "width": picture.image.width,
                "height": picture.image.height,
            },
        )

    return write


def notes_text(picture: Processed) -> str:
    """What was done, as A1111 writes it: ``key: value, ...``."""
    return ", ".join(f"{key}: {quote(value)}" for key, value in picture.notes.items())
