"""A guidance rule: classifier-free guidance whose result keeps the range of a lower scale.

Source: Saharia et al. 2022 (arXiv:2205.11487), section 2.3, moved from pixels to latents.
"""

import torch

from webui.extensions.v1 import Field, Step, Unit, UnitContext, hook


class DynamicThresholding(Unit):
    """Guides with the request's scale, then clamps to what `mimic_scale` would have given."""

    id = "dynamic-thresholding"
    label = "Dynamic thresholding"
    mimic_scale: float = Field(7.0, ge=1, le=30, title="Mimic scale", infotext="Mimic scale")
    percentile: float = Field(0.995, ge=0.5, le=1, title="Percentile")

    def guidance(self, ctx: UnitContext, step: Step) -> None:
        """Replace the combination of the branches."""
        if step.predictions is None or step.uncond is None:
            return
        toward = sum(
            (prediction - step.uncond) * weight
            for prediction, weight in zip(step.predictions, step.weights, strict=True)
        )
        guided = step.uncond + toward * step.cfg_scale
        mimic = step.uncond + toward * self.mimic_scale
        step.guided = guided * (self._spread(mimic) / self._spread(guided)).clamp(max=1)

    def _spread(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, 1, 1]: the percentile of the absolute values of each channel."""
        return torch.quantile(x.abs().flatten(2), self.percentile, dim=2)[..., None, None]


@hook
def units() -> list[type[Unit]]:
    """Offer it."""
    return [DynamicThresholding]
