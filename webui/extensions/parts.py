"""The kinds of things that an extension can offer, and what their methods are given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar, Literal, NoReturn, Protocol

from PIL import Image
from torch import nn

from webui.engine.hooks import Pass, Step
from webui.errors import InvalidRequest
from webui.extensions.parameters import ModelFile, Parameters
from webui.request import GenerationRequest

OnError = Literal["skip", "abort"]


class Toolbox(Protocol):
    """What the host does for extensions."""

    def load_image_model(self, file: ModelFile) -> nn.Module:
        """Load a network from pictures to pictures, in the host's device and dtype, or take it from
        memory.

        Raises: ModelNotFound, UnsupportedModel.
        """
        ...

    def run_tiled(
        self, network: nn.Module, image: Image.Image, *, tile: int = 192, overlap: int = 8
    ) -> Image.Image:
        """Run such a network over a picture, piece by piece, with progress and interrupt.

        Args:
            tile, overlap: pixels of the input.
        Returns: the picture, as many times larger as the network enlarges.
        Raises: JobStopped.
        """
        ...

    def open_picture(self, picture: str) -> Image.Image:
        """Open a picture that a request names. Raises: BadImage."""
        ...

    def check(self) -> None:
        """Raise JobStopped if the user asked to stop."""
        ...


@dataclass(frozen=True, slots=True)
class UpscaleContext:
    """What an upscaler, a face restorer, a preprocessor or a captioner may use."""

    toolbox: Toolbox

    def load_image_model(self, file: ModelFile) -> nn.Module:
        """See `Toolbox.load_image_model`."""
        return self.toolbox.load_image_model(file)

    def run_tiled(
        self, network: nn.Module, image: Image.Image, *, tile: int = 192, overlap: int = 8
    ) -> Image.Image:
        """See `Toolbox.run_tiled`."""
        return self.toolbox.run_tiled(network, image, tile=tile, overlap=overlap)

    def check(self) -> None:
        """Raise JobStopped if the user asked to stop; call it about once a second."""
        self.toolbox.check()


ImageContext = UpscaleContext
"""The same, under a name that fits preprocessors and captioners."""


class Upscaler(Parameters, ABC):
    """Enlarges pictures."""

    @abstractmethod
    def upscale(self, image: Image.Image, scale: float, ctx: UpscaleContext) -> Image.Image:
        """Enlarge.

        Args:
            image: RGB. scale: above 0.
        Returns: RGB; the host resizes it to the exact size if it differs.
        """


class FaceRestorer(Parameters, ABC):
    """Repairs faces."""

    @abstractmethod
    def restore(self, image: Image.Image, ctx: ImageContext) -> Image.Image:
        """Give an RGB picture of the same size."""


class Preprocessor(Parameters, ABC):
    """Makes a control picture of a picture."""

    @abstractmethod
    def process(self, image: Image.Image, size: tuple[int, int], ctx: ImageContext) -> Image.Image:
        """Give an RGB picture of (width, height)."""


class Captioner(Parameters, ABC):
    """Describes pictures."""

    @abstractmethod
    def caption(self, image: Image.Image, ctx: ImageContext) -> str:
        """Give a prompt."""


@dataclass(slots=True)
class UnitContext:
    """What a unit may use during one batch.

    Attributes:
        request: resolved.
        keep: anything that the unit wants to find again at its next hook; forgotten after the
            batch.
        notes: what it wants in the infotext, by key.
    """

    request: GenerationRequest
    toolbox: Toolbox
    preprocessors: Mapping[str, type[Preprocessor]] = field(default_factory=dict)
    keep: SimpleNamespace = field(default_factory=SimpleNamespace)
    notes: dict[str, object] = field(default_factory=dict)

    def fail(self, sentence: str) -> NoReturn:
        """End the job with a sentence that tells the user what to do."""
        raise InvalidRequest("units", sentence)

    def picture(self, picture: str) -> Image.Image:
        """Open the picture of an `ImageInput` field. Raises: BadImage."""
        return self.toolbox.open_picture(picture)

    def preprocess(self, name: str, picture: str, *, size: tuple[int, int]) -> Image.Image:
        """Open a picture and put it through a preprocessor; "none" only resizes it."""
        image = self.picture(picture).convert("RGB")
        if name == "none":
            return image.resize(size, Image.Resampling.LANCZOS)
        if name not in self.preprocessors:
            self.fail(f"There is no preprocessor named '{name}': choose another.")
        return self.preprocessors[name]().process(image, size, UpscaleContext(self.toolbox))


class Unit(Parameters):
    """Always on, with fields; the user may switch on several copies.

    Implement the stage methods you need; the others cost nothing.

    Attributes:
        max_units: how many copies at once.
        on_error: "abort" ends the job if a method fails, "skip" goes on without it.
    """

    max_units: ClassVar[int] = 1
    on_error: ClassVar[OnError] = "skip"

    def check(self, ctx: UnitContext) -> None:
        """Before any heavy work; call `ctx.fail` with a sentence if something is missing."""

    def initial_noise(self, ctx: UnitContext, pass_: Pass) -> None:
        """`pass_.latents` is the noised beginning and may be replaced."""

    def sampling_begin(self, ctx: UnitContext, pass_: Pass) -> None:
        """Once for each pass: base, hires."""

    def denoiser_input(self, ctx: UnitContext, step: Step) -> None:
        """Before every network call."""

    def denoiser_output(self, ctx: UnitContext, step: Step) -> None:
        """The answers of all branches are there."""

    def guidance(self, ctx: UnitContext, step: Step) -> None:
        """May set `step.guided` and so replace classifier-free guidance."""

    def after_guidance(self, ctx: UnitContext, step: Step) -> None:
        """May change `step.guided`."""

    def mask_blend(self, ctx: UnitContext, step: Step) -> None:
        """After a mask was blended in."""

    def sampling_end(self, ctx: UnitContext, pass_: Pass) -> None:
        """`pass_.latents` is the result and may be replaced."""

    def postprocess_image(self, ctx: UnitContext, image: Image.Image) -> Image.Image:  # noqa: ARG002
        """Change a finished picture."""
        return image


UNIT_STAGES = (
    "initial_noise",
    "sampling_begin",
    "denoiser_input",
    "denoiser_output",
    "guidance",
    "after_guidance",
    "mask_blend",
    "sampling_end",
    "postprocess_image",
)
"""Methods of a unit that run during sampling, in this order."""
