"""Turn what an infotext says into changes of a request and overrides of settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from webui.errors import InvalidRequest
from webui.image_files.infotext import Params
from webui.image_files.infotext_parse import (
    SAME_CHECKPOINT,
    SAME_SAMPLER,
    SAME_SCHEDULE,
    negative_of,
    prompt_of,
)
from webui.request import GenerationRequest, Hires, Refiner, SoftInpainting, validated
from webui.settings import Settings, changed, option_info

N = TypeVar("N", int, float)
ResolveSampler = Callable[[str, str], tuple[str, str]]
"""(sampler, schedule) of an infotext -> (sampler, schedule) for a request."""


@dataclass(frozen=True, slots=True)
class Override:
    """A setting that a picture was made with and that differs from the current one.

    Attributes:
        infotext: the key in the infotext, for the page.
        key: the setting.
        value: what it is to be for the request.
    """

    infotext: str
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Pasted:
    """What pasting an infotext changes.

    Attributes:
        changes: values by dotted path in the request, e.g. "seed.seed". "hires" and "refiner" are
            whole parts or None; "init..." holds where the request has a picture (and a mask).
        overrides: settings, in the order of the Settings tab.
        problems: a sentence for each value that made no sense.
    """

    changes: dict[str, Any]
    overrides: tuple[Override, ...]
    problems: tuple[str, ...]


def same_names(sampler: str, schedule: str) -> tuple[str, str]:
    """Leave the names as the infotext gives them."""
    return sampler, schedule


def from_infotext(
    params: Params, settings: Settings, resolve_sampler: ResolveSampler = same_names
) -> Pasted:
    """Read the parameters of a request out of a parsed infotext.

    Args:
        params: from `parse_infotext`.
        settings: the current ones; an override is what differs from them.
        resolve_sampler: splits old names such as "DPM++ 2M Karras".
    """
    reader = _Reader(params)
    changes: dict[str, Any] = {"prompt": prompt_of(params), "negative_prompt": negative_of(params)}
    if isinstance(params.get("Styles array"), list):
        changes["styles"] = tuple(params["Styles array"])  # type: ignore[arg-type]
    changes.update(reader.numbers(_PLAIN))
    changes.update(reader.numbers({path: (f"Size-{i}", _side) for i, path in _SIZE}))
    if "Sampler" in params:
        names = resolve_sampler(reader.text("Sampler"), reader.text("Schedule type"))
        changes["sampler"], changes["schedule"] = names
    if "Seed" in params:
        changes.update(_seed(reader))
    changes["hires"] = _hires(reader)
    changes["refiner"] = _refiner(reader)
    changes.update(_init(reader))
    overrides = _overrides(params, settings, reader.problems)
    return Pasted(changes, overrides, tuple(reader.problems))


def apply_changes(
    request: GenerationRequest, changes: Mapping[str, Any]
) -> tuple[GenerationRequest, tuple[str, ...]]:
    """Change a request.

    Returns: the request, and a sentence for each change that was left out because its value is out
        of range. Changes of a part that the request does not have are passed over.
    Raises: InvalidRequest: the request was invalid before.
    """
    remaining, problems = dict(changes), list[str]()
    while True:
        result = request
        for path, value in remaining.items():
            result = _with(result, path.split("."), value)
        try:
            return validated(result), tuple(problems)
        except InvalidRequest as error:
            culprit = _culprit(error.field, remaining)
            if culprit is None:
                raise
            del remaining[culprit]
            problems.append(error.reason)


class _Reader:
    """Reads typed values and collects what could not be read."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self.problems: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._params

    def text(self, key: str, default: str = "") -> str:
        return str(self._params.get(key, default))

    def number(self, key: str, kind: Callable[[str], N], default: N) -> N:
        """The value of a key; the default where it is missing or no such number."""
        found = self.numbers({"": (key, kind)})
        return found.get("", default)

    def numbers(self, wanted: Mapping[str, tuple[str, Callable[[str], N]]]) -> dict[str, N]:
        """Values by path, of those keys that are there and make sense."""
        found: dict[str, N] = {}
        for path, (key, kind) in wanted.items():
            if key not in self._params:
                continue
            try:
                found[path] = kind(self.text(key))
            except (ValueError, OverflowError):
                shown = self.text(key)[:40]
                self.problems.append(f"The infotext's '{key}' is left out: '{shown}' is no number.")
        return found


def _whole(text: str) -> int:
    """An integer, also where it is written with decimals."""
    return int(text) if text.lstrip("-").isdigit() else int(float(text))


def _side(text: str) -> int:
    """A side in pixels; the latent has an eighth, rounded down."""
    return _whole(text) // 8 * 8


_SIZE = ((1, "width"), (2, "height"))
_PLAIN: dict[str, tuple[str, Callable[[str], float]]] = {
    "steps": ("Steps", _whole),
    "cfg_scale": ("CFG scale", float),
}
_INIT: dict[str, tuple[str, Callable[[str], float]]] = {
    "init.denoising_strength": ("Denoising strength", float),
    "init.image_cfg_scale": ("Image CFG scale", float),
    "init.inpaint.mask_blur_x": ("Mask blur", float),
    "init.inpaint.mask_blur_y": ("Mask blur", float),
    "init.inpaint.masked_padding": ("Masked area padding", _whole),
}
_SOFT: dict[str, tuple[str, Callable[[str], float]]] = {
    name: (f"Soft inpainting {name.replace('_', ' ')}", float)
    for name in SoftInpainting.__dataclass_fields__
}


def _seed(reader: _Reader) -> dict[str, Any]:
    """All of the seed's parts: what the infotext is silent about was off."""
    return {
        **reader.numbers({"seed.seed": ("Seed", _whole)}),
        "seed.subseed": reader.number("Variation seed", _whole, -1),
        "seed.subseed_strength": reader.number("Variation seed strength", float, 0.0),
        "seed.resize_from_width": reader.number("Seed resize from-1", _side, 0),
        "seed.resize_from_height": reader.number("Seed resize from-2", _side, 0),
    }


def _hires(reader: _Reader) -> Hires | None:
    width, height = (reader.number(f"Hires resize-{i}", _side, 0) for i in (1, 2))
    if "Hires upscale" not in reader and "Hires upscaler" not in reader and not (width or height):
        return None
    return Hires(
        upscaler=reader.text("Hires upscaler", "Latent"),
        steps=reader.number("Hires steps", _whole, 0),
        denoising_strength=reader.number("Denoising strength", float, Hires().denoising_strength),
        scale=reader.number("Hires upscale", float, Hires().scale),
        resize_width=width,
        resize_height=height,
        checkpoint=_own(reader.text("Hires checkpoint"), SAME_CHECKPOINT),
        sampler=_own(reader.text("Hires sampler"), SAME_SAMPLER),
        schedule=_own(reader.text("Hires schedule type"), SAME_SCHEDULE),
        prompt=reader.text("Hires prompt"),
        negative_prompt=reader.text("Hires negative prompt"),
    )


def _refiner(reader: _Reader) -> Refiner | None:
    name = _own(reader.text("Refiner"), "None")
    if name is None:
        return None
    return Refiner(checkpoint=name, switch_at=reader.number("Refiner switch at", float, 0.8))


def _own(text: str, same: str) -> str | None:
    return None if text in ("", same) else text


def _init(reader: _Reader) -> dict[str, Any]:
    changes: dict[str, Any] = dict(reader.numbers(_INIT))
    changes["init.inpaint.invert"] = reader.text("Mask mode") == "Inpaint not masked"
    changes["init.inpaint.only_masked"] = reader.text("Inpaint area") == "Only masked"
    changes["init.inpaint.content"] = reader.text("Masked content", "original")
    enabled = reader.text("Soft inpainting enabled") == "True"
    changes["init.inpaint.soft"] = SoftInpainting(**reader.numbers(_SOFT)) if enabled else None
    return changes


def _overrides(params: Params, settings: Settings, problems: list[str]) -> tuple[Override, ...]:
    found = []
    for key in type(settings).model_fields:
        info = option_info(key)
        if info.infotext not in params or info.level != "generation":
            continue
        if key == "sd_model_checkpoint" and settings.disable_weights_auto_swap:
            continue
        raw = params[info.infotext]
        try:
            value = getattr(changed(settings, {key: raw}), key)
        except InvalidRequest:
            problems.append(f"The infotext's '{info.infotext}' is left out: '{raw}' does not fit.")
            continue
        if value != getattr(settings, key):
            found.append(Override(info.infotext, key, value))
    return tuple(found)


def _with(part: Any, path: list[str], value: Any) -> Any:  # noqa: ANN401 - parts of a request
    """A copy of a part of the request with one value changed; as it is where a part is missing."""
    name, *rest = path
    if not rest:
        return replace(part, **{name: value})
    inner = getattr(part, name)
    return part if inner is None else replace(part, **{name: _with(inner, rest, value)})


def _culprit(field: str, changes: Mapping[str, Any]) -> str | None:
    """The change that a complaint about a field is about."""
    return next((path for path in changes if field == path or field.startswith(f"{path}.")), None)
