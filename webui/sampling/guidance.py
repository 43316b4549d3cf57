"""How predictions for several conditions become one (classifier-free guidance and its options)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


def combine_guidance(
    conds: Sequence[Tensor], weights: Sequence[float], uncond: Tensor, cfg_scale: float
) -> Tensor:
    """Go from the unconditional prediction towards the others.

    Args:
        conds: one prediction per AND part, all [B, C, h, w].
        weights: one per AND part.
        uncond: prediction for the negative prompt, [B, C, h, w].
        cfg_scale: 1 gives the condition itself (if there is one of weight 1).
    Source: Ho & Salimans 2022 (arXiv:2207.12598); several conditions: Liu et al. 2022
        (arXiv:2206.01714).
    """
    guided = uncond
    for cond, weight in zip(conds, weights, strict=True):
        guided = guided + (cond - uncond) * (weight * cfg_scale)
    return guided


def combine_without_uncond(conds: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Give the prediction of a step that leaves the unconditional branch out.

    It is `combine_guidance` at scale 1 with the first part standing in for the missing branch.
    """
    return combine_guidance(conds, weights, conds[0], 1.0)


def combine_image_guidance(
    cond: Tensor, image_cond: Tensor, uncond: Tensor, cfg_scale: float, image_cfg_scale: float
) -> Tensor:
    """Guide by text and by picture separately.

    Args:
        cond: prediction with text and picture, [B, C, h, w].
        image_cond: prediction with the picture alone.
        uncond: prediction with neither.
    Source: Brooks et al. 2023 (arXiv:2211.09800), eq. 3.
    """
    return uncond + (cond - image_cond) * cfg_scale + (image_cond - uncond) * image_cfg_scale


@dataclass(frozen=True)
class UncondPolicy:
    """When the unconditional branch is left out to save time.

    Attributes:
        s_min_uncond: leave it out at levels below this ("negative guidance minimum sigma"); 0:
            never.
        s_min_uncond_all: on all such steps instead of every other.
        skip_early_cond: leave it out as long as this share of the steps is not exceeded; 0: never.
    """

    s_min_uncond: float = 0.0
    s_min_uncond_all: bool = False
    skip_early_cond: float = 0.0

    def skips(self, step: int, total_steps: int, level: float) -> bool:
        """Tell whether this model call goes without the unconditional branch.

        Args:
            step: number of the model call, from 0.
            total_steps: model calls of the pass (`Sampler.model_calls`).
            level: sigma (in timestep space the timestep, as in A1111).
        """
        if self.skip_early_cond and step / total_steps <= self.skip_early_cond:
            return True
        below = level < self.s_min_uncond
        return below and (self.s_min_uncond_all or step % 2 == 1)
