import pytest
import torch

from webui.sampling.guidance import (
    UncondPolicy,
    combine_guidance,
    combine_image_guidance,
    combine_without_uncond,
)

RED, GREEN, NONE = torch.randn(3, 1, 4, 3, 3, generator=torch.Generator().manual_seed(4))


def test_guidance_goes_beyond_the_condition() -> None:
    found = combine_guidance([RED], [1.0], NONE, 7.0)
    torch.testing.assert_close(found, NONE + 7 * (RED - NONE))
    torch.testing.assert_close(combine_guidance([RED], [1.0], NONE, 1.0), RED)


def test_parts_are_weighted() -> None:
    found = combine_guidance([RED, GREEN], [1.0, -0.5], NONE, 4.0)
    torch.testing.assert_close(found, NONE + 4 * (RED - NONE) - 2 * (GREEN - NONE))


def test_without_the_negative_prompt_the_first_part_stands_in() -> None:
    assert torch.equal(combine_without_uncond([RED], [0.3]), RED)
    found = combine_without_uncond([RED, GREEN], [1.0, 0.25])
    torch.testing.assert_close(found, RED + 0.25 * (GREEN - RED))


def test_picture_guidance_has_two_directions() -> None:
    found = combine_image_guidance(RED, GREEN, NONE, 7.0, 1.5)
    torch.testing.assert_close(found, NONE + 7 * (RED - GREEN) + 1.5 * (GREEN - NONE))
    torch.testing.assert_close(combine_image_guidance(RED, GREEN, NONE, 1.0, 1.0), RED)


@pytest.mark.parametrize(
    ("policy", "skipped"),
    [
        (UncondPolicy(), []),
        (UncondPolicy(s_min_uncond=3.0), [5, 7, 9]),
        (UncondPolicy(s_min_uncond=3.0, s_min_uncond_all=True), [5, 6, 7, 8, 9]),
        (UncondPolicy(skip_early_cond=0.2), [0, 1, 2]),
        (UncondPolicy(s_min_uncond=3.0, skip_early_cond=0.1), [0, 1, 5, 7, 9]),
    ],
)
def test_the_negative_prompt_is_left_out_where_the_policy_says(
    policy: UncondPolicy, skipped: list[int]
) -> None:
    levels = [14.0, 11.0, 8.0, 6.0, 4.0, 2.5, 2.0, 1.0, 0.5, 0.1]
    found = [step for step, level in enumerate(levels) if policy.skips(step, 10, level)]
    assert found == skipped
