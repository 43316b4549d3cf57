"""A1111's scripts by name, with the arguments that it documents at `/script-info`.

Clients send arguments by position; what Easel does with them stands in `convert.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webui.api.convert import SOFT_INPAINTING
from webui.services import Services


def script_names(services: Services) -> dict[str, list[str]]:
    """Titles that requests may name, by tab."""
    infos = script_infos(services)
    return {
        "txt2img": [one["name"] for one in infos if not one["is_img2img"]],
        "img2img": [one["name"] for one in infos if one["is_img2img"]],
    }


def script_infos(services: Services) -> list[dict[str, Any]]:
    """Every script of both tabs with its arguments."""
    return [
        info
        for is_img2img in (False, True)
        for info in (
            _info("extra options", is_img2img, []),
            *([_info(SOFT_INPAINTING, True, _SOFT)] if is_img2img else []),
            _info("refiner", is_img2img, _refiner(services)),
            _info("sampler", is_img2img, _sampler(services)),
            _info("seed", is_img2img, _SEED),
        )
    ]


def _info(name: str, is_img2img: bool, arguments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "is_alwayson": True, "is_img2img": is_img2img, "args": list(arguments)}


def _argument(
    label: str,
    value: Any,  # noqa: ANN401 - of any control
    limits: tuple[float | None, float | None, float | None] = (None, None, None),
    choices: Sequence[str] | None = None,
) -> dict[str, Any]:
    minimum, maximum, step = limits
    return {
        "label": label,
        "value": value,
        "minimum": minimum,
        "maximum": maximum,
        "step": step,
        "choices": list(choices) if choices is not None else None,
    }


def _refiner(services: Services) -> list[dict[str, Any]]:
    titles = [choice.title for choice in services.checkpoints()]
    return [
        _argument("Refiner", False),
        _argument("Checkpoint", "", choices=titles),
        _argument("Switch at", 0.8, (0.01, 1.0, 0.01)),
    ]


def _sampler(services: Services) -> list[dict[str, Any]]:
    return [
        _argument("Sampling steps", 20, (1, 150, 1)),
        _argument("Sampling method", "DPM++ 2M", choices=services.sampler_names()),
        _argument("Schedule type", "Automatic", choices=services.schedule_names()),
    ]


_SEED = (
    _argument("Seed", -1, (None, None, 1)),
    _argument("Extra", False),
    _argument("Variation seed", -1, (None, None, 1)),
    _argument("Variation strength", 0.0, (0, 1, 0.01)),
    _argument("Resize seed from width", 0, (0, 2048, 8)),
    _argument("Resize seed from height", 0, (0, 2048, 8)),
)
_SOFT = (
    _argument("Soft inpainting", False),
    _argument("Schedule bias", 1, (0, 8, 0.1)),
    _argument("Preservation strength", 0.5, (0, 8, 0.05)),
    _argument("Transition contrast boost", 4, (1, 32, 0.5)),
    _argument("Mask influence", 0, (0, 1, 0.05)),
    _argument("Difference threshold", 0.5, (0, 8, 0.25)),
    _argument("Difference contrast", 2, (0, 8, 0.25)),
)
