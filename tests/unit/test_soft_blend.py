"""Soft inpainting's blend of latents."""

import torch

from webui.engine.soft_inpainting import blend_softly
from webui.request import SoftInpainting

FIRST = torch.tensor([3.0, 4.0, 0.0, 0.0]).view(1, 4, 1, 1)
CURRENT = torch.tensor([0.0, 0.0, 5.0, 0.0]).view(1, 4, 1, 1)


def _blend(share: float, level: float, soft: SoftInpainting) -> torch.Tensor:
    mask = torch.full((1, 1, 1, 1), share)
    return blend_softly(FIRST, CURRENT, mask, torch.tensor(level), soft)


def test_the_ends_are_the_two_latents() -> None:
    assert torch.allclose(_blend(0.0, 1.0, SoftInpainting()), FIRST, atol=1e-4)
    assert torch.allclose(_blend(1.0, 1.0, SoftInpainting()), CURRENT, atol=1e-4)


def test_a_mixture_is_as_long_as_what_it_is_made_of() -> None:
    mixed = _blend(0.25, 1.0, SoftInpainting())

    assert abs(float(mixed.norm()) - 5.0) < 1e-3
    assert torch.allclose(mixed[0, 0] / mixed[0, 2], torch.tensor(0.6), atol=1e-5)


def test_preservation_grows_with_the_noise_by_the_bias() -> None:
    much, little = _blend(0.5, 4.0, SoftInpainting()), _blend(0.5, 0.25, SoftInpainting())
    flat = SoftInpainting(schedule_bias=0.0)

    assert much[0, 0] > little[0, 0]
    assert torch.equal(_blend(0.5, 4.0, flat), _blend(0.5, 0.25, flat))
