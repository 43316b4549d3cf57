"""Control values <-> GenerationRequest: one mapping for txt2img, img2img and inpaint.

Values are plain JSON by control name. A control is named after the request's field that it sets
(`hires.scale`); controls that
no field answers to are the switches of optional parts (`hires.on`), `init.size_mode` and
`overrides`: the list of everything that a
request says and the tab has no control for. So nothing that was pasted is lost, and the user can
take each of them out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

from webui.request import (
    GenerationRequest,
    Hires,
    Init,
    Inpaint,
    Refiner,
    Seed,
    SoftInpainting,
    validated,
)

Tab = Literal["txt2img", "img2img", "inpaint"]
TABS: tuple[Tab, ...] = ("txt2img", "img2img", "inpaint")
Values = dict[str, Any]
Part = TypeVar("Part")

SAFE_INTEGER = 2**53
"""Up to here a browser's numbers are exact."""

DIRECT = (
    "prompt",
    "negative_prompt",
    "styles",
    "width",
    "height",
    "sampler",
    "schedule",
    "steps",
    "cfg_scale",
    "batch_size",
    "batch_count",
)
SEED_EXTRA = ("subseed", "subseed_strength", "resize_from_width", "resize_from_height")
INIT = ("images", "denoising_strength", "resize_mode")
INPAINT = ("mask", "invert", "content", "only_masked", "masked_padding")
SAME = ""
"""What the hires dropdowns hold for 'as in the first pass'."""


def control_names(tab: Tab) -> tuple[str, ...]:
    """Names of all controls of a tab."""
    names = [*DIRECT, "tiling", "seed.seed", "seed.extra", "refiner.on", "overrides"]
    names += [f"seed.{name}" for name in SEED_EXTRA]
    names += [f"refiner.{field.name}" for field in fields(Refiner)]
    if tab == "txt2img":
        names += ["hires.on", *(f"hires.{field.name}" for field in fields(Hires))]
    else:
        names += [*(f"init.{name}" for name in INIT), "init.size_mode", "init.scale_by"]
    if tab == "inpaint":
        names += [*(f"init.inpaint.{name}" for name in INPAINT), "init.inpaint.mask_blur"]
        names += ["init.inpaint.soft.on"]
        names += [f"init.inpaint.soft.{field.name}" for field in fields(SoftInpainting)]
    return tuple(names)


def to_request(tab: Tab, values: Mapping[str, Any]) -> GenerationRequest:
    """The request that a tab's controls ask for.

    Args:
        values: by control name; a missing or empty one means the field's default.
    Raises: InvalidRequest: a value is out of its range.
    """
    return validated(_build(tab, values))


def from_request(tab: Tab, request: GenerationRequest) -> Values:
    """The values that a tab's controls take for a request; `to_request` gives it back.

    Parts that the tab cannot show (hires in img2img, the first picture in txt2img) are left out;
    so are values that the request leaves open: the controls then keep theirs.
    """
    wanted = _applicable(tab, request)
    values = _controls(tab, wanted)
    rebuilt = dict(leaves(_build(tab, values)))
    values["overrides"] = [
        encode_override(path, value)
        for path, value in leaves(wanted)
        if path not in rebuilt or rebuilt[path] != value
    ]
    return values


def defaults(tab: Tab) -> Values:
    """The values of a fresh page."""
    values = from_request(tab, _blank(tab))
    parts: dict[str, Any] = {"seed": Seed(), "hires": Hires(), "refiner": Refiner(checkpoint="")}
    parts["init"] = Init(images=())
    parts["init.inpaint"] = Inpaint(mask="")
    parts["init.inpaint.soft"] = SoftInpainting()
    for name in control_names(tab):
        prefix, _, field = name.rpartition(".")
        if name not in values and prefix in parts and hasattr(parts[prefix], field):
            given = getattr(parts[prefix], field)
            values[name] = SAME if given is None else given
    values.update({"width": 512, "height": 512, "init.scale_by": 1.0})
    return {name: values[name] for name in control_names(tab)}


def encode_override(path: str, value: Any) -> str:  # noqa: ANN401 - any JSON value
    """One entry of the control `overrides`."""
    return json.dumps([path, value], ensure_ascii=False, default=list)


def decode_override(entry: str) -> tuple[str, Any] | None:
    """(path, value) of an entry; None: it is not one (typed by hand)."""
    try:
        path, value = json.loads(entry)
    except (ValueError, TypeError):
        return None
    return str(path), tuple(value) if isinstance(value, list) else value


def leaves(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a request's part
    """(path, value) of every field of a request, depth first; a part that is None is one leaf."""
    if is_dataclass(part):
        for field in fields(part):
            inner = f"{path}.{field.name}" if path else field.name
            yield from leaves(getattr(part, field.name), inner)
    elif isinstance(part, Mapping):
        for key, value in part.items():
            yield f"{path}.{key}", value
    else:
        yield path, part


def with_leaf(part: Any, path: str, value: Any) -> Any:  # noqa: ANN401 - a request's part
    """A copy of a request (or part) with one field changed; unchanged if the field's part is
    None or unknown.
    """
    if isinstance(part, Mapping):
        return {**part, path: value}
    head, _, rest = path.partition(".")
    if not is_dataclass(part) or head not in {field.name for field in fields(part)}:
        return part
    new = with_leaf(getattr(part, head), rest, value) if rest else value
    return replace(part, **{head: new})  # type: ignore[type-var]


def _blank(tab: Tab) -> GenerationRequest:
    if tab == "txt2img":
        return GenerationRequest(width=512, height=512)
    inpaint = Inpaint(mask="") if tab == "inpaint" else None
    return GenerationRequest(width=512, height=512, init=Init(images=(), inpaint=inpaint))


def _applicable(tab: Tab, request: GenerationRequest) -> GenerationRequest:
    if tab == "txt2img" or request.init is None:
        return replace(request, init=None, hires=request.hires if tab == "txt2img" else None)
    if tab == "img2img":
        return replace(request, hires=None, init=replace(request.init, inpaint=None))
    return replace(request, hires=None)


def _controls(tab: Tab, request: GenerationRequest) -> Values:
    values: Values = {name: getattr(request, name) for name in DIRECT}
    values["styles"] = list(request.styles)
    values["tiling"] = request.tiling is True
    seed = request.seed
    values |= _seed_controls(seed)
    values |= _part_controls("refiner", request.refiner)
    if tab == "txt2img":
        values |= _part_controls("hires", request.hires)
    elif request.init is not None:
        values |= _init_controls(request.init)
    return {name: value for name, value in values.items() if value is not None}


def _seed_controls(seed: Seed) -> Values:
    numbers = {"seed": seed.seed, "subseed": seed.subseed}
    values: Values = {
        f"seed.{name}": number if number <= SAFE_INTEGER else -1 for name, number in numbers.items()
    }
    values["seed.subseed_strength"] = seed.subseed_strength
    values["seed.resize_from_width"] = seed.resize_from_width
    values["seed.resize_from_height"] = seed.resize_from_height
    values["seed.extra"] = seed != Seed(seed=seed.seed, subseed=seed.subseed)
    return values


def _part_controls(prefix: str, part: Any) -> Values:  # noqa: ANN401 - a request's part
    if part is None:
        return {f"{prefix}.on": False}
    named = {f"{prefix}.{field.name}": getattr(part, field.name) for field in fields(part)}
    return {f"{prefix}.on": True} | {k: SAME if v is None else v for k, v in named.items()}


def _init_controls(init: Init) -> Values:
    values: Values = {f"init.{name}": getattr(init, name) for name in INIT}
    values["init.images"] = list(init.images)
    values["init.scale_by"] = init.scale_by
    values["init.size_mode"] = "to" if init.scale_by is None else "by"
    inpaint = init.inpaint
    if inpaint is not None:
        values |= {f"init.inpaint.{name}": getattr(inpaint, name) for name in INPAINT}
        values["init.inpaint.mask_blur"] = inpaint.mask_blur_x
        values |= _part_controls("init.inpaint.soft", inpaint.soft)
    return values


def _build(tab: Tab, values: Mapping[str, Any]) -> GenerationRequest:
    request: GenerationRequest = _part(
        GenerationRequest,
        "",
        DIRECT,
        values,
        tiling=True if values.get("tiling") else None,
        seed=_seed(values),
        hires=_optional(Hires, "hires", values) if tab == "txt2img" else None,
        refiner=_optional(Refiner, "refiner", values, checkpoint=""),
        init=_init(tab, values) if tab != "txt2img" and "init.images" in values else None,
    )
    for entry in values.get("overrides") or ():
        decoded = decode_override(entry)
        if decoded is not None:
            request = with_leaf(request, *decoded)
    return request


def _seed(values: Mapping[str, Any]) -> Seed:
    extra = SEED_EXTRA if values.get("seed.extra") else ()
    return _part(Seed, "seed.", ("seed", *extra), values)


def _init(tab: Tab, values: Mapping[str, Any]) -> Init:
    inpaint = None
    if tab == "inpaint":
        blur = values.get("init.inpaint.mask_blur")
        both = {} if blur is None else {"mask_blur_x": blur, "mask_blur_y": blur}
        inpaint = _part(
            Inpaint,
            "init.inpaint.",
            INPAINT,
            {"init.inpaint.mask": "", **values},
            soft=_optional(SoftInpainting, "init.inpaint.soft", values),
            **both,
        )
    scale = values.get("init.scale_by") if values.get("init.size_mode") == "by" else None
    return _part(Init, "init.", INIT, values, scale_by=scale, inpaint=inpaint)


def _optional(
    kind: type[Part], prefix: str, values: Mapping[str, Any], **least: object
) -> Part | None:
    if not values.get(f"{prefix}.on"):
        return None
    names = tuple(field.name for field in fields(kind))  # type: ignore[arg-type]
    return _part(kind, f"{prefix}.", names, {**_prefixed(prefix, least), **values})


def _prefixed(prefix: str, given: Mapping[str, object]) -> Values:
    return {f"{prefix}.{name}": value for name, value in given.items()}


def _part(
    kind: type[Part],
    prefix: str,
    names: tuple[str, ...],
    values: Mapping[str, Any],
    **given: object,
) -> Part:
    found = {name: values[prefix + name] for name in names if values.get(prefix + name) is not None}
    if kind is Hires:
        found = {name: value for name, value in found.items() if value != SAME}
    typed = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
    return kind(**{**typed, **given})
