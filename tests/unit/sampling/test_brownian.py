import itertools
import random
import warnings

import numpy as np
import pytest
import torch
import torchsde

from webui.sampling.brownian import BrownianNoise, BrownianTree
from webui.sampling.noise import CPU, RandomSource, open_stream

BOUNDS = (0.0291675366461277, 14.614643096923828)
SHAPE = (2, 3, 3)


def reference(entropy: int) -> torchsde.BrownianTree:
    return torchsde.BrownianTree(BOUNDS[0], torch.zeros(SHAPE), BOUNDS[1], entropy=entropy)


def ask(tree: torchsde.BrownianTree, low: float, high: float) -> torch.Tensor:
    """Ask torchsde, which warns about the rounding of its own bounds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        change: torch.Tensor = tree(low, high)
        return change


@pytest.mark.parametrize("entropy", [0, 1234, 2**32 + 5, 2**63 - 2])
def test_changes_equal_torchsde_s(entropy: int) -> None:
    ours, theirs = BrownianTree(SHAPE, BOUNDS, entropy), reference(entropy)
    levels = torch.logspace(1.164, -1.535, 12).clamp(*BOUNDS).tolist()
    for high, low in itertools.pairwise(levels):
        torch.testing.assert_close(ours(low, high), ask(theirs, low, high), rtol=0, atol=1e-5)


def test_the_order_of_questions_does_not_matter() -> None:
    draw = random.Random(3)
    questions = [sorted(draw.uniform(*BOUNDS) for _ in range(2)) for _ in range(40)]
    one, other = BrownianTree(SHAPE, BOUNDS, 9), BrownianTree(SHAPE, BOUNDS, 9)
    forwards = [one(*q) for q in questions]
    backwards = [other(*q) for q in reversed(questions)]
    for found, expected in zip(forwards, reversed(backwards), strict=True):
        assert torch.equal(found, expected)


def test_changes_add_up_and_turn_round() -> None:
    tree = BrownianTree(SHAPE, BOUNDS, 5)
    whole = tree(1.0, 4.0)
    torch.testing.assert_close(tree(1.0, 2.5) + tree(2.5, 4.0), whole)
    torch.testing.assert_close(tree(4.0, 1.0), -whole)


def test_levels_beyond_the_bounds_are_clamped_in_silence() -> None:
    tree = BrownianTree(SHAPE, BOUNDS, 5)
    assert torch.equal(tree(0.0, 99.0), tree(*BOUNDS))


def test_variance_is_the_distance() -> None:
    tree = BrownianTree((20000,), (0.0, 10.0), 77)
    for low, high in ((0.5, 1.5), (2.0, 9.0)):
        change = tree(low, high)
        assert abs(float(change.var()) / (high - low) - 1) < 0.05
        assert abs(float(change.mean())) < 0.06


def test_normal_numbers_come_from_the_chosen_source() -> None:
    root_seed = int(np.random.SeedSequence(5, pool_size=24).generate_state(1)[0])
    sources: tuple[RandomSource, ...] = ("CPU", "NV")
    for source in sources:
        tree = BrownianTree(SHAPE, (0.0, 4.0), 5, source=source)
        expected = open_stream(source, root_seed, CPU).draw(SHAPE) * 2
        torch.testing.assert_close(tree(0.0, 4.0), expected)


def test_a_midpoint_can_be_asked_after_its_neighbourhood() -> None:
    tree, fresh = BrownianTree(SHAPE, (0.0, 4.0), 5), BrownianTree(SHAPE, (0.0, 4.0), 5)
    tree(2.000001, 1.999999)
    assert torch.equal(tree(0.0, 2.0), fresh(0.0, 2.0))
    assert torch.equal(tree(1.0, 3.0), fresh(1.0, 3.0))


def test_noise_has_unit_variance_and_one_path_per_picture() -> None:
    sigma, sigma_next = torch.tensor(5.0), torch.tensor(2.0)
    noise = BrownianNoise((4, 64, 64), (1, 2, 3), BOUNDS)
    found = noise(sigma, sigma_next)
    assert found.shape == (3, 4, 64, 64)
    assert abs(float(found.var()) - 1) < 0.03
    alone = BrownianNoise((4, 64, 64), (2,), BOUNDS)
    assert torch.equal(alone(sigma, sigma_next)[0], found[1])


def test_one_path_for_the_batch_hangs_on_the_last_seed() -> None:
    sigma, sigma_next = torch.tensor(5.0), torch.tensor(2.0)

    def draw(*seeds: int) -> torch.Tensor:
        return BrownianNoise(SHAPE, seeds, BOUNDS, per_image=False)(sigma, sigma_next)

    assert draw(1, 2).shape == (2, *SHAPE)
    assert torch.equal(draw(1, 2), draw(7, 2))
    assert not torch.equal(draw(1, 2), draw(1, 3))
    assert not torch.equal(draw(1, 2)[1], draw(2)[0])
