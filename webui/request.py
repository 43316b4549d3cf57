"""The one value that asks for pictures.

Page, API, infotext, command line, scripts and queue rows all become the same frozen
`GenerationRequest`; txt2img and img2img
are the same value without and with `init`. `resolve()` fills what was left open, `plan_batches()`
splits it. Pictures are
referred to by content hash (`image_files.store`), so that a request is plain JSON and survives a
restart.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from webui.errors import InvalidRequest

PictureId = str
"""sha256 (64 hex digits) of a picture file in the store."""

ResizeMode = Literal["stretch", "crop", "fill", "latent"]
MaskedContent = Literal["fill", "original", "latent noise", "latent nothing"]
MAX_SIDE = 8192
MAX_PIXELS = 4096 * 4096
MAX_STEPS = 1000
MAX_SEED = 2**64 - 1
MAX_RANDOM_SEED = 4294967294
MAX_PROMPT_CHARS = 1_000_000

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=64, le=MAX_SIDE, multiple_of=8)]
OptionalSide = Annotated[int, Field(ge=0, le=MAX_SIDE, multiple_of=8)]
SeedNumber = Annotated[int, Field(ge=-1, le=MAX_SEED)]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Prompt = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """Where the noise comes from.

    Attributes:
        seed: of the first picture; picture i takes seed + i. -1: drawn by `resolve()`.
        subseed: the variation seed; -1: drawn by `resolve()`.
        subseed_strength: 0 (no variation) to 1 (the variation seed's noise alone). Above 0 all
            pictures share `seed`.
        resize_from_width, resize_from_height: pixels; both above 0: noise as of a picture of that
            size.
    """

    seed: SeedNumber = -1
    subseed: SeedNumber = -1
    subseed_strength: Fraction = 0.0
    resize_from_width: OptionalSide = 0
    resize_from_height: OptionalSide = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerOptions:
    """What a sampler takes besides steps; None: the setting of the same name.

    Attributes:
        eta: share of fresh noise for ancestral samplers and DDIM.
        s_churn, s_tmin, s_tmax, s_noise: Karras et al. 2022, Alg. 2.
        s_min_uncond: sigma below which the negative prompt is left out on every other step (NGMS).
    """

    eta: Annotated[float, Field(ge=0, le=10)] | None = None
    s_churn: Annotated[float, Field(ge=0, le=1000)] | None = None
    s_tmin: Annotated[float, Field(ge=0, le=10000)] | None = None
    s_tmax: Annotated[float, Field(ge=0, le=10000)] | None = None
    s_noise: Annotated[float, Field(ge=0, le=10)] | None = None
    s_min_uncond: Annotated[float, Field(ge=0, le=1000)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hires:
    """A second pass at a larger size.

    Attributes:
        scale: factor, used while both resize values are 0.
        resize_width, resize_height: target in pixels; one of them 0: follows the ratio.
        steps: 0: as many as the first pass.
        checkpoint, sampler, schedule: None: as in the first pass.
        prompt, negative_prompt: "": as in the first pass.
    """

    upscaler: str = "Latent"
    steps: Annotated[int, Field(ge=0, le=MAX_STEPS)] = 0
    denoising_strength: Fraction = 0.7
    scale: Annotated[float, Field(ge=1, le=16)] = 2.0
    resize_width: OptionalSide = 0
    resize_height: OptionalSide = 0
    checkpoint: str | None = None
    sampler: str | None = None
    schedule: str | None = None
    prompt: Prompt = ""
    negative_prompt: Prompt = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refiner:
    """A second checkpoint for the last part of sampling.

    Attributes:
        switch_at: share of the noise levels (or of the steps, by setting) after which it takes
            over.
    """

    checkpoint: str
    switch_at: Fraction = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftInpainting:
    """Blend masked and unmasked parts gradually while sampling (a1111's soft inpainting, same names
    and ranges).
    """

    schedule_bias: Annotated[float, Field(ge=0, le=8)] = 1.0
    preservation_strength: Annotated[float, Field(ge=0, le=8)] = 0.5
    transition_contrast_boost: Annotated[float, Field(ge=1, le=32)] = 4.0
    mask_influence: Fraction = 0.0
    difference_threshold: Annotated[float, Field(ge=0, le=8)] = 0.5
    difference_contrast: Annotated[float, Field(ge=0, le=8)] = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inpaint:
    """Which part of the first picture is made anew.

    Attributes:
        mask: picture; its alpha (where not fully opaque) or luminance, white = make anew.
        latent_mask: picture; where given, this decides what is denoised while `mask` decides what
            is pasted.
        mask_blur_x, mask_blur_y: standard deviation in pixels.
        invert: make anew where the mask is black.
        content: what lies under the mask at the start.
        only_masked: work on the masked part, enlarged to the request's size; else on the whole
            picture.
        masked_padding: pixels around the masked part.
        mask_round: the mask is rounded to 0 and 1 (not with soft inpainting).
    """

    mask: PictureId
    latent_mask: PictureId | None = None
    mask_blur_x: Annotated[float, Field(ge=0, le=256)] = 4
    mask_blur_y: Annotated[float, Field(ge=0, le=256)] = 4
    invert: bool = False
    content: MaskedContent = "original"
    only_masked: bool = False
    masked_padding: Annotated[int, Field(ge=0, le=1024)] = 32
    mask_round: bool = True
    soft: SoftInpainting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """The picture(s) to start from.

    Attributes:
        images: one for all pictures of a batch, or one each.
        scale_by: where not None, width and height are the first picture's times this (rounded down
            to 8).
        image_cfg_scale: for InstructPix2Pix checkpoints; None: 1.5 in the page, 1.0 in the API.
        initial_noise_multiplier: None: the setting.
    """

    images: tuple[PictureId, ...]
    denoising_strength: Fraction = 0.75
    resize_mode: ResizeMode = "stretch"
    scale_by: Annotated[float, Field(ge=0.05, le=16)] | None = None
    image_cfg_scale: Annotated[float, Field(ge=0, le=100)] | None = None
    initial_noise_multiplier: Annotated[float, Field(ge=0, le=10)] | None = None
    inpaint: Inpaint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What is written to the output folders.

    Attributes:
        samples: every finished picture. None: the setting `samples_save`.
        grid: an overview of several pictures. None: the setting `grid_save`.
    """

    samples: bool | None = None
    grid: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """Ask for `batch_count` times `batch_size` pictures.

    Attributes:
        styles: names of stored styles, merged into the prompts in this order.
        checkpoint, vae: names as in the models' index; None: the settings' choice.
        width, height: pixels, multiples of 8; None: the checkpoint's native size (txt2img), the
            first picture's size (img2img).
        cfg_scale: classifier-free guidance (Ho & Salimans 2022); 1 does nothing but still asks for
            the negative prompt.
        overrides: settings for this request alone, by key; only options of level 'generation'.
        extra_networks: follow the prompt's tags; they are cut out of it in any case.
        units: parameters of extensions' units, by unit id (see docs/extensions.md).
    """

    prompt: Prompt = ""
    negative_prompt: Prompt = ""
    styles: tuple[str, ...] = ()
    checkpoint: str | None = None
    vae: str | None = None
    width: Side | None = None
    height: Side | None = None
    sampler: str = "DPM++ 2M"
    schedule: str = "Automatic"
    steps: Steps = 20
    cfg_scale: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 7.0
    sampler_options: SamplerOptions = field(default_factory=SamplerOptions)
    seed: Seed = field(default_factory=Seed)
    batch_size: Annotated[int, Field(ge=1, le=64)] = 1
    batch_count: Annotated[int, Field(ge=1, le=1000)] = 1
    tiling: bool | None = None
    hires: Hires | None = None
    refiner: Refiner | None = None
    init: Init | None = None
    saving: Saving = field(default_factory=Saving)
    extra_networks: bool = True
    overrides: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of a resolved request."""
        if self.width is None or self.height is None:
            raise ValueError("the request is not resolved yet")
        return self.width, self.height

    @property
    def picture_count(self) -> int:
        """How many pictures are asked for."""
        return self.batch_size * self.batch_count


_ADAPTER: TypeAdapter[GenerationRequest] = TypeAdapter(GenerationRequest)


def to_json(request: GenerationRequest) -> str:
    """The request as JSON; `from_json` gives an equal one."""
    return _ADAPTER.dump_json(request).decode()


def from_json(text: str) -> GenerationRequest:
    """Read what `to_json` wrote.

    Raises: InvalidRequest: a field is out of its range or of the wrong type.
    """
    return _checked(lambda: _ADAPTER.validate_json(text))


def validated(request: GenerationRequest) -> GenerationRequest:
    """Check every field against its range.

    Raises: InvalidRequest: names the first field that does not fit, in a sentence.
    """
    return _checked(lambda: _ADAPTER.validate_json(_ADAPTER.dump_json(request, warnings=False)))


def _checked(make: Any) -> GenerationRequest:  # noqa: ANN401 - a thunk; its result is checked by pydantic
    try:
        request: GenerationRequest = make()
    except ValidationError as error:
        raise invalid_request(error) from None
    if request.width and request.height and request.width * request.height > MAX_PIXELS:
        raise InvalidRequest(
            "width", f"{request.width} x {request.height} is more than {MAX_PIXELS:,} pixels."
        )
    return request


def invalid_request(error: ValidationError) -> InvalidRequest:
    """Turn pydantic's first complaint into a sentence."""
    first = error.errors(include_url=False, include_context=True)[0]
    name = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
    limits = first.get("ctx", {})
    label = name.replace("_", " ") or "request"
    match first["type"]:
        case "greater_than_equal" | "greater_than":
            least = limits.get("ge", limits.get("gt"))
            reason = f"{label} is {first['input']!r}: it must be at least {least}."
        case "less_than_equal" | "less_than":
            most = limits.get("le", limits.get("lt"))
            reason = f"{label} is {first['input']!r}: it may be at most {most}."
        case "multiple_of":
            reason = (
                f"{label} is {first['input']!r}: it must be a multiple of {limits['multiple_of']}."
            )
        case "string_too_long":
            reason = f"{label} is too long: at most {limits['max_length']:,} characters."
        case _:
            reason = f"{label}: {first['msg']}."
    return InvalidRequest(name, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What `resolve()` fills in where a request left it open.

    Attributes:
        checkpoint: title of the checkpoint that the request's name (or the setting) means.
        native_size: (width, height) of that checkpoint.
        init_size: (width, height) of the first init picture, where there is one.
    """

    checkpoint: str
    native_size: tuple[int, int]
    vae: str = "Automatic"
    tiling: bool = False
    init_size: tuple[int, int] | None = None
    save_samples: bool = True
    save_grid: bool = True


def resolve(
    request: GenerationRequest, defaults: Defaults, rng: random.Random
) -> GenerationRequest:
    """Fill what was left open; afterwards no field is None by accident.

    Args:
        rng: draws the seeds that are -1 (0 to 4294967293, as A1111 does).
    Raises: InvalidRequest: a field is out of range, or the filled-in size is.
    """
    width, height = _resolved_size(request, defaults)
    seed = request.seed
    drawn = replace(
        seed,
        seed=rng.randrange(MAX_RANDOM_SEED) if seed.seed == -1 else seed.seed,
        subseed=rng.randrange(MAX_RANDOM_SEED) if seed.subseed == -1 else seed.subseed,
    )
    saving = Saving(
        samples=defaults.save_samples if request.saving.samples is None else request.saving.samples,
        grid=defaults.save_grid if request.saving.grid is None else request.saving.grid,
    )
    return validated(
        replace(
            request,
            checkpoint=defaults.checkpoint,
            vae=request.vae or defaults.vae,
            width=width,
            height=height,
            seed=drawn,
            tiling=defaults.tiling if request.tiling is None else request.tiling,
            saving=saving,
        )
    )


def _resolved_size(request: GenerationRequest, defaults: Defaults) -> tuple[int, int]:
    init = request.init
    if init is not None and init.scale_by is not None and defaults.init_size is not None:
        width, height = (int(side * init.scale_by) // 8 * 8 for side in defaults.init_size)
        return width, height
    if init is not None and defaults.init_size is not None:
        fallback = tuple(min(max(round(side / 8) * 8, 64), MAX_SIDE) for side in defaults.init_size)
    else:
        fallback = defaults.native_size
    return request.width or fallback[0], request.height or fallback[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Pictures that go through the networks together.

    Attributes:
        index: 0 to batch_count - 1.
        first_picture: index of its first picture among all pictures of the request.
        seeds, subseeds: one each picture.
    """

    index: int
    first_picture: int
    seeds: tuple[int, ...]
    subseeds: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of pictures."""
        return len(self.seeds)


def plan_batches(request: GenerationRequest) -> Iterator[Batch]:
    """Split a resolved request; picture i takes seed + i, or the same seed and subseed + i with a
    variation strength.
    """
    seed = request.seed
    for index in range(request.batch_count):
        first = index * request.batch_size
        numbers = range(first, first + request.batch_size)
        seeds = tuple(seed.seed + (0 if seed.subseed_strength > 0 else i) for i in numbers)
        yield Batch(
            index=index,
            first_picture=first,
            seeds=seeds,
            subseeds=tuple(seed.subseed + i for i in numbers),
        )


@dataclass(frozen=True, slots=True)
class HiresTarget:
    """Size of the second pass.

    Attributes:
        width, height: what the latent is enlarged to, pixels.
        crop_width, crop_height: what is cut off afterwards, pixels.
    """

    width: int
    height: int
    crop_width: int = 0
    crop_height: int = 0


def hires_target(width: int, height: int, hires: Hires) -> HiresTarget:
    """Where the second pass leads, as A1111 computes it (both resize values: cover, then crop)."""
    if hires.resize_width == 0 and hires.resize_height == 0:
        return HiresTarget(int(width * hires.scale), int(height * hires.scale))
    if hires.resize_height == 0:
        return HiresTarget(hires.resize_width, hires.resize_width * height // width)
    if hires.resize_width == 0:
        return HiresTarget(hires.resize_height * width // height, hires.resize_height)
    target_w, target_h = hires.resize_width, hires.resize_height
    if width / height < target_w / target_h:
        up_w, up_h = target_w, target_w * height // width
    else:
        up_w, up_h = target_h * width // height, target_h
    return HiresTarget(up_w, up_h, up_w - target_w, up_h - target_h)


def hires_steps(request: GenerationRequest) -> int:
    """Steps of the second pass; 0 if there is none."""
    if request.hires is None:
        return 0
    return request.hires.steps or request.steps
