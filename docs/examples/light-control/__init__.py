"""A control unit: light and shade follow a picture, without a network of its own."""

import torch

from webui.extensions.v1 import Field, ImageInput, Pass, Range, Step, Unit, UnitContext, hook


class LightControl(Unit):
    """Pulls the latents' brightness towards the control picture's."""

    id = "light-control"
    label = "Light control"
    max_units = 3
    on_error = "abort"
    picture: ImageInput | None = None
    weight: float = Field(0.5, ge=-4, le=4, title="Weight", infotext="Light control weight")
    steps: Range = Field(Range(0.0, 0.6), title="Start / end")

    def check(self, ctx: UnitContext) -> None:
        """Refuse to make an uncontrolled picture."""
        if self.picture is None:
            ctx.fail("Give the control picture, or switch the unit off.")

    def sampling_begin(self, ctx: UnitContext, pass_: Pass) -> None:
        """Bring the picture to the size of the pass's latents."""
        assert self.picture is not None
        height, width = pass_.latents.shape[2:]
        grey = ctx.preprocess("none", self.picture, size=(width, height)).convert("L")
        light = torch.frombuffer(bytearray(grey.tobytes()), dtype=torch.uint8)
        light = light.view(height, width).float() / 127.5 - 1
        ctx.keep.light = light.to(pass_.latents.device)

    def after_guidance(self, ctx: UnitContext, step: Step) -> None:
        """Channel 0 of Stable Diffusion's latents is brightness, roughly."""
        if step.guided is not None and step.fraction in self.steps:
            guided = step.guided.clone()
            guided[:, 0] += self.weight * ctx.keep.light
            step.guided = guided


@hook
def units() -> list[type[Unit]]:
    """Offer it."""
    return [LightControl]
