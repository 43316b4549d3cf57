"""Settings and flags, by A1111's keys."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.exceptions import HTTPException

from webui.api.auth import Identity
from webui.api.dependencies import Asker, TheServices
from webui.api.foreign import FOREIGN_FLAGS, FOREIGN_OPTIONS, foreign_values
from webui.flags import Flags
from webui.services import Services
from webui.settings import Settings, changed, option_info

router = APIRouter(prefix="/sdapi/v1", tags=["settings"])

CHECKPOINT = "sd_model_checkpoint"


@router.get("/options")
def get_options(services: TheServices) -> dict[str, Any]:
    """Every setting by key, A1111's others included."""
    return _values(services)


@router.post("/options")
def set_options(
    changes: Annotated[dict[str, Any], Body(examples=[{"jpeg_quality": 90}])],
    services: TheServices,
    asker: Asker,
) -> None:
    """Change some settings, for good: all of them or, if one does not fit, none.

    What is sent as it stands already is no change, whoever may change it.
    """
    now = _values(services)
    changes = {key: value for key, value in changes.items() if key not in now or now[key] != value}
    _check_rights(changes, asker)
    checkpoint = changes.pop(CHECKPOINT, None)
    foreign = {key: changes.pop(key) for key in list(changes) if key in FOREIGN_OPTIONS}
    changed(services.settings.current, changes)
    if checkpoint:
        services.select_checkpoint(str(checkpoint))
    services.settings.update(changes)
    if foreign:
        services.settings.keep_foreign(foreign)


def _values(services: Services) -> dict[str, Any]:
    values = services.settings.current.model_dump(mode="json")
    values[CHECKPOINT] = services.model_status().title or values[CHECKPOINT]
    return values | foreign_values(services.settings.foreign)


def _check_rights(changes: dict[str, Any], asker: Identity) -> None:
    for key in changes:
        is_known = key in Settings.model_fields
        level = option_info(key).level if is_known else "admin"
        if level == "admin" and (is_known or key in FOREIGN_OPTIONS) and not asker.is_admin:
            raise HTTPException(403, f"Only an administrator may change the setting '{key}'.")


@router.get("/cmd-flags")
def get_flags(services: TheServices) -> dict[str, Any]:
    """How Easel was started, without secrets; A1111's other flags are off."""
    flags = services.flags
    own = {one.name: _plain(getattr(flags, one.name)) for one in fields(Flags) if one.repr}
    same = {"api": True, "ckpt": own["checkpoint"], "ckpt_dir": own["checkpoint_dir"]}
    return {**FOREIGN_FLAGS, **same, **own}


def _plain(value: Any) -> Any:  # noqa: ANN401 - a flag's value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | float | str) else None
