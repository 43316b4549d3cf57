"""Every hook, on one page. An implementation takes any subset of the arguments, by name.

Hooks that return something return None for "no change". Those that are given a `Step` or `Pass`
change it by assigning to its attributes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pluggy
from PIL import Image

if TYPE_CHECKING:
    from webui.engine.hooks import Pass, Step
    from webui.extensions.parts import Captioner, FaceRestorer, Preprocessor, Unit, Upscaler
    from webui.families.base import LoadedModel
    from webui.request import Batch, GenerationRequest
    from webui.sampling.sampler import Sampler
    from webui.sampling.sigmas import Schedule

PROJECT = "easel"
spec = pluggy.HookspecMarker(PROJECT)


class HookSpecs:
    """The hooks of version 1."""

    # What an extension offers; asked when it is switched on.

    @spec
    def samplers(self) -> list[Sampler]:  # type: ignore[empty-body]
        """Give further samplers; their names must be free."""

    @spec
    def schedules(self) -> list[Schedule]:  # type: ignore[empty-body]
        """Give further noise schedules; their labels must be free."""

    @spec
    def upscalers(self) -> list[type[Upscaler]]:  # type: ignore[empty-body]
        """Give upscalers; they are offered in hires fix, Extras, SD upscale and the API."""

    @spec
    def face_restorers(self) -> list[type[FaceRestorer]]:  # type: ignore[empty-body]
        """Give face restorers."""

    @spec
    def preprocessors(self) -> list[type[Preprocessor]]:  # type: ignore[empty-body]
        """Give makers of control pictures; units reach them by id."""

    @spec
    def captioners(self) -> list[type[Captioner]]:  # type: ignore[empty-body]
        """Give describers of pictures."""

    @spec
    def units(self) -> list[type[Unit]]:  # type: ignore[empty-body]
        """Give units: always on, with fields, in n copies."""

    # Around a run, in this order.

    @spec
    def before_generate(self, request: GenerationRequest) -> GenerationRequest | None:
        """Change a resolved request before anything is loaded. Return a new one, or None."""

    @spec
    def patch_model(
        self, model: LoadedModel, request: GenerationRequest
    ) -> AbstractContextManager[None] | None:
        """Give a context manager that patches the networks and restores every byte it found."""

    @spec
    def before_batch(self, batch: Batch, request: GenerationRequest) -> Batch | None:
        """Change a batch's seeds. Return a new batch of the same size, or None."""

    # In the denoising loop.

    @spec
    def initial_noise(self, pass_: Pass) -> None:
        """`pass_.latents` [B, C, h, w] is the noised beginning of a pass and may be replaced."""

    @spec
    def sampling_begin(self, pass_: Pass) -> None:
        """A pass (first, hires) is about to be sampled."""

    @spec
    def denoiser_input(self, step: Step) -> None:
        """Before each network call: change `x_in`, `prompt_embeds`, `timestep`, add residuals."""

    @spec
    def denoiser_output(self, step: Step) -> None:
        """After the network: change `predictions` [n, B, C, h, w] and `uncond`."""

    @spec
    def guidance(self, step: Step) -> None:
        """Set `step.guided` to replace classifier-free guidance with a rule of your own."""

    @spec
    def after_guidance(self, step: Step) -> None:
        """Change `step.guided` [B, C, h, w], however it came about."""

    @spec
    def mask_blend(self, step: Step) -> None:
        """Inpainting, sigma space: change `step.guided` after the kept part was put back."""

    @spec
    def sampling_end(self, pass_: Pass) -> None:
        """`pass_.latents` is the sampler's result and may be replaced."""

    @spec
    def decoded(self, images: list[Image.Image]) -> list[Image.Image] | None:
        """Pictures (RGB) of a pass, before colours are corrected and masks pasted."""

    # After it.

    @spec
    def postprocess_image(
        self, image: Image.Image, request: GenerationRequest
    ) -> Image.Image | None:
        """Change a finished picture before it is saved."""

    @spec
    def job_end(self, request: GenerationRequest, pictures: int) -> None:
        """A job's pictures are all saved."""


OFFERS = (
    "samplers",
    "schedules",
    "upscalers",
    "face_restorers",
    "preprocessors",
    "captioners",
    "units",
)
"""Hooks that are asked for what an extension offers."""
STEP_HOOKS = (
    "initial_noise",
    "sampling_begin",
    "denoiser_input",
    "denoiser_output",
    "guidance",
    "after_guidance",
    "mask_blend",
    "sampling_end",
    "decoded",
)
"""Hooks in the denoising loop."""
