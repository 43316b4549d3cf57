"""Settings and flags, by A1111's keys."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.exceptions import HTTPException

from webui.api.auth import Identity
from webui.api.dependencies import Asker, TheServices
from webui.flags import Flags
from webui.settings import Settings, changed, option_info

router = APIRouter(prefix="/sdapi/v1", tags=["settings"])

CHECKPOINT = "sd_model_checkpoint"


@router.get("/options")
def get_options(services: TheServices) -> dict[str, Any]:
    """Every setting by key."""
    values = services.settings.current.model_dump(mode="json")
    values[CHECKPOINT] = services.model_status().title or values[CHECKPOINT]
    return values


@router.post("/options")
def set_options(
    changes: Annotated[dict[str, Any], Body()], services: TheServices, asker: Asker
) -> None:
    """Change some settings, for good: all of them or, if one does not fit, none."""
    _check_rights(changes, asker)
    checkpoint = changes.pop(CHECKPOINT, None)
    changed(services.settings.current, changes)
    if checkpoint:
        services.select_checkpoint(str(checkpoint))
    services.settings.update(changes)


def _check_rights(changes: dict[str, Any], asker: Identity) -> None:
    for key in changes:
        is_known = key in Settings.model_fields
        if is_known and option_info(key).level == "admin" and not asker.is_admin:
            raise HTTPException(403, f"Only an administrator may change the setting '{key}'.")


@router.get("/cmd-flags")
def get_flags(services: TheServices) -> dict[str, Any]:
    """How Easel was started."""
    return {name.name: _plain(getattr(services.flags, name.name)) for name in fields(Flags)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - a flag's value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | float | str) else None
