"""What a request and its settings mean for samplers, schedules, guidance and noise."""

from __future__ import annotations

from webui.engine.denoise import GuidanceOptions
from webui.families.base import EncodeOptions, LoadedModel, PictureSize
from webui.request import GenerationRequest, SamplerOptions
from webui.sampling.guidance import UncondPolicy
from webui.sampling.sampler import SamplerOptions as SamplerNumbers
from webui.sampling.samplers_unipc import UniPCOptions
from webui.sampling.sigmas import ScheduleOptions
from webui.settings import Settings


def sampler_numbers(asked: SamplerOptions, settings: Settings) -> SamplerNumbers:
    """Merge a request's numbers with the settings'.

    A setting that is not at its default wins over the request: A1111's behaviour, on which its
    users' pictures depend.
    """
    defaults = Settings()

    def number(name: str) -> float:
        setting, default = getattr(settings, name), getattr(defaults, name)
        wanted = getattr(asked, name)
        return float(setting if wanted is None or setting != default else wanted)

    return SamplerNumbers(
        eta=asked.eta,
        eta_ancestral=settings.eta_ancestral,
        eta_ddim=settings.eta_ddim,
        s_churn=number("s_churn"),
        s_tmin=number("s_tmin"),
        s_tmax=number("s_tmax"),
        s_noise=number("s_noise"),
        unipc=UniPCOptions(
            variant=settings.uni_pc_variant,
            skip_type=settings.uni_pc_skip_type,
            order=settings.uni_pc_order,
            lower_order_final=settings.uni_pc_lower_order_final,
        ),
    )


def schedule_options(settings: Settings, model: LoadedModel) -> ScheduleOptions:
    """The settings that shape schedules, and the model's table."""
    return ScheduleOptions(
        sigma_min=settings.sigma_min,
        sigma_max=settings.sigma_max,
        rho=settings.rho,
        old_karras_range=settings.use_old_karras_scheduler_sigmas,
        discard_penultimate=settings.always_discard_next_to_last_sigma,
        beta_alpha=settings.beta_dist_alpha,
        beta_beta=settings.beta_dist_beta,
        table=model.steps_table,
    )


DEFAULT_IMAGE_CFG_SCALE = 1.5


def guidance_options(
    request: GenerationRequest, settings: Settings, model: LoadedModel
) -> GuidanceOptions:
    """How the answers with and without prompt are combined; the scale is the request's own."""
    asked = request.sampler_options.s_min_uncond
    image_cfg_scale = None
    if model.image_input == "edit" and request.init is not None:
        given = request.init.image_cfg_scale
        image_cfg_scale = DEFAULT_IMAGE_CFG_SCALE if given is None else given
    return GuidanceOptions(
        cfg_scale=request.cfg_scale,
        image_cfg_scale=None if image_cfg_scale == 1 else image_cfg_scale,
        uncond=UncondPolicy(
            s_min_uncond=settings.s_min_uncond if asked is None else asked,
            s_min_uncond_all=settings.s_min_uncond_all,
            skip_early_cond=settings.skip_early_cond,
        ),
        together=settings.batch_cond_uncond,
        pad_with_empty=settings.pad_cond_uncond and not settings.pad_cond_uncond_v0,
        pad_with_last=settings.pad_cond_uncond_v0,
    )


def encode_options(
    settings: Settings, width: int, height: int, *, is_negative: bool
) -> EncodeOptions:
    """How texts become embeddings for pictures of width x height pixels."""
    low, high = (
        settings.sdxl_refiner_low_aesthetic_score,
        settings.sdxl_refiner_high_aesthetic_score,
    )
    return EncodeOptions(
        clip_skip=settings.CLIP_stop_at_last_layers,
        emphasis=settings.emphasis,
        comma_padding_backtrack=settings.comma_padding_backtrack,
        is_negative=is_negative,
        size=PictureSize(height, width, settings.sdxl_crop_top, settings.sdxl_crop_left),
        aesthetic_score=low if is_negative else high,
        clip_l_skip=settings.sdxl_clip_l_skip,
        old_emphasis=settings.use_old_emphasis_implementation,
    )
