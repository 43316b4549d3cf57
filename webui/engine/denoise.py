"""One pass's denoiser: conditioning, network calls, guidance and mask, as samplers ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from webui.engine.conditioning import (
    Conditioning,
    Scheduled,
    equal_lengths,
    pad_by_empty,
    pad_by_last,
)
from webui.engine.hooks import Pass, PassHooks, Step, with_residuals
from webui.errors import InvalidRequest
from webui.families.base import EncodeOptions, LoadedModel, PromptEmbeds
from webui.sampling.denoiser import Parameterization, Space
from webui.sampling.guidance import (
    UncondPolicy,
    combine_guidance,
    combine_image_guidance,
    combine_without_uncond,
)

MaskBlend = Callable[[Tensor, Tensor], Tensor]
"""``blend(latents, level)``: latents with the kept part of the first picture put back."""


Takeover = Callable[[Tensor, int], "tuple[LoadedModel, Conditioning] | None"]
"""``takeover(level, call)``: the refiner with its conditioning from the call on that is its own."""

_PLAIN = EncodeOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interventions:
    """What reaches into a pass besides prompts.

    Attributes:
        blend: puts the kept part of a first picture back; None without a mask.
        image_conditioning: [B, k, h, w] further input channels; None for usual checkpoints.
        takeover: asked before each call until the refiner takes over; None without one.
        hooks, pass_: of extensions; both None where nobody wants to be called.
    """

    blend: MaskBlend | None = None
    image_conditioning: Tensor | None = None
    takeover: Takeover | None = None
    hooks: PassHooks | None = None
    pass_: Pass | None = None


@dataclass(frozen=True, slots=True)
class GuidanceOptions:
    """How the answers with and without the prompt are combined.

    Attributes:
        cfg_scale: Ho & Salimans 2022 (arXiv:2207.12598), in Stable Diffusion's writing: 1 = prompt
            alone.
        image_cfg_scale: guidance by the picture that is edited, apart from the text's; None: both
            by `cfg_scale`.
        uncond: when the negative prompt is left out.
        together: with and without prompt in one network call (faster, more memory).
        pad_with_empty, pad_with_last: make prompt and negative prompt equally long.
    """

    cfg_scale: float = 7.0
    image_cfg_scale: float | None = None
    uncond: UncondPolicy = field(default_factory=UncondPolicy)
    together: bool = True
    pad_with_empty: bool = False
    pad_with_last: bool = False


@dataclass(frozen=True, slots=True)
class _Embeds:
    """Embeddings of one moment, repeated for the batch: branch-major [branches * B, T, C]."""

    prompts: Tensor
    prompts_pooled: Tensor | None
    negative: Tensor
    negative_pooled: Tensor | None
    joint: Tensor | None
    joint_pooled: Tensor | None


class GuidedDenoiser:
    """A `sampling.protocols.Denoiser` over a loaded model; counts its calls.

    `notes` collects what the infotext says of guidance, by key, once it has really happened.

    Args:
        parameterization: between the sampler's space and the network.
        space: of the sampler: in sigma space the mask is blended into the answer, in timestep space
            into the network's input (as A1111 does).
        total_calls: of the pass.
    """

    def __init__(
        self,
        model: LoadedModel,
        conditioning: Conditioning,
        parameterization: Parameterization,
        guidance: GuidanceOptions,
        *,
        space: Space,
        total_calls: int,
        also: Interventions,
    ) -> None:
        self._model = model
        self._conditioning = conditioning
        self._parameterization = parameterization
        self._guidance = guidance
        self._space = space
        self._total_calls = total_calls
        self._blend = also.blend
        self._image_conditioning = also.image_conditioning
        self._takeover = also.takeover
        self._hooks = also.hooks
        self._pass = also.pass_
        self._step: Step | None = None
        self._embeds: dict[tuple[int, ...], _Embeds] = {}
        self.calls = 0
        self.notes: dict[str, object] = {}

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        """Guided prediction for latents [B, C, h, w] float32."""
        return self.pair(x, level)[0]

    def pair(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Guided prediction, and the one of the negative prompt alone."""
        self._hand_over(level)
        if self._blend is not None and self._space == "timestep":
            x = self._blend(x, level)
        self._step = self._new_step(x, level)
        guided, prompts, negative = self._guided(*self._branches(x, level))
        if self._blend is not None and self._space == "sigma":
            guided = self._after_blend(self._blend(guided, level))
        self.calls += 1
        return guided, prompts[0] if negative is None else negative

    def _new_step(self, x: Tensor, level: Tensor) -> Step | None:
        if self._hooks is None or self._pass is None:
            return None
        return Step(
            pass_=self._pass,
            call=self.calls,
            total_calls=self._total_calls,
            level=level,
            x=x,
            weights=self._conditioning.weights,
            cfg_scale=self._guidance.cfg_scale,
        )

    def _combined(
        self, prompts: Tensor, negative: Tensor | None, pictured: Tensor | None, scale: float
    ) -> Tensor:
        weights, image_scale = self._conditioning.weights, self._guidance.image_cfg_scale
        if negative is None:
            return combine_without_uncond(prompts.unbind(), weights)
        if pictured is not None and image_scale is not None:
            return combine_image_guidance(prompts[0], pictured, negative, scale, image_scale)
        return combine_guidance(prompts.unbind(), weights, negative, scale)

    def _guided(
        self, prompts: Tensor, negative: Tensor | None, pictured: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The combination, and the branches as hooks left them."""
        step, hooks = self._step, self._hooks
        if step is None or hooks is None:
            guided = self._combined(prompts, negative, pictured, self._guidance.cfg_scale)
            return guided, prompts, negative
        step.predictions, step.uncond = prompts, negative
        hooks.denoiser_output(step)
        prompts, negative = step.predictions, step.uncond
        hooks.guidance(step)
        if step.guided is None:
            step.guided = self._combined(prompts, negative, pictured, step.cfg_scale)
        hooks.after_guidance(step)
        return step.guided, prompts, negative

    def _after_blend(self, guided: Tensor) -> Tensor:
        step, hooks = self._step, self._hooks
        if step is None or hooks is None:
            return guided
        step.guided = guided
        hooks.mask_blend(step)
        return step.guided

    @property
    def model(self) -> LoadedModel:
        """The model in use: the refiner, once it has taken over."""
        return self._model

    def _hand_over(self, level: Tensor) -> None:
        """Let the refiner take over, if it is its turn."""
        successor = self._takeover and self._takeover(level, self.calls)
        if successor:
            self._model, self._conditioning = successor
            self._takeover = None
            self._embeds.clear()
            if self._model.image_input == "none":
                self._image_conditioning = None
            elif self._image_conditioning is None:
                raise InvalidRequest(
                    "refiner",
                    "A checkpoint for inpainting or editing cannot take over from a usual one:"
                    " choose another refiner.",
                )

    def _branches(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Converted answers: sub-prompts [n, B, C, h, w]; negative prompt [B, C, h, w] or none;
        negative prompt with the edited picture [B, C, h, w], where that guides apart.
        """
        embeds = self._embeds_at(x.shape[0])
        x_in = self._parameterization.network_input(x, level)
        if self._image_conditioning is not None:
            x_in = torch.cat([x_in, self._image_conditioning], dim=1)
        timestep = self._parameterization.timestep(level).to(x.device)
        if self._guidance.image_cfg_scale is not None:
            output = self._predict_apart(x_in, x.shape[1], timestep, embeds)
            cond, pictured, negative = self._parameterization.convert(x, output, level)
            return cond[None], negative, pictured
        if self._leaves_out_negative(level):
            output = self._predict(x_in, timestep, embeds.prompts, embeds.prompts_pooled)
            return self._parameterization.convert(x, output, level), None, None
        if embeds.joint is not None:
            output = self._predict(x_in, timestep, embeds.joint, embeds.joint_pooled)
        else:
            with_prompt = self._predict(x_in, timestep, embeds.prompts, embeds.prompts_pooled)
            without = self._predict(x_in, timestep, embeds.negative, embeds.negative_pooled)
            output = torch.cat([with_prompt, without])
        answers = self._parameterization.convert(x, output, level)
        return answers[:-1], answers[-1], None

    def _predict_apart(
        self, x_in: Tensor, channels: int, timestep: Tensor, embeds: _Embeds
    ) -> Tensor:
        """Raw answers [3, B, C, h, w] with text and picture, with the picture, with neither.

        Source: Brooks et al. 2022 (arXiv:2211.09800), section 3.2.1.
        """
        if len(self._conditioning.prompts) > 1:
            raise InvalidRequest(
                "prompt",
                "AND does not go together with an Image CFG Scale other than 1: leave one out.",
            )
        hidden = x_in.clone()
        hidden[:, channels:] = 0.0
        negative = embeds.negative, embeds.negative_pooled
        return torch.cat(
            [
                self._predict(x_in, timestep, embeds.prompts, embeds.prompts_pooled),
                self._predict(x_in, timestep, *negative),
                self._predict(hidden, timestep, *negative),
            ]
        )

    def _leaves_out_negative(self, level: Tensor) -> bool:
        policy = self._guidance.uncond
        if not policy.skips(self.calls, self._total_calls, float(level)):
            return False
        if policy.skip_early_cond and self.calls / self._total_calls <= policy.skip_early_cond:
            self.notes["Skip Early CFG"] = policy.skip_early_cond
        else:
            self.notes["NGMS"] = policy.s_min_uncond
            if policy.s_min_uncond_all:
                self.notes["NGMS all steps"] = True
        return True

    def _predict(
        self, x_in: Tensor, timestep: Tensor, cross: Tensor, pooled: Tensor | None
    ) -> Tensor:
        branches = cross.shape[0] // x_in.shape[0]
        repeated = x_in.repeat(branches, 1, 1, 1)
        times = timestep.expand(len(repeated))
        if self._step is None or self._hooks is None:
            output = self._model.predict(repeated, times, cross, pooled)
        else:
            output = self._predict_hooked(self._step, self._hooks, (repeated, times, cross, pooled))
        return output.view(branches, x_in.shape[0], *output.shape[1:])

    def _predict_hooked(
        self, step: Step, hooks: PassHooks, inputs: tuple[Tensor, Tensor, Tensor, Tensor | None]
    ) -> Tensor:
        step.x_in, step.timestep, step.prompt_embeds, step.pooled_prompt_embeds = inputs
        step.down_residuals = step.mid_residual = None
        hooks.denoiser_input(step)
        with with_residuals(self._model.networks["unet"], step):
            return self._model.predict(
                step.x_in, step.timestep, step.prompt_embeds, step.pooled_prompt_embeds
            )

    def _embeds_at(self, batch_size: int) -> _Embeds:
        conditioning = self._conditioning
        active = tuple(text.at(self.calls) for text in conditioning.prompts)
        key = (batch_size, conditioning.negative.at(self.calls), *active)
        if key not in self._embeds:
            prompts = [_variant(t, i) for t, i in zip(conditioning.prompts, active, strict=True)]
            self._embeds[key] = self._assemble(
                prompts, _variant(conditioning.negative, key[1]), batch_size
            )
        return self._embeds[key]

    def _assemble(
        self, prompts: list[PromptEmbeds], negative: PromptEmbeds, batch_size: int
    ) -> _Embeds:
        crosses = equal_lengths([prompt.cross for prompt in prompts])
        crosses, without = self._padded(crosses, negative.cross)
        pooled = [prompt.pooled for prompt in prompts if prompt.pooled is not None]
        prompt_cross, prompt_pooled = (
            _repeat(crosses, batch_size),
            _repeat_pooled(pooled, batch_size),
        )
        negative_cross = _repeat([without], batch_size)
        negative_pooled = _repeat_pooled(
            [] if negative.pooled is None else [negative.pooled], batch_size
        )
        joint = joint_pooled = None
        if self._guidance.together and prompt_cross.shape[1] == negative_cross.shape[1]:
            joint = torch.cat([prompt_cross, negative_cross])
            if prompt_pooled is not None and negative_pooled is not None:
                joint_pooled = torch.cat([prompt_pooled, negative_pooled])
        return _Embeds(
            prompt_cross, prompt_pooled, negative_cross, negative_pooled, joint, joint_pooled
        )

    def _padded(self, crosses: list[Tensor], negative: Tensor) -> tuple[list[Tensor], Tensor]:
        tokens, options = crosses[0].shape[0], self._guidance
        if tokens == negative.shape[0]:
            return crosses, negative
        if options.pad_with_last:
            self.notes["Pad conds v0"] = True
            return crosses, pad_by_last(negative, tokens)
        if options.pad_with_empty:
            self.notes["Pad conds"] = True
            longest = max(tokens, negative.shape[0])
            empty = self._model.encode_prompts([""], _PLAIN)[0].cross
            return (
                [pad_by_empty(cross, empty, longest) for cross in crosses],
                pad_by_empty(negative, empty, longest),
            )
        return crosses, negative


def _variant(text: Scheduled, index: int) -> PromptEmbeds:
    return text.embeds[index]


def _repeat(crosses: list[Tensor], batch_size: int) -> Tensor:
    """[T, C] each to [n * B, T, C], branch-major."""
    return torch.stack(crosses).repeat_interleave(batch_size, dim=0)


def _repeat_pooled(pooled: list[Tensor], batch_size: int) -> Tensor | None:
    return torch.stack(pooled).repeat_interleave(batch_size, dim=0) if pooled else None
