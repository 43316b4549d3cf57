"""What the engine lets others reach into: the pass, the step, and the calls that it makes.

The engine knows these Protocols alone; without hooks (`Task.hooks` is None) nothing is built and
nothing is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image
from torch import Tensor, nn


@dataclass(slots=True, kw_only=True)
class Pass:
    """One walk from noise to latents.

    Attributes:
        number: 0: first pass, 1: hires pass.
        width, height: of the pictures, pixels.
        steps: that the sampler takes.
        latents: [B, C, h, w] float32: what the sampler begins with, and at the end its result. May
            be replaced by latents of the same shape.
    """

    number: int
    width: int
    height: int
    steps: int
    latents: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height


@dataclass(slots=True, kw_only=True)
class Step:
    """One call of the denoiser; a hook changes it by assigning to its attributes.

    Attributes:
        pass_: that it belongs to.
        call, total_calls: number of the call, from 0, of how many (second-order samplers call the
            denoiser twice a step).
        level: sigma (in timestep space the timestep), a scalar.
        x: [B, C, h, w] float32 latents of the sampler.
        x_in: [branches * B, C_in, h, w] float32, scaled for the network; set from `denoiser_input`.
        timestep: [branches * B] of the network.
        prompt_embeds: [branches * B, T, C] float32; pooled_prompt_embeds: [branches * B, P] or
            None.
        predictions: [n, B, C, h, w]: denoised expectations (in timestep space noise), one for each
            sub-prompt; set from `denoiser_output` on.
        uncond: [B, C, h, w]: the negative prompt's; None where it is left out.
        weights: of the sub-prompts. cfg_scale: of this call.
        guided: [B, C, h, w]: the combination. None while `guidance` runs: whoever sets it replaces
            classifier-free guidance; changeable in `after_guidance` and `mask_blend`.
    """

    pass_: Pass
    call: int
    total_calls: int
    level: Tensor
    x: Tensor
    weights: Sequence[float]
    cfg_scale: float
    x_in: Tensor | None = None
    timestep: Tensor | None = None
    prompt_embeds: Tensor | None = None
    pooled_prompt_embeds: Tensor | None = None
    predictions: Tensor | None = None
    uncond: Tensor | None = None
    guided: Tensor | None = None
    down_residuals: tuple[Tensor, ...] | None = field(default=None, repr=False)
    mid_residual: Tensor | None = field(default=None, repr=False)

    @property
    def fraction(self) -> float:
        """How much of the pass is done, 0 to below 1."""
        return self.call / max(1, self.total_calls)

    def add_residuals(self, down: Sequence[Tensor], mid: Tensor, weight: float = 1.0) -> None:
        """Add a control network's answers to those of others, for this network call.

        Args:
            down: one for each skip connection of the network, in its order.
            mid: for the middle block.
        """
        scaled = tuple(tensor * weight for tensor in down)
        if self.down_residuals is None or self.mid_residual is None:
            self.down_residuals, self.mid_residual = scaled, mid * weight
            return
        pairs = zip(self.down_residuals, scaled, strict=True)
        self.down_residuals = tuple(one + other for one, other in pairs)
        self.mid_residual = self.mid_residual + mid * weight


class PassHooks(Protocol):
    """What the engine calls; each call changes its argument in place."""

    def initial_noise(self, pass_: Pass) -> None:
        """`pass_.latents` is the noised beginning."""

    def sampling_begin(self, pass_: Pass) -> None:
        """The sampler is about to run."""

    def sampling_end(self, pass_: Pass) -> None:
        """`pass_.latents` is the sampler's result."""

    def denoiser_input(self, step: Step) -> None:
        """Before each network call."""

    def denoiser_output(self, step: Step) -> None:
        """The answers of all branches are there."""

    def guidance(self, step: Step) -> None:
        """May set `step.guided`."""

    def after_guidance(self, step: Step) -> None:
        """`step.guided` is set."""

    def mask_blend(self, step: Step) -> None:
        """`step.guided` is set and the mask blended in (sigma space)."""

    def decoded(self, images: list[Image.Image]) -> list[Image.Image]:
        """Pictures of a finished pass, before masks are pasted."""


@contextmanager
def with_residuals(network: nn.Module, step: Step) -> Iterator[None]:
    """Let a diffusers network add a step's residuals, for the duration of one call."""
    if step.down_residuals is None:
        yield
        return

    def add(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 - a module's arguments
        extra = {
            "down_block_additional_residuals": step.down_residuals,
            "mid_block_additional_residual": step.mid_residual,
        }
        return args, {**kwargs, **extra}

    handle = network.register_forward_pre_hook(add, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
