"""What there is to choose from, in A1111's shapes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from webui.api.dependencies import TheServices
from webui.api.scripts import script_infos, script_names
from webui.families.embeddings import Embedding
from webui.sampling.catalog import default_catalog
from webui.sampling.sampler import Sampler

router = APIRouter(prefix="/sdapi/v1", tags=["lists"])

_UPSCALER_SCALE = 4.0
"""What A1111 says of upscalers that take any scale."""


@router.get("/samplers")
def samplers(services: TheServices) -> list[dict[str, Any]]:
    """Samplers in the page's order."""
    offered = services.sampler_names()
    rows = [row for row in default_catalog().samplers if row.name in offered]
    return [
        {"name": row.name, "aliases": list(row.aliases), "options": sampler_options(row)}
        for row in rows
    ]


def sampler_options(row: Sampler) -> dict[str, str]:
    """A sampler's fixed facts, as texts."""
    options: dict[str, str] = {}
    if row.schedule:
        options["scheduler"] = row.schedule
    facts = {
        "discard_next_to_last_sigma": row.discard_penultimate,
        "uses_ensd": row.uses_ensd,
        "second_order": row.second_order,
        "brownian_noise": row.brownian_noise,
    }
    options |= {name: "True" for name, holds in facts.items() if holds}
    return options | {name: str(value) for name, value in row.extra}


@router.get("/schedulers")
def schedulers(services: TheServices) -> list[dict[str, Any]]:
    """Schedules in the page's order."""
    offered = services.schedule_names()
    return [
        {
            "name": row.name,
            "label": row.label,
            "aliases": list(row.aliases) or None,
            "default_rho": row.default_rho,
            "need_inner_model": row.need_inner_model,
        }
        for row in default_catalog().schedules
        if row.label in offered
    ]


@router.get("/upscalers")
def upscalers(services: TheServices) -> list[dict[str, Any]]:
    """Upscalers of pixels."""
    files = services.upscaler_files()
    empty = {"model_name": None, "model_path": None, "model_url": None, "scale": _UPSCALER_SCALE}
    return [
        {"name": name, **empty}
        | ({"model_name": name, "model_path": str(files[name])} if name in files else {})
        for name in services.upscalers()
    ]


@router.get("/realesrgan-models")
def realesrgan_models(services: TheServices) -> list[dict[str, Any]]:
    """The upscalers of Real-ESRGAN's family, known by their names."""
    return [
        {"name": name, "path": str(path), "scale": _UPSCALER_SCALE}
        for name, path in services.upscaler_files().items()
        if name.lower().startswith(("realesr", "r-esrgan"))
    ]


@router.get("/latent-upscale-modes")
def latent_upscale_modes(services: TheServices) -> list[dict[str, str]]:
    """Ways to enlarge latents in hires fix."""
    return [{"name": name} for name in services.latent_upscalers()]


@router.get("/prompt-styles")
def prompt_styles(services: TheServices) -> list[dict[str, Any]]:
    """The user's styles."""
    return [asdict(style) for style in services.styles.book.styles.values()]


@router.get("/sd-vae")
def vaes(services: TheServices) -> list[dict[str, str]]:
    """VAE files."""
    return [{"model_name": file.path.name, "filename": str(file.path)} for file in services.vaes()]


@router.get("/loras")
def loras(services: TheServices) -> list[dict[str, Any]]:
    """LoRA files and their relatives, with their notes."""
    return [
        {
            "name": file.name,
            "alias": services.lora_alias(file),
            "path": str(file.path),
            "metadata": services.lora_notes(file),
        }
        for file in services.loras()
    ]


@router.get("/hypernetworks")
def hypernetworks(services: TheServices) -> list[dict[str, str]]:
    """Hypernetwork files."""
    return [{"name": file.name, "path": str(file.path)} for file in services.hypernetworks()]


@router.get("/face-restorers")
def nothing_to_choose() -> list[dict[str, Any]]:
    """Kinds of files and add-ons that Easel cannot use: there are none to choose from."""
    return []


@router.get("/embeddings")
def embeddings(services: TheServices) -> dict[str, dict[str, Any]]:
    """Embeddings that the chosen checkpoint understands, and the others."""
    lists = services.embeddings()
    return {
        "loaded": {name: _embedding(one) for name, one in lists.loaded.items()},
        "skipped": {name: _embedding(one) for name, one in lists.skipped.items()},
    }


def _embedding(embedding: Embedding) -> dict[str, Any]:
    return {
        "step": embedding.step,
        "sd_checkpoint": embedding.checkpoint,
        "sd_checkpoint_name": embedding.checkpoint_name,
        "shape": embedding.width,
        "vectors": embedding.vector_count,
    }


@router.get("/scripts")
def scripts(services: TheServices) -> dict[str, list[str]]:
    """Titles of the scripts that requests may name."""
    return script_names(services)


@router.get("/script-info")
def script_info(services: TheServices) -> list[dict[str, Any]]:
    """The scripts' arguments, in the order in which they are sent."""
    return script_infos(services)


@router.post("/refresh-checkpoints")
@router.post("/refresh-vae")
@router.post("/refresh-embeddings")
@router.post("/refresh-loras")
def refresh(services: TheServices) -> None:
    """Look for model files again."""
    services.refresh_models()
