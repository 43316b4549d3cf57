"""The server itself: ending it (only where the command line allows), hints, facts for reports."""

from __future__ import annotations

import platform
import sys
import time
from typing import Any

import psutil
import torch
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from webui import __version__
from webui.api.auth import Identity
from webui.api.dependencies import Asker, TheServices
from webui.api.docs import docs_page
from webui.api.routes.options import get_flags
from webui.services import Services
from webui.settings import Settings

router = APIRouter(tags=["server"])

_STARTED = psutil.Process().create_time()


def _check(services: Services, asker: Identity) -> None:
    if not services.flags.api_server_stop:
        raise HTTPException(404, "Not Found")
    if not asker.is_admin:
        raise HTTPException(403, "Only an administrator may end the server.")


@router.post("/sdapi/v1/server-stop")
@router.post("/sdapi/v1/server-kill")
def stop(request: Request, services: TheServices, asker: Asker) -> str:
    """End the server in good order; needs `--api-server-stop`."""
    _check(services, asker)
    end = getattr(request.app.state, "end_server", None)
    if end is None:
        raise HTTPException(501, "This server cannot be ended by a request.")
    end()
    return "Stopping."


@router.post("/sdapi/v1/server-restart")
def restart(services: TheServices, asker: Asker) -> str:
    """Not possible: the server does not start itself."""
    _check(services, asker)
    raise HTTPException(501, "Easel does not restart itself: start it again.")


@router.get("/docs", include_in_schema=False)
@router.get("/redoc", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """This API, for people."""
    return HTMLResponse(docs_page(request.app.openapi()))


@router.get("/internal/quicksettings-hint")
def quicksettings_hint() -> list[dict[str, str]]:
    """Every setting's name."""
    return [{"name": key, "label": key} for key in Settings.model_fields]


@router.get("/internal/profile-startup")
def profile_startup(request: Request) -> dict[str, Any]:
    """Seconds from the process's start until the application was built."""
    total = round(request.app.state.built - _STARTED, 3)
    return {"total": total, "records": {"start": total}}


@router.get("/internal/sysinfo")
@router.get("/internal/sysinfo-download")
def sysinfo(services: TheServices, asker: Asker) -> dict[str, Any]:
    """Facts for a report: versions, device, memory, flags, settings. It holds no secret."""
    if not asker.is_admin:
        raise HTTPException(403, "Only an administrator may see this.")
    memory = psutil.virtual_memory()
    return {
        "Platform": platform.platform(),
        "Python": sys.version.split()[0],
        "Version": __version__,
        "Torch": torch.__version__,
        "CPU": {"model": platform.processor(), "count logical": psutil.cpu_count()},
        "RAM": {"total": memory.total, "used": memory.used, "free": memory.available},
        "CommandLine": get_flags(services),
        "Config": services.settings.current.model_dump(mode="json"),
        "Up": round(time.time() - _STARTED, 1),
    }
