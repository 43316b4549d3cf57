"""The checkpoint merger over HTTP: a job of the queue."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from webui.api.dependencies import Asker, TheServices
from webui.model_manager.recipe import Interpolation, MergeRecipe

router = APIRouter(prefix="/internal/merge", tags=["page"])

Name = Annotated[str, Field(max_length=1000)]


class MergeBody(BaseModel):
    """A merge; see `MergeRecipe`."""

    primary: Name
    secondary: Name = ""
    tertiary: Name = ""
    interpolation: Interpolation = "Weighted sum"
    multiplier: Annotated[float, Field(ge=0, le=1)] = 0.3
    save_as_half: bool = False
    custom_name: Name = ""
    config_source: Literal[0, 1, 2, 3] = 0
    bake_in_vae: Name = "None"
    discard_weights: Name = ""
    save_metadata: bool = True
    add_merge_recipe: bool = True
    copy_metadata: bool = True
    metadata_json: Annotated[str, Field(max_length=1_000_000)] = "{}"


@router.post("")
def merge(body: MergeBody, services: TheServices, asker: Asker) -> dict[str, str]:
    """Put a merge into the queue; `/internal/jobs/{id}` tells how far it is, and stops it."""
    if not asker.is_admin:
        raise HTTPException(403, "Only the administrator may make checkpoints.")
    job = services.submit_merge(MergeRecipe(**body.model_dump()), asker.owner)
    return {"id": job.id}
