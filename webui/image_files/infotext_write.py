"""Write the infotext of a finished picture, keys in A1111's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from webui.image_files.infotext import format_infotext
from webui.prompt.composition import split_composition
from webui.prompt.schedule import old_timelines_matter, prompt_schedule
from webui.request import GenerationRequest, Inpaint, SoftInpainting, hires_steps
from webui.settings import Settings

Pairs = Mapping[str, object]


class SamplerRow(Protocol):
    """What is asked of a sampler (a row of `sampling.catalog`)."""

    @property
    def name(self) -> str:
        """As in requests."""
        ...

    @property
    def space(self) -> str:
        """Sigma or timestep."""
        ...

    @property
    def options(self) -> tuple[str, ...]:
        """Which of eta, s_noise, churn it takes."""
        ...

    @property
    def uses_ensd(self) -> bool:
        """Whether the infotext records ENSD."""
        ...

    @property
    def discard_penultimate(self) -> bool:
        """Whether it drops the second-to-last sigma by itself."""
        ...


class ScheduleRow(Protocol):
    """What is asked of the schedule that ran (a row of `sampling.catalog`)."""

    @property
    def label(self) -> str:
        """As the page shows it."""
        ...

    @property
    def function(self) -> object | None:
        """None for the model's own schedule."""
        ...

    @property
    def default_rho(self) -> float:
        """-1 where there is no exponent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """What is known of a picture only when it is made.

    Attributes:
        prompt, negative_prompt: with the styles merged in.
        hires_prompt, hires_negative_prompt: likewise; "" without a second pass.
        seed, subseed: of this picture.
        sampler, schedule: what ran; the schedule after "Automatic" was resolved.
        hires_sampler, hires_schedule: of the second pass; None without one.
        model_name, model_hash: file stem, first ten hex digits of the sha256.
        vae_name, vae_hash: file name, ten digits; None if the checkpoint's own VAE was used.
        hires_checkpoint: title of the second pass's checkpoint, where it has its own.
        refiner: title of the refiner, if it took over.
        edits_images: the checkpoint is an InstructPix2Pix one.
        inpainting_conditioning: a 9-channel checkpoint was shown the picture and the mask.
        init_image_hash: md5 of the first picture, where it was saved.
        leading: keys of scripts and extensions that stand before ours.
        networks: "Lora hashes" and "TI hashes".
        sampling: what the steps found out ("NGMS", "Skip Early CFG", "Pad conds", ...).
        trailing: keys of extensions that stand last.
        version: the program's, e.g. "Easel 0.1.0"; never a bare number, which A1111 would take for
            its own.
        user: name of whoever asked.
    """

    prompt: str
    negative_prompt: str
    seed: int
    subseed: int
    sampler: SamplerRow
    schedule: ScheduleRow
    model_name: str
    model_hash: str
    hires_prompt: str = ""
    hires_negative_prompt: str = ""
    hires_sampler: SamplerRow | None = None
    hires_schedule: ScheduleRow | None = None
    vae_name: str | None = None
    vae_hash: str | None = None
    hires_checkpoint: str | None = None
    refiner: str | None = None
    edits_images: bool = False
    inpainting_conditioning: bool = False
    init_image_hash: str | None = None
    leading: Pairs = field(default_factory=dict)
    networks: Pairs = field(default_factory=dict)
    sampling: Pairs = field(default_factory=dict)
    trailing: Pairs = field(default_factory=dict)
    version: str | None = None
    user: str | None = None


def to_infotext(request: GenerationRequest, facts: PictureFacts, settings: Settings) -> str:
    """Write the infotext of one picture.

    Args:
        request: resolved.
        settings: the snapshot that the request worked with.
    """
    pairs = infotext_pairs(request, facts, settings)
    return format_infotext(facts.prompt, facts.negative_prompt, pairs)


def infotext_pairs(
    request: GenerationRequest, facts: PictureFacts, settings: Settings
) -> dict[str, object]:
    """The last line of the infotext as pairs; None where a key is to be left out.

    Keys of scripts, extensions and steps that have a place among A1111's base keys stand there.
    """
    pairs = _base_pairs(request, facts, settings)
    pairs.update(facts.leading)
    pairs.update(_hires_pairs(request, facts))
    pairs.update(_inpaint_pairs(request))
    pairs.update(facts.networks)
    pairs.update(_prompt_pairs(request, facts, settings))
    pairs.update(_noise_pairs(settings))
    pairs.update(_sampling_pairs(request, facts, settings))
    pairs.update(facts.trailing)
    pairs["Version"] = facts.version if settings.add_version_to_infotext else None
    pairs["User"] = facts.user if settings.add_user_name_to_info else None
    return pairs


def _base_pairs(
    request: GenerationRequest, facts: PictureFacts, settings: Settings
) -> dict[str, object]:
    seed, init = request.seed, request.init
    varied = seed.subseed_strength > 0
    resized = seed.resize_from_width > 0 and seed.resize_from_height > 0
    width, height = request.size
    return {
        "Steps": request.steps,
        "Sampler": facts.sampler.name,
        "Schedule type": facts.schedule.label,
        "CFG scale": request.cfg_scale,
        "Image CFG scale": init.image_cfg_scale if init and facts.edits_images else None,
        "Seed": facts.seed,
        "Face restoration": None,
        "Size": f"{width}x{height}",
        "Model hash": facts.model_hash if settings.add_model_hash_to_info else None,
        "Model": facts.model_name if settings.add_model_name_to_info else None,
        "FP8 weight": None,
        "Cache FP16 weight for LoRA": None,
        "VAE hash": facts.vae_hash if settings.add_vae_hash_to_info else None,
        "VAE": facts.vae_name if settings.add_vae_name_to_info else None,
        "Variation seed": facts.subseed if varied else None,
        "Variation seed strength": seed.subseed_strength if varied else None,
        "Seed resize from": (
            f"{seed.resize_from_width}x{seed.resize_from_height}" if resized else None
        ),
        "Denoising strength": _denoising_strength(request),
        "Conditional mask weight": (
            settings.inpainting_mask_weight if facts.inpainting_conditioning else None
        ),
        "Clip skip": _unless(1, settings.CLIP_stop_at_last_layers),
        "ENSD": _ensd(request, facts, settings),
        "Token merging ratio": None,
        "Token merging ratio hr": None,
        "Init image hash": facts.init_image_hash,
        "RNG": _unless("GPU", settings.randn_source),
        "Tiling": True if request.tiling else None,
    }


def _denoising_strength(request: GenerationRequest) -> float | None:
    if request.init is not None:
        return request.init.denoising_strength
    return request.hires.denoising_strength if request.hires else None


def _ensd(request: GenerationRequest, facts: PictureFacts, settings: Settings) -> int | None:
    if not facts.sampler.uses_ensd or _eta(request, facts.sampler, settings) == 0:
        return None
    return settings.eta_noise_seed_delta or None


def _eta(request: GenerationRequest, sampler: SamplerRow, settings: Settings) -> float:
    if request.sampler_options.eta is not None:
        return request.sampler_options.eta
    return settings.eta_ancestral if sampler.space == "sigma" else settings.eta_ddim


def _hires_pairs(request: GenerationRequest, facts: PictureFacts) -> dict[str, object]:
    hires = request.hires
    if hires is None:
        return {}
    own_size = hires.resize_width > 0 or hires.resize_height > 0
    sampler = facts.hires_sampler.name if facts.hires_sampler else None
    schedule = facts.hires_schedule if facts.hires_schedule else None
    first_label = facts.schedule.label if facts.schedule.function else None
    return {
        "Hires checkpoint": facts.hires_checkpoint,
        "Hires sampler": _unless(facts.sampler.name, sampler),
        "Hires prompt": _unless(facts.prompt, facts.hires_prompt) or None,
        "Hires negative prompt": _unless(facts.negative_prompt, facts.hires_negative_prompt)
        or None,
        "Hires schedule type": (
            _unless(first_label, schedule.label) if schedule and schedule.function else None
        ),
        "Hires upscale": None if own_size else hires.scale,
        "Hires resize": f"{hires.resize_width}x{hires.resize_height}" if own_size else None,
        "Hires steps": hires.steps or None,
        "Hires upscaler": hires.upscaler,
    }


def _inpaint_pairs(request: GenerationRequest) -> dict[str, object]:
    inpaint = request.init.inpaint if request.init else None
    if inpaint is None:
        return {}
    return {
        **(_soft_pairs(inpaint.soft) if inpaint.soft else {}),
        "Mask mode": "Inpaint not masked" if inpaint.invert else None,
        "Mask blur": _mask_blur(inpaint),
        "Inpaint area": "Only masked" if inpaint.only_masked else None,
        "Masked area padding": inpaint.masked_padding if inpaint.only_masked else None,
        "Masked content": _unless("original", inpaint.content),
    }


def _mask_blur(inpaint: Inpaint) -> object | None:
    if inpaint.mask_blur_x != inpaint.mask_blur_y or inpaint.mask_blur_x == 0:
        return None
    return _plain(inpaint.mask_blur_x)


def _soft_pairs(soft: SoftInpainting) -> dict[str, object]:
    return {
        "Soft inpainting enabled": True,
        "Soft inpainting schedule bias": _plain(soft.schedule_bias),
        "Soft inpainting preservation strength": _plain(soft.preservation_strength),
        "Soft inpainting transition contrast boost": _plain(soft.transition_contrast_boost),
        "Soft inpainting mask influence": _plain(soft.mask_influence),
        "Soft inpainting difference threshold": _plain(soft.difference_threshold),
        "Soft inpainting difference contrast": _plain(soft.difference_contrast),
    }


def _prompt_pairs(
    request: GenerationRequest, facts: PictureFacts, settings: Settings
) -> dict[str, object]:
    """How the prompts were read, where that makes a difference to these prompts."""
    pairs: dict[str, object] = {}
    second = hires_steps(request) or None
    if settings.emphasis != "Original" and _has_brackets(request, facts):
        pairs["Emphasis"] = settings.emphasis
    if settings.use_old_scheduling and any(
        old_timelines_matter(prompt, request.steps, second) for prompt in _prompts(facts)
    ):
        pairs["Old prompt editing timelines"] = True
    return pairs


def _prompts(facts: PictureFacts) -> Iterator[str]:
    for text in (facts.prompt, facts.hires_prompt):
        yield from (part.text for part in split_composition(text))
    yield from (facts.negative_prompt, facts.hires_negative_prompt)


def _has_brackets(request: GenerationRequest, facts: PictureFacts) -> bool:
    """Whether any text that reaches the text encoder holds a bracket."""
    return any(
        "(" in part.text or "[" in part.text
        for prompt in _prompts(facts)
        if "(" in prompt or "[" in prompt
        for part in prompt_schedule(prompt, request.steps)
    )


def _noise_pairs(settings: Settings) -> dict[str, object]:
    return {
        "Downcast alphas_cumprod": settings.use_downcasted_alpha_bar or None,
        "Noise Schedule": _unless("Default", settings.sd_noise_schedule),
    }


def _sampling_pairs(
    request: GenerationRequest, facts: PictureFacts, settings: Settings
) -> dict[str, object]:
    init = request.init
    extra_noise = {"Extra noise": settings.img2img_extra_noise or None}
    pairs: dict[str, object] = {}
    if init is not None:
        given = init.initial_noise_multiplier
        multiplier = settings.initial_noise_multiplier if given is None else given
        pairs["Noise multiplier"] = _unless(1.0, multiplier)
    pairs.update(_schedule_pairs(facts.sampler, facts.schedule, settings))
    if init is not None:
        pairs.update(extra_noise)
    elif facts.sampler.space == "sigma":
        pairs["SGM noise multiplier"] = settings.sgm_noise_multiplier or None
    pairs.update(_option_pairs(request, facts.sampler, settings))
    pairs.update(_refiner_pairs(request, facts, settings))
    pairs.update(facts.sampling)
    if init is None and request.hires is not None:
        pairs.update(extra_noise)
        if facts.hires_sampler and facts.hires_schedule:
            second = _schedule_pairs(facts.hires_sampler, facts.hires_schedule, settings)
            second.update(_option_pairs(request, facts.hires_sampler, settings))
            pairs.update({key: value for key, value in second.items() if value is not None})
    return pairs


def _schedule_pairs(
    sampler: SamplerRow, schedule: ScheduleRow, settings: Settings
) -> dict[str, object]:
    """The options that shaped the sigmas; timestep samplers have none."""
    if sampler.space != "sigma":
        return {}
    discards = settings.always_discard_next_to_last_sigma and not sampler.discard_penultimate
    pairs: dict[str, object] = {"Discard penultimate sigma": discards or None}
    if schedule.function is None:
        return pairs
    pairs["Schedule min sigma"] = settings.sigma_min or None
    pairs["Schedule max sigma"] = settings.sigma_max or None
    if schedule.default_rho != -1:
        pairs["Schedule rho"] = _unless(schedule.default_rho, settings.rho) or None
    if schedule.label == "Beta":
        pairs["Beta schedule alpha"] = settings.beta_dist_alpha
        pairs["Beta schedule beta"] = settings.beta_dist_beta
    return pairs


def _option_pairs(
    request: GenerationRequest, sampler: SamplerRow, settings: Settings
) -> dict[str, object]:
    """The sampler's own numbers: eta wherever it comes from, the others only from settings."""
    pairs: dict[str, object] = {}
    if "eta" in sampler.options:
        eta = _eta(request, sampler, settings)
        if sampler.space == "sigma":
            pairs["Eta"] = _unless(1.0, eta)
        else:
            pairs["Eta DDIM"] = _unless(0.0, eta)
    if "churn" in sampler.options:
        pairs["Sigma churn"] = settings.s_churn or None
        pairs["Sigma tmin"] = settings.s_tmin or None
        pairs["Sigma tmax"] = settings.s_tmax or None
    if "churn" in sampler.options or "s_noise" in sampler.options:
        pairs["Sigma noise"] = _unless(1.0, settings.s_noise)
    return pairs


def _refiner_pairs(
    request: GenerationRequest, facts: PictureFacts, settings: Settings
) -> dict[str, object]:
    if request.refiner is None:
        return {}
    pairs: dict[str, object] = {
        "Refiner switch by sampling steps": settings.refiner_switch_by_sample_steps or None
    }
    if facts.refiner is not None:
        if request.hires is not None:
            pairs["Hires refiner"] = _unless("second pass", settings.hires_fix_refiner_pass)
        pairs["Refiner"] = facts.refiner
        pairs["Refiner switch at"] = request.refiner.switch_at
    return pairs


def _unless(silent: object, value: object) -> object | None:
    """None where the value is the one that is not written."""
    return None if value == silent else value


def _plain(number: float) -> float | int:
    """A whole number without its decimal point, as A1111 writes what it takes for an integer."""
    return int(number) if number == int(number) else number
