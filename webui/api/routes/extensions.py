"""Which extensions are installed, in A1111's shape and in ours; switch them on and off."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from webui.api.auth import Identity
from webui.api.dependencies import Asker, TheServices
from webui.extensions.registry import Record

router = APIRouter(tags=["extensions"])


@router.get("/sdapi/v1/extensions")
def a1111_extensions(services: TheServices) -> list[dict[str, Any]]:
    """Installed extensions; Easel knows nothing of their repositories."""
    return [
        {
            "name": record.id,
            "remote": "",
            "branch": "",
            "commit_hash": "",
            "version": record.manifest.version if record.manifest else "",
            "commit_date": 0,
            "enabled": record.state == "loaded",
        }
        for record in services.extensions.records()
    ]


@router.get("/internal/extensions")
def extensions(services: TheServices) -> list[dict[str, Any]]:
    """Installed extensions with their state, and the reason where they are not loaded."""
    return [_described(services, record) for record in services.extensions.records()]


@router.post("/internal/extensions/{extension}/enable")
def enable(extension: str, services: TheServices, asker: Asker) -> dict[str, Any]:
    """Switch an extension on; the answer says whether it could be loaded."""
    _only_the_administrator(asker)
    return _described(services, services.extensions.enable(extension))


@router.post("/internal/extensions/{extension}/disable")
def disable(extension: str, services: TheServices, asker: Asker) -> dict[str, Any]:
    """Switch an extension off, at once and for the next starts."""
    _only_the_administrator(asker)
    return _described(services, services.extensions.disable(extension))


def _only_the_administrator(asker: Identity) -> None:
    if not asker.is_admin:
        raise HTTPException(403, "Only the administrator may switch extensions on and off.")


def _described(services: TheServices, record: Record) -> dict[str, Any]:
    guard, manifest = services.extensions.guard, record.manifest
    facts = {} if manifest is None else manifest.model_dump(by_alias=True)
    off = {hook: text for (owner, hook), text in guard.switched_off.items() if owner == record.id}
    return {
        "id": record.id,
        "state": record.state,
        "reason": record.reason,
        "hooks": record.hooks,
        "import_seconds": round(record.import_seconds, 3),
        "switched_off": off,
        "manifest": facts,
    }
