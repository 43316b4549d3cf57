"""Finished pictures of jobs: read, kept apart with a log, packed, deleted."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from webui.errors import BadImage
from webui.image_files.archive import Archive
from webui.image_files.gallery import LogRow, append_log
from webui.image_files.infotext import split_infotext
from webui.image_files.save import write_atomically
from webui.jobs.job import Unit
from webui.jobs.queue import JobQueue
from webui.postprocess.request import EXTRAS_KIND
from webui.request import GenerationRequest, from_json


@dataclass(frozen=True, slots=True)
class SavedFiles:
    """What the save button wrote.

    Attributes:
        names: of the files, in the folder of chosen pictures.
    """

    names: tuple[str, ...]


class Results:
    """The pictures that jobs made.

    Args:
        chosen: folder of the pictures that the user saved from the gallery.
    """

    def __init__(self, queue: JobQueue, archive: Archive, chosen: Path) -> None:
        self._queue = queue
        self._archive = archive
        self._chosen = chosen

    def read(self, facts: Mapping[str, Any]) -> bytes:
        """A picture's file by its unit's facts.

        Raises: BadImage: it is gone.
        """
        return self._archive.read(str(facts.get("path", "")))

    def delete(self, job_id: str, index: int, owner: str | None) -> None:
        """Delete a picture's file.

        Raises: JobNotFound: not the owner's. BadImage: there is no such picture.
        """
        for unit in self._units(job_id, [index], owner):
            self._archive.delete(str(unit.facts["path"]))

    def save(
        self, job_id: str, indexes: Sequence[int], owner: str | None, *, log: bool
    ) -> SavedFiles:
        """Copy pictures to the folder of chosen ones.

        Args:
            log: add a row for each to the folder's log.csv.

        Raises: JobNotFound, BadImage, StorageError.
        """
        job = self._queue.get(job_id, owner)
        request = None if job.kind == EXTRAS_KIND else from_json(job.payload)
        names = []
        for unit in self._units(job_id, indexes, owner):
            content = self.read(unit.facts)
            self._chosen.mkdir(parents=True, exist_ok=True)
            name = self._free_name(PurePosixPath(str(unit.facts["path"])).name)
            write_atomically(self._chosen / name, content)
            if log:
                append_log(self._chosen / "log.csv", _log_row(name, unit, request))
            names.append(name)
        return SavedFiles(tuple(names))

    def zipped(self, job_id: str, indexes: Sequence[int], owner: str | None) -> bytes:
        """Pictures in one archive.

        Raises: JobNotFound, BadImage.
        """
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as packed:
            for unit in self._units(job_id, indexes, owner):
                name = PurePosixPath(str(unit.facts["path"])).name
                packed.writestr(f"{unit.index:03}-{name}", self.read(unit.facts))
        return out.getvalue()

    def _units(self, job_id: str, indexes: Sequence[int], owner: str | None) -> list[Unit]:
        units = {unit.index: unit for unit in self._queue.units(job_id, owner) if unit.finished}
        if not all(index in units for index in indexes):
            raise BadImage("There is no such picture (any more).")
        return [units[index] for index in indexes]

    def _free_name(self, name: str) -> str:
        stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
        number = 0
        while (self._chosen / name).exists():
            number += 1
            name = f"{stem}-{number}{suffix}"
        return name


def _log_row(name: str, unit: Unit, request: GenerationRequest | None) -> LogRow:
    """What is logged of a picture; None: it comes from Extras, and its own text is all there is."""
    text = split_infotext(str(unit.facts.get("infotext", "")))
    if request is None:
        request = GenerationRequest(prompt="", sampler=str(text.pairs.get("Sampler", "")))
        width, height = (int(str(unit.facts[side])) for side in ("width", "height"))
    else:
        width, height = request.size
    seed = unit.facts.get("seed")
    return LogRow(
        prompt=text.prompt,
        seed=seed if isinstance(seed, int) else request.seed.seed,
        width=width,
        height=height,
        sampler=request.sampler,
        cfgs=request.cfg_scale,
        steps=request.steps,
        filename=name,
        negative_prompt=text.negative_prompt,
        sd_model_name=str(text.pairs.get("Model", "")),
        sd_model_hash=str(text.pairs.get("Model hash", "")),
    )
