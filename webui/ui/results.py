"""Finished pictures of a job, as the other tabs take them over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webui.errors import BadImage

if TYPE_CHECKING:
    from webui.services import Services


@dataclass(frozen=True)
class Result:
    """A finished picture.

    Attributes:
        picture: its id in the store.
    """

    picture: str
    infotext: str


def finished(services: Services, job: str, index: int, owner: str) -> Result:
    """A finished picture of a job.

    Raises: JobNotFound: the job is not the owner's. BadImage: it has no such picture.
    """
    for unit in services.queue.units(job, owner):
        if unit.index == index and unit.finished:
            content = services.result_bytes(unit.facts)
            return Result(services.pictures.put(content), str(unit.facts.get("infotext", "")))
    raise BadImage("There is no such picture (any more).")
