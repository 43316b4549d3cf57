"""From one batch of a resolved request and a loaded model to pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from webui.engine.conditioning import Timeline
from webui.engine.hires import enlarge
from webui.engine.image_conditioning import with_pictures, without_picture
from webui.engine.inpaint import Start, finish, start_from_pictures
from webui.engine.latents import decode
from webui.engine.options import schedule_options
from webui.engine.sampling_pass import (
    Walk,
    Walked,
    image_noise,
    noise_schedule,
    plain_noise,
    walk_through,
)
from webui.engine.task import Outcome, Picture, Task, Watch, Workshop
from webui.engine.token_merging import merging_notes, merging_ratios
from webui.families.base import LoadedModel
from webui.request import Hires, hires_steps, hires_target
from webui.sampling.catalog import Choice
from webui.sampling.planning import plan_img2img, plan_txt2img
from webui.sampling.trajectory import Trajectory

HIRES_CHECKPOINT = (
    "The second pass ran with the first pass's checkpoint: a hires checkpoint of its own is not"
    " supported yet."
)
REFINED = "refined"
"""Key of the note that the refiner took over."""
EMBEDDINGS = "embeddings"
"""Key of the note on which embeddings the first pass's prompts use: names, as A1111 lists them."""


def generate(task: Task, model: LoadedModel, workshop: Workshop, watch: Watch) -> Outcome:
    """Make the pictures of one batch.

    Raises:
        InvalidRequest: the prompt cannot be read, or a name is unknown.
        BadOutput: the networks answered with NaN.
        Skipped: the user gave the batch up.
    """
    run = _Run(task, model, workshop, watch)
    with torch.inference_mode():
        return run.from_noise() if task.request.init is None else run.from_pictures()


@dataclass(frozen=True, slots=True)
class _Run:
    """A task and all that it is carried out with."""

    task: Task
    model: LoadedModel
    workshop: Workshop
    watch: Watch

    def from_noise(self) -> Outcome:
        """txt2img, with or without a second pass."""
        task, request = self.task, self.task.request
        choice = self.workshop.sampling.resolve(request.sampler, request.schedule)
        trajectory = plan_txt2img(
            choice.sampler,
            choice.effective_schedule,
            request.steps,
            noise_schedule(self.model, task),
            options=schedule_options(task.settings, self.model),
        )
        shown = without_picture(self.model, task.batch.size, *request.size)
        walk = replace(self._first_walk(choice, trajectory), image_conditioning=shown)
        noise = image_noise(task, self.model, *request.size)
        latents = trajectory.start(
            noise.draw(), sgm_noise_multiplier=task.settings.sgm_noise_multiplier
        )
        walked = walk_through(
            walk,
            task,
            self.model,
            self.workshop,
            self.watch,
            latents=latents,
            noise=noise,
        )
        if request.hires is None or not walked.is_complete:
            return self._outcome([Picture(image) for image in self._images(walked)], walked)
        before: list[Image.Image] = []
        if task.settings.save_images_before_highres_fix:
            before = self._images(walked)
        walked = self._second_pass(walk, request.hires, walked)
        images = self._images(walked)
        pictures = [
            Picture(image, before_hires=before[i] if before else None)
            for i, image in enumerate(images)
        ]
        warnings = (HIRES_CHECKPOINT,) if request.hires.checkpoint else ()
        return self._outcome(pictures, walked, warnings)

    def from_pictures(self) -> Outcome:
        """img2img and inpainting."""
        task, request, settings = self.task, self.task.request, self.task.settings
        assert request.init is not None
        start = start_from_pictures(
            task,
            self.model,
            self.workshop.upscalers.get(settings.upscaler_for_img2img),
            lambda: plain_noise(task, self.model).draw(),
        )
        choice = self.workshop.sampling.resolve(request.sampler, request.schedule)
        trajectory = plan_img2img(
            choice.sampler,
            choice.effective_schedule,
            request.steps,
            noise_schedule(self.model, task),
            denoising_strength=request.init.denoising_strength,
            exact_steps=settings.img2img_fix_steps,
            options=schedule_options(settings, self.model),
        )
        noise = image_noise(task, self.model, *request.size)
        multiplier = request.init.initial_noise_multiplier
        if multiplier is None:
            multiplier = settings.initial_noise_multiplier
        latents = trajectory.start_from(
            start.latents, noise.draw() * multiplier, extra_noise=settings.img2img_extra_noise
        )
        walked = walk_through(
            replace(
                self._first_walk(choice, trajectory), image_conditioning=start.image_conditioning
            ),
            task,
            self.model,
            self.workshop,
            self.watch,
            latents=latents,
            noise=noise,
            blend=start.blend if start.keep is not None else None,
        )
        return self._finished(start, walked)

    def _finished(self, start: Start, walked: Walked) -> Outcome:
        latents, soft = start.end(walked.latents)
        images = self._decoded(walked.model, latents)
        pictures = [
            finish(image, start, i, self.task, soft[i] if soft else None)
            for i, image in enumerate(images)
        ]
        return self._outcome(pictures, walked, start.warnings)

    def _first_walk(self, choice: Choice, trajectory: Trajectory) -> Walk:
        request, settings = self.task.request, self.task.settings
        width, height = request.size
        return Walk(
            width=width,
            height=height,
            choice=choice,
            trajectory=trajectory,
            timeline=Timeline(
                choice.sampler.model_calls(request.steps), old=settings.use_old_scheduling
            ),
            positive=self.task.prompts.positive,
            negative=self.task.prompts.negative,
            count=1 if request.hires is None else 2,
            refines=request.hires is None or settings.hires_fix_refiner_pass != "second pass",
            merging=merging_ratios(request, settings).first,
        )

    def _second_pass(self, first: Walk, hires: Hires, walked: Walked) -> Walked:
        task, request, settings = self.task, self.task.request, self.task.settings
        target = hires_target(*request.size, hires)
        width, height = target.width - target.crop_width, target.height - target.crop_height
        latents = enlarge(walked.latents, hires, target, walked.model, self.workshop)
        choice = self.workshop.sampling.resolve(
            hires.sampler or request.sampler, hires.schedule or request.schedule
        )
        steps = hires_steps(request)
        trajectory = plan_img2img(
            choice.sampler,
            choice.effective_schedule,
            steps,
            noise_schedule(self.model, task),
            denoising_strength=hires.denoising_strength,
            exact_steps=True,
            options=schedule_options(settings, self.model),
        )
        noise = image_noise(task, self.model, width, height)
        walk = replace(
            first,
            width=width,
            height=height,
            choice=choice,
            trajectory=trajectory,
            timeline=replace(first.timeline, hires_calls=choice.sampler.model_calls(steps)),
            positive=task.prompts.hires_positive or task.prompts.positive,
            negative=task.prompts.hires_negative or task.prompts.negative,
            number=1,
            refines=settings.hires_fix_refiner_pass != "first pass",
            merging=merging_ratios(request, settings).hires,
            image_conditioning=self._enlarged_conditioning(latents, width, height),
        )
        start = trajectory.start_from(
            latents, noise.draw(), extra_noise=settings.img2img_extra_noise
        )
        if task.enter_hires is not None:
            task = replace(task, model_key=task.enter_hires(self.model))
        second = walk_through(
            walk,
            task,
            self.model,
            self.workshop,
            self.watch,
            latents=start,
            noise=noise,
        )
        return replace(second, embeddings=walked.embeddings)

    def _enlarged_conditioning(self, latents: Tensor, width: int, height: int) -> Tensor | None:
        """Show the second pass its picture, as far as the mask's weight lets anything through."""
        weight = self.task.settings.inpainting_mask_weight
        if self.model.image_input != "inpaint" or weight == 1:
            return without_picture(self.model, len(latents), width, height)
        pixels = torch.cat([self.model.decode_latents(one[None]) for one in latents])
        return with_pictures(self.model, pixels, None, weight=weight, rounded=True)

    def _images(self, walked: Walked) -> list[Image.Image]:
        return self._decoded(walked.model, walked.latents)

    def _decoded(self, model: LoadedModel, latents: torch.Tensor) -> list[Image.Image]:
        images = decode(model, latents)
        hooks = self.task.hooks
        return images if hooks is None else hooks.decoded(images)

    def _outcome(
        self, pictures: list[Picture], walked: Walked, warnings: tuple[str, ...] = ()
    ) -> Outcome:
        notes = {
            **walked.notes,
            **merging_notes(self.task.request, self.task.settings),
            EMBEDDINGS: walked.embeddings,
        }
        if walked.model is not self.model and self.task.refiner is not None:
            notes[REFINED] = self.task.refiner.key
        return Outcome(
            pictures=tuple(pictures),
            is_complete=walked.is_complete,
            notes=notes,
            warnings=warnings,
        )
