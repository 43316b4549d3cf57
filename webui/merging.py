"""Merging checkpoints as a job of the queue: names to files, progress, the result in the lists."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

from webui.errors import InvalidRequest
from webui.jobs.handle import JobHandle
from webui.model_manager.catalog import Catalog
from webui.model_manager.kinds import CHECKPOINT, VAE
from webui.model_manager.library import Library
from webui.model_manager.merge import merge
from webui.model_manager.recipe import FILES_NEEDED, MergeRecipe, Source
from webui.model_manager.tensor_file import open_tensor_file

MERGE_KIND = "merge"


def checked(recipe: MergeRecipe, library: Library) -> MergeRecipe:
    """Return a recipe whose names all mean files.

    Raises: InvalidRequest, ModelNotFound.
    """
    if recipe.interpolation not in FILES_NEEDED:
        raise InvalidRequest("interpolation", "Choose one of the ways to merge.")
    if not 0 <= recipe.multiplier <= 1:
        raise InvalidRequest("multiplier", "The multiplier is a number from 0 to 1.")
    recipe.further_metadata()
    for name in recipe.names():
        library.catalog(CHECKPOINT.id).find(name)
    _vae(recipe, library)
    return recipe


def to_json(recipe: MergeRecipe) -> str:
    """Write a recipe as the queue keeps it."""
    return json.dumps(asdict(recipe))


def from_json(text: str) -> MergeRecipe:
    """Read what `to_json` wrote."""
    known = {field.name for field in fields(MergeRecipe)}
    return MergeRecipe(**{key: value for key, value in json.loads(text).items() if key in known})


def run(job: JobHandle, library: Library) -> str:
    """Merge; a run that was interrupted leaves nothing behind.

    Returns: JSON ``{"title": ...}`` of the new checkpoint.
    Raises: Interrupted, and what `merge` and `checked` raise.
    """
    recipe = checked(from_json(job.job.payload), library)
    checkpoints = library.catalog(CHECKPOINT.id)
    job.start_batch(0, 1)
    sources = [_source(checkpoints, name) for name in recipe.names()]

    def progress(done: int, count: int) -> None:
        job.step(done, count, f"{done} / {count}")

    path = merge(recipe, sources, _vae(recipe, library), library.folders(CHECKPOINT)[0], progress)
    checkpoints.refresh()
    made = checkpoints.hashed(checkpoints.named(path.name))
    return json.dumps({"title": made.title, "name": made.name})


def _source(checkpoints: Catalog, name: str) -> Source:
    file = checkpoints.hashed(checkpoints.find(name))
    with open_tensor_file(file.path) as opened:
        return Source(file, dict(opened.metadata))


def _vae(recipe: MergeRecipe, library: Library) -> Path | None:
    if recipe.bake_in_vae in ("", "None"):
        return None
    return library.catalog(VAE.id).find(recipe.bake_in_vae).path
