"""A finished job as A1111's `/txt2img` and `/img2img` answer it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webui import __version__
from webui.image_files.infotext import NEGATIVE, split_infotext
from webui.request import GenerationRequest

Facts = Mapping[str, Any]
"""What a picture's event tells: index, kind, infotext, seed, subseed, width, height."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What an answer is made of.

    Attributes:
        request: resolved.
        pictures: facts of all pictures, in the order in which they are answered.
        warnings: sentences.
        started: seconds since the epoch.
    """

    request: GenerationRequest
    pictures: Sequence[Facts]
    warnings: Sequence[str]
    started: float


def ordered(pictures: Sequence[Facts], *, with_grid: bool) -> list[Facts]:
    """The order in which A1111 answers: the grid, the pictures, then masks and composites."""
    grids = [one for one in pictures if one.get("kind") == "grid"]
    images = [one for one in pictures if one.get("kind") == "image"]
    others = [one for one in pictures if one.get("kind") in ("mask", "mask composite")]
    return [*(grids if with_grid else []), *images, *others]


def info(finished: Finished) -> dict[str, Any]:
    """The `info` of an answer, A1111's keys and `warnings`."""
    request = finished.request
    images = [one for one in finished.pictures if one.get("kind") == "image"]
    texts = [str(one.get("infotext", "")) for one in images]
    prompts = [prompts_of(text) for text in texts]
    pairs = split_infotext(texts[0] if texts else "").pairs
    return {
        "prompt": prompts[0][0] if prompts else request.prompt,
        "all_prompts": [positive for positive, _ in prompts],
        "negative_prompt": prompts[0][1] if prompts else request.negative_prompt,
        "all_negative_prompts": [negative for _, negative in prompts],
        **_seeds(request, images),
        **_sizes(request),
        "sampler_name": request.sampler,
        "cfg_scale": request.cfg_scale,
        "steps": request.steps,
        "batch_size": request.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": pairs.get("Model"),
        "sd_model_hash": pairs.get("Model hash"),
        "sd_vae_name": pairs.get("VAE"),
        "sd_vae_hash": pairs.get("VAE hash"),
        "denoising_strength": _denoising_strength(request),
        "extra_generation_params": extra_params(pairs),
        "index_of_first_image": sum(one.get("kind") == "grid" for one in finished.pictures),
        "infotexts": [
            str(one.get("infotext", ""))
            for one in finished.pictures
            if one.get("kind") in ("grid", "image")
        ],
        "styles": list(request.styles),
        "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime(finished.started)),
        "clip_skip": _number(pairs.get("Clip skip", 1)),
        "is_using_inpainting_conditioning": "Conditional mask weight" in pairs,
        "version": str(pairs.get("Version", __version__)),
        "warnings": list(finished.warnings),
    }


def prompts_of(infotext: str) -> tuple[str, str]:
    """(prompt, negative prompt) of an infotext that Easel wrote: every blank is kept."""
    text = "\n" + infotext.rpartition("\n")[0]
    prompt, _, negative = text.partition(f"\n{NEGATIVE} ")
    return prompt.removeprefix("\n"), negative


def _seeds(request: GenerationRequest, images: Sequence[Facts]) -> dict[str, Any]:
    seed = request.seed
    return {
        "seed": seed.seed,
        "all_seeds": [one.get("seed") for one in images],
        "subseed": seed.subseed,
        "all_subseeds": [one.get("subseed") for one in images],
        "subseed_strength": seed.subseed_strength,
        "seed_resize_from_w": seed.resize_from_width or -1,
        "seed_resize_from_h": seed.resize_from_height or -1,
    }


def _sizes(request: GenerationRequest) -> dict[str, int]:
    width, height = request.size
    return {"width": width, "height": height}


def _denoising_strength(request: GenerationRequest) -> float | None:
    part = request.init or request.hires
    return part.denoising_strength if part else None


_OWN_KEYS = frozenset(
    {
        "Steps", "Sampler", "CFG scale", "Seed", "Size", "Size-1", "Size-2",
        "Model hash", "Model", "VAE", "VAE hash", "Version", "RNG", "Clip skip",
        "Face restoration", "Variation seed", "Variation seed strength",
        "Seed resize from-1", "Seed resize from-2", "Seed resize from", "ENSD", "Tiling",
        "Image CFG scale", "Conditional mask weight", "Token merging ratio",
        "Token merging ratio hr", "Init image hash", "FP8 weight", "User",
    }
)  # fmt: skip
"""Infotext keys that have a place of their own in the info."""


def extra_params(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Those infotext pairs that A1111 calls extra generation parameters."""
    return {
        key: _number(value)
        for key, value in pairs.items()
        if key not in _OWN_KEYS and (key, value) != ("Schedule type", "Automatic")
    }


def _number(value: Any) -> Any:  # noqa: ANN401 - an infotext value
    if value in ("True", "False"):
        return value == "True"
    for kind in (int, float):
        try:
            return kind(value)
        except (TypeError, ValueError):
            continue
    return value
