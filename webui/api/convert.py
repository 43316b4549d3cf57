"""Between A1111's fields and `GenerationRequest`: the one place that knows both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from webui.api.foreign import FOREIGN_OPTIONS
from webui.api.schemas import AlwaysOnScript, GenerationBody, Img2ImgBody, Txt2ImgBody
from webui.errors import InvalidRequest
from webui.image_files.infotext_paste import Pasted, apply_changes
from webui.images.codec import bytes_of_base64
from webui.request import (
    GenerationRequest,
    Hires,
    Init,
    Inpaint,
    MaskedContent,
    PictureId,
    Refiner,
    ResizeMode,
    SamplerOptions,
    Saving,
    Seed,
    SoftInpainting,
)
from webui.sampling.catalog import default_catalog
from webui.settings import Settings

Keep = Callable[[bytes], PictureId]
"""Puts a picture file into the store. Raises: BadImage."""
Read = Callable[[str], bytes]
"""The file that a picture field means: base64, a data URL, an address. Raises: BadImage."""
KeepText = Callable[[str], PictureId]

RESIZE_MODES: Final[tuple[ResizeMode, ...]] = ("stretch", "crop", "fill", "latent")
MASKED_CONTENTS: Final[tuple[MaskedContent, ...]] = (
    "fill",
    "original",
    "latent noise",
    "latent nothing",
)
SOFT_INPAINTING = "soft inpainting"
_SOFT_FIELDS = (
    "schedule_bias",
    "preservation_strength",
    "transition_contrast_boost",
    "mask_influence",
    "difference_threshold",
    "difference_contrast",
)
WITHOUT_EFFECT = frozenset({"sampler", "seed", "refiner", "extra options", "comments"})
"""A1111's always-on scripts that only move fields of the body around its page."""

CATALOG: Final = default_catalog()

_FIELDS_OF_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "sampler": ("sampler_name", "sampler_index"),
    "schedule": ("scheduler",),
    "seed.seed": ("seed",),
    "seed.subseed": ("subseed",),
    "seed.subseed_strength": ("subseed_strength",),
    "seed.resize_from_width": ("seed_resize_from_w",),
    "seed.resize_from_height": ("seed_resize_from_h",),
    "hires": ("enable_hr", "hr_scale", "hr_upscaler", "hr_resize_x", "hr_resize_y"),
    "refiner": ("refiner_checkpoint",),
    "init.image_cfg_scale": ("image_cfg_scale",),
    "init.denoising_strength": ("denoising_strength",),
    "init.resize_mode": ("resize_mode",),
    "init.initial_noise_multiplier": ("initial_noise_multiplier",),
    "init.inpaint.mask_blur_x": ("mask_blur", "mask_blur_x"),
    "init.inpaint.mask_blur_y": ("mask_blur", "mask_blur_y"),
    "init.inpaint.invert": ("inpainting_mask_invert",),
    "init.inpaint.content": ("inpainting_fill",),
    "init.inpaint.only_masked": ("inpaint_full_res",),
    "init.inpaint.masked_padding": ("inpaint_full_res_padding",),
    "init.inpaint.soft": ("alwayson_scripts",),
    "sampler_options.eta": ("eta",),
}
"""Body fields that settle a path of the request; any other path is a field's own name."""

_REQUEST_SETTINGS = {"sd_model_checkpoint": "checkpoint", "sd_vae": "vae"}
"""Settings that are fields of the request here."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A request, and what of the body could not be put into it.

    Attributes:
        warnings: sentences.
    """

    request: GenerationRequest
    warnings: tuple[str, ...]


def to_request(
    body: GenerationBody, keep: Keep, pasted: Pasted | None = None, read: Read = bytes_of_base64
) -> Converted:
    """Turn a body into the request that it means.

    Args:
        read: by default addresses are not fetched.
        pasted: what the body's `infotext` says.
    Raises: InvalidRequest, BadImage.
    """
    _refuse_what_is_missing(body)
    overrides, known, warnings = _split_overrides(body.override_settings)
    sampler, schedule, sampler_warnings = _sampler(
        body.sampler_name or body.sampler_index, body.scheduler
    )
    request = GenerationRequest(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        styles=tuple(body.styles),
        checkpoint=known.get("checkpoint"),
        vae=known.get("vae"),
        width=body.width,
        height=body.height,
        sampler=sampler,
        schedule=schedule,
        steps=body.steps,
        cfg_scale=body.cfg_scale,
        sampler_options=_sampler_options(body),
        seed=_seed(body),
        batch_size=body.batch_size,
        batch_count=body.n_iter,
        tiling=body.tiling,
        refiner=_refiner(body),
        saving=Saving() if body.save_images else Saving(samples=False, grid=False),
        extra_networks=not body.disable_extra_networks,
        overrides=overrides,
    )
    soft, script_warnings = _scripts(body.alwayson_scripts)
    if isinstance(body, Txt2ImgBody):
        request = _with_hires(request, body)
    elif isinstance(body, Img2ImgBody):
        request = replace(request, init=_init(body, lambda text: keep(read(text)), soft))
    request, paste_warnings = _filled(request, body, pasted)
    return Converted(
        request,
        (*warnings, *sampler_warnings, *script_warnings, *paste_warnings, *_unhonoured(body)),
    )


def _refuse_what_is_missing(body: GenerationBody) -> None:
    if body.script_name:
        raise InvalidRequest("script_name", f"Script '{body.script_name}' not found.")
    if body.firstpass_image is not None:
        raise InvalidRequest(
            "firstpass_image", "A hires pass on a given picture is not possible yet: use img2img."
        )


def _unhonoured(body: GenerationBody) -> list[str]:
    notes = [f"The field '{name[:100]}' is not known." for name in body.unknown_fields[:20]]
    if body.restore_faces:
        notes.append("Face restoration is not available: 'restore_faces' had no effect.")
    return notes


def _split_overrides(
    given: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """(settings, fields of the request, warnings about unknown keys)."""
    overrides: dict[str, Any] = {}
    known: dict[str, str] = {}
    warnings: list[str] = []
    for key, value in given.items():
        if key in _REQUEST_SETTINGS:
            known[_REQUEST_SETTINGS[key]] = str(value)
        elif key in Settings.model_fields:
            overrides[key] = value
        elif key in FOREIGN_OPTIONS:
            warnings.append(f"The setting '{key}' has no effect in Easel.")
        else:
            warnings.append(f"There is no setting named '{key[:100]}'; it had no effect.")
    return overrides, {name: value for name, value in known.items() if value}, warnings


def _sampler(name: str, schedule: str | None) -> tuple[str, str, list[str]]:
    """(sampler, schedule, warnings); unknown names become A1111's defaults."""
    choice = CATALOG.resolve(name, schedule)
    warnings = []
    if choice.is_fallback:
        warnings.append(
            f"There is no sampler named '{name[:100]}': {choice.sampler.name} was used."
        )
    if schedule and CATALOG.schedule(schedule) is None:
        warnings.append(f"There is no schedule named '{schedule[:100]}': Automatic was used.")
    return choice.sampler.name, choice.schedule.label, warnings


def _sampler_options(body: GenerationBody) -> SamplerOptions:
    return SamplerOptions(
        eta=body.eta,
        s_churn=body.s_churn,
        s_tmin=body.s_tmin,
        s_tmax=body.s_tmax,
        s_noise=body.s_noise,
        s_min_uncond=body.s_min_uncond,
    )


def _seed(body: GenerationBody) -> Seed:
    return Seed(
        seed=body.seed,
        subseed=body.subseed,
        subseed_strength=body.subseed_strength,
        resize_from_width=max(body.seed_resize_from_w, 0),
        resize_from_height=max(body.seed_resize_from_h, 0),
    )


def _refiner(body: GenerationBody) -> Refiner | None:
    name = body.refiner_checkpoint
    if not name or name.lower() == "none":
        return None
    return Refiner(checkpoint=name, switch_at=body.refiner_switch_at)


def _unless_same(name: str | None, thing: str) -> str | None:
    """A1111's dropdowns say 'Use same sampler' where nothing is chosen."""
    return None if not name or name.lower() == f"use same {thing}" else name


def _with_hires(request: GenerationRequest, body: Txt2ImgBody) -> GenerationRequest:
    if not body.enable_hr:
        return request
    width, height = request.width, request.height
    resize = (body.hr_resize_x, body.hr_resize_y)
    if body.firstphase_width or body.firstphase_height:
        resize = (width or 0, height or 0)
        width, height = body.firstphase_width or None, body.firstphase_height or None
    sampler, schedule = _hires_sampler(request, body)
    hires = Hires(
        upscaler=body.hr_upscaler or "Latent",
        steps=body.hr_second_pass_steps,
        denoising_strength=body.denoising_strength,
        scale=body.hr_scale,
        resize_width=resize[0],
        resize_height=resize[1],
        checkpoint=_unless_same(body.hr_checkpoint_name, "checkpoint"),
        sampler=sampler,
        schedule=schedule,
        prompt=body.hr_prompt,
        negative_prompt=body.hr_negative_prompt,
    )
    return replace(request, width=width, height=height, hires=hires)


def _hires_sampler(request: GenerationRequest, body: Txt2ImgBody) -> tuple[str | None, str | None]:
    """The second pass's own sampler and schedule; None: the first pass's."""
    sampler = _unless_same(body.hr_sampler_name, "sampler")
    schedule = _unless_same(body.hr_scheduler, "scheduler")
    if sampler is None and schedule is None:
        return None, None
    choice = CATALOG.resolve(sampler or request.sampler, schedule or request.schedule)
    return choice.sampler.name, choice.schedule.label


def _init(body: Img2ImgBody, keep: KeepText, soft: SoftInpainting | None) -> Init:
    return Init(
        images=tuple(keep(text) for text in body.init_images),
        denoising_strength=body.denoising_strength,
        resize_mode=RESIZE_MODES[body.resize_mode],
        image_cfg_scale=body.image_cfg_scale,
        initial_noise_multiplier=body.initial_noise_multiplier,
        inpaint=_inpaint(body, keep, soft),
    )


def _inpaint(body: Img2ImgBody, keep: KeepText, soft: SoftInpainting | None) -> Inpaint | None:
    if not body.mask:
        return None
    blur = body.mask_blur
    return Inpaint(
        mask=keep(body.mask),
        latent_mask=keep(body.latent_mask) if body.latent_mask else None,
        mask_blur_x=body.mask_blur_x if blur is None else blur,
        mask_blur_y=body.mask_blur_y if blur is None else blur,
        invert=body.inpainting_mask_invert == 1,
        content=MASKED_CONTENTS[body.inpainting_fill],
        only_masked=body.inpaint_full_res,
        masked_padding=body.inpaint_full_res_padding,
        mask_round=body.mask_round,
        soft=soft,
    )


def _filled(
    request: GenerationRequest, body: GenerationBody, pasted: Pasted | None
) -> tuple[GenerationRequest, tuple[str, ...]]:
    """The request with an infotext's values wherever the body itself says nothing."""
    if pasted is None:
        return request, ()
    given = body.model_fields_set
    changes = {
        path: value
        for path, value in pasted.changes.items()
        if given.isdisjoint(_FIELDS_OF_PATHS.get(path, (path,)))
    }
    settings = {override.key: override.value for override in pasted.overrides}
    overrides, known, _ = _split_overrides(settings)
    changes["overrides"] = {**overrides, **request.overrides}
    changes |= {name: value for name, value in known.items() if getattr(request, name) is None}
    filled, problems = apply_changes(request, changes)
    return filled, (*pasted.problems, *problems)


def _scripts(
    scripts: Mapping[str, AlwaysOnScript],
) -> tuple[SoftInpainting | None, list[str]]:
    """What always-on scripts ask for.

    Raises: InvalidRequest: there is no such script.
    """
    soft, warnings = None, []
    for title, script in scripts.items():
        name = title.lower()
        if name == SOFT_INPAINTING:
            soft = _soft_inpainting(script.args)
        elif name == "hypertile":
            warnings.append("Hypertile is not available: it had no effect.")
        elif name not in WITHOUT_EFFECT:
            raise InvalidRequest("alwayson_scripts", f"Always on script '{title}' not found.")
    return soft, warnings


def _soft_inpainting(arguments: list[Any]) -> SoftInpainting | None:
    enabled, *numbers = arguments or [False]
    if not enabled:
        return None
    try:
        values = [float(number) for number in numbers[: len(_SOFT_FIELDS)]]
    except (TypeError, ValueError):
        raise InvalidRequest(
            "alwayson_scripts", "Soft inpainting takes a switch and six numbers."
        ) from None
    return SoftInpainting(**dict(zip(_SOFT_FIELDS, values, strict=False)))
