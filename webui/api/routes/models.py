"""Model files and memory, in A1111's shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import torch
from fastapi import APIRouter

from webui.api.dependencies import TheServices

router = APIRouter(prefix="/sdapi/v1", tags=["models"])


@router.get("/sd-models")
def sd_models(services: TheServices) -> list[dict[str, Any]]:
    """Checkpoints."""
    return [
        {
            "title": file.title,
            "model_name": file.model_name,
            "hash": file.short_hash,
            "sha256": file.hashes.sha256 if file.hashes else None,
            "filename": str(file.path),
            "config": _config(file.path.with_suffix(".yaml")),
        }
        for file in services.checkpoint_files()
    ]


def _config(path: Path) -> str | None:
    return str(path) if path.exists() else None


@router.post("/unload-checkpoint")
def unload_checkpoint(services: TheServices) -> dict[str, Any]:
    """Free the memory of models that no running job uses."""
    services.unload_models()
    return {}


@router.post("/reload-checkpoint")
def reload_checkpoint(services: TheServices) -> dict[str, Any]:
    """Load the chosen checkpoint into memory."""
    services.load_model()
    return {}


@router.get("/memory")
def memory() -> dict[str, Any]:
    """Bytes of this process's memory and of the graphics card's."""
    total = psutil.virtual_memory().total
    used = psutil.Process().memory_info().rss
    return {"ram": {"free": total - used, "used": used, "total": total}, "cuda": _cuda()}


def _cuda() -> dict[str, Any]:
    if not torch.cuda.is_available():
        return {"error": "no CUDA device"}
    free, total = torch.cuda.mem_get_info()
    stats = torch.cuda.memory_stats()

    def pair(name: str) -> dict[str, int]:
        return {kind: int(stats[f"{name}.all.{kind}"]) for kind in ("current", "peak")}

    return {
        "system": {"free": free, "used": total - free, "total": total},
        "active": pair("active_bytes"),
        "allocated": pair("allocated_bytes"),
        "reserved": pair("reserved_bytes"),
        "inactive": pair("inactive_split_bytes"),
        "events": {"retries": stats["num_alloc_retries"], "oom": stats["num_ooms"]},
    }
