"""One walk from noise to latents: first pass or hires pass."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from webui.engine.conditioning import Conditioning, Timeline, encode
from webui.engine.denoise import GuidedDenoiser, Interventions, MaskBlend, Takeover
from webui.engine.hooks import Pass
from webui.engine.options import encode_options, guidance_options, sampler_numbers
from webui.engine.task import Task, Watch, Workshop
from webui.engine.token_merging import merging
from webui.errors import Interrupted
from webui.families.base import LoadedModel
from webui.sampling.brownian import BrownianNoise
from webui.sampling.catalog import Choice
from webui.sampling.denoiser import parameterize
from webui.sampling.noise import ImageNoise, NoiseSeeds
from webui.sampling.noise_schedule import NoiseSchedule, model_schedule
from webui.sampling.protocols import NoiseSource
from webui.sampling.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What one pass needs beside the task.

    Attributes:
        width, height: of the pictures, pixels.
        choice: sampler and schedule.
        trajectory: the levels.
        timeline: of prompt editing.
        positive, negative: prompts.
        number, count: of this pass among the task's.
        refines: the task's refiner may take over in this pass.
        merging: share of the tokens that self-attention merges.
        pass_: what extensions are shown of it; None: nobody wants to see it.
        image_conditioning: [B, k, h, w] that the network reads beside latents; None for most.
    """

    width: int
    height: int
    choice: Choice
    trajectory: Trajectory
    timeline: Timeline
    positive: str
    negative: str
    number: int = 0
    count: int = 1
    refines: bool = True
    merging: float = 0.0
    pass_: Pass | None = None
    image_conditioning: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Walked:
    """Where a pass ended.

    Attributes:
        latents: [B, C, h, w]; the last expectation if the user stopped it.
        notes: see `GuidedDenoiser.notes`.
        model: the one that ran last: the refiner, if it took over.
        embeddings: names of those that the prompts use.
    """

    latents: Tensor
    is_complete: bool
    notes: Mapping[str, object]
    model: LoadedModel
    embeddings: tuple[str, ...] = ()


def noise_schedule(model: LoadedModel, task: Task) -> NoiseSchedule:
    """The model's noise levels, changed as the settings ask."""
    settings = task.settings
    return model_schedule(
        model.alphas_cumprod,
        zero_terminal=settings.sd_noise_schedule == "Zero Terminal SNR" or model.zero_terminal_snr,
        downcast=settings.use_downcasted_alpha_bar,
        quantize=settings.enable_quantization,
    )


def image_noise(task: Task, model: LoadedModel, width: int, height: int) -> ImageNoise:
    """The batch's random numbers for pictures of width x height pixels."""
    seed, settings, scale = task.request.seed, task.settings, model.vae_scale_factor
    return ImageNoise(
        (model.latent_channels, height // scale, width // scale),
        NoiseSeeds(
            seeds=task.batch.seeds,
            subseeds=task.batch.subseeds,
            subseed_strength=seed.subseed_strength,
            resize_from=(seed.resize_from_height, seed.resize_from_width),
            ensd=settings.eta_noise_seed_delta,
        ),
        source=settings.randn_source,
        device=model.device,
    )


def plain_noise(task: Task, model: LoadedModel) -> ImageNoise:
    """The first batch's noise without variation: what A1111 puts under masks of every batch."""
    width, height = task.request.size
    scale = model.vae_scale_factor
    return ImageNoise(
        (model.latent_channels, height // scale, width // scale),
        NoiseSeeds(seeds=task.first_seeds),
        source=task.settings.randn_source,
        device=model.device,
    )


def conditioning(walk: Walk, task: Task, model: LoadedModel, workshop: Workshop) -> Conditioning:
    """Encode the pass's prompts, or take them from the cache."""
    settings, width, height = task.settings, walk.width, walk.height
    embeddings = task.embeddings(model)
    wanted = encode_options(settings, width, height, is_negative=False)
    unwanted = encode_options(settings, width, height, is_negative=True)
    return encode(
        model,
        walk.positive,
        walk.negative,
        walk.timeline,
        replace(wanted, embeddings=embeddings),
        replace(unwanted, embeddings=embeddings),
        workshop.conditioning,
        task.model_key,
    )


def walk_through(
    walk: Walk,
    task: Task,
    model: LoadedModel,
    workshop: Workshop,
    watch: Watch,
    *,
    latents: Tensor,
    noise: ImageNoise,
    blend: MaskBlend | None = None,
) -> Walked:
    """Run a pass.

    Args:
        latents: [B, C, h, w] to begin with, from `Trajectory.start` or `start_from`.
        noise: the batch's random numbers, the initial noise drawn already.
        blend: puts the kept part of a first picture back, at each step.
    Raises: Skipped: the user gave the batch up. (Stopped jobs return what there is.)
    """
    hooks = task.hooks
    if hooks is None:
        return _sampled(
            walk, task, model, workshop, watch, latents=latents, noise=noise, blend=blend
        )
    pass_ = _pass_of(walk, latents)
    hooks.initial_noise(pass_)
    hooks.sampling_begin(pass_)
    walk, latents = replace(walk, pass_=pass_), pass_.latents
    walked = _sampled(walk, task, model, workshop, watch, latents=latents, noise=noise, blend=blend)
    if not walked.is_complete:
        return walked
    pass_.latents = walked.latents
    hooks.sampling_end(pass_)
    return replace(walked, latents=pass_.latents)


def _sampled(
    walk: Walk,
    task: Task,
    model: LoadedModel,
    workshop: Workshop,
    watch: Watch,
    *,
    latents: Tensor,
    noise: ImageNoise,
    blend: MaskBlend | None,
) -> Walked:
    sampler, trajectory = walk.choice.sampler, walk.trajectory
    guidance = guidance_options(task.request, task.settings, model)
    told = conditioning(walk, task, model, workshop)
    patches = ExitStack()
    denoiser = GuidedDenoiser(
        model,
        told,
        parameterize(
            "eps" if model.prediction == "epsilon" else "v",
            sampler.space,
            trajectory.noise_schedule,
            consistency=sampler.consistency,
        ),
        replace(guidance, cfg_scale=guidance.cfg_scale * sampler.cfg_scale_factor),
        space=sampler.space,
        total_calls=sampler.model_calls(trajectory.steps),
        also=Interventions(
            blend=blend,
            takeover=_takeover(walk, task, workshop, patches),
            hooks=task.hooks,
            pass_=walk.pass_,
            image_conditioning=walk.image_conditioning,
        ),
    )
    watch.enter_pass(walk.number, walk.count)
    latest = latents

    def on_step(index: int, level: Tensor, x: Tensor, denoised: Tensor, /) -> None:  # noqa: ARG001
        nonlocal latest
        latest = denoised
        watch.step(index + 1, trajectory.steps, denoised)

    try:
        with patches, torch.inference_mode():
            patches.enter_context(merging(model.networks, walk.merging))
            latents = sampler.run(
                denoiser.pair if sampler.needs_uncond else denoiser,
                latents,
                trajectory,
                noise=_noise_source(walk, task, model, noise),
                options=sampler_numbers(task.request.sampler_options, task.settings),
                on_step=on_step,
            )
    except Interrupted:
        return Walked(latest, False, denoiser.notes, denoiser.model, told.embeddings)
    return Walked(latents, True, denoiser.notes, denoiser.model, told.embeddings)


def _pass_of(walk: Walk, latents: Tensor) -> Pass:
    return Pass(
        number=walk.number,
        width=walk.width,
        height=walk.height,
        steps=walk.trajectory.steps,
        latents=latents,
    )


def _takeover(walk: Walk, task: Task, workshop: Workshop, patches: ExitStack) -> Takeover | None:
    """The refiner's turn, with the pass's patches on its networks as well."""
    plan = task.refiner
    if plan is None or not walk.refines:
        return None
    sampler, trajectory = walk.choice.sampler, walk.trajectory
    calls = sampler.model_calls(trajectory.steps)

    def takeover(level: Tensor, call: int) -> tuple[LoadedModel, Conditioning] | None:
        schedule = trajectory.noise_schedule
        if not plan.rule.is_due(level, sampler.space, schedule, call, calls):
            return None
        refiner = plan.open()
        refined = replace(task, model_key=(plan.key, task.model_key))
        patches.enter_context(merging(refiner.networks, walk.merging))
        return refiner, conditioning(walk, refined, refiner, workshop)

    return takeover


def _noise_source(walk: Walk, task: Task, model: LoadedModel, noise: ImageNoise) -> NoiseSource:
    if not walk.choice.sampler.brownian_noise or walk.trajectory.is_empty:
        return noise
    return BrownianNoise(
        noise.shape,
        task.batch.seeds,
        walk.trajectory.brownian_range,
        source=task.settings.randn_source,
        device=model.device,
        per_image=not task.settings.no_dpmpp_sde_batch_determinism,
    )
