"""Brownian motion: asked at any two levels, in any order, it agrees with itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from webui.sampling.noise import CPU, RandomSource, open_stream

DIGITS = 6
"""Levels are rounded to so many decimals, which ends the bisection."""
ENTROPY_WORDS = 24


@dataclass(frozen=True)
class Node:
    """An interval of the tree.

    Attributes:
        start, end: its bounds.
        before: the motion at `start`.
        increment: what it gains until `end`.
        key, depth: its place in the tree; the root has key 0 and depth 0.
    """

    start: float
    end: float
    before: Tensor
    increment: Tensor
    key: int = 0
    depth: int = 0


class BrownianTree:
    """A Brownian path made by bisection from one seed (a virtual Brownian tree).

    The numbers are those of torchsde 0.2.6's ``BrownianTree`` with the same entropy, whose random
    numbers cannot be taken from another source; here they can.

    Args:
        shape: of the path's values.
        bounds: lowest and highest level.
        entropy: seed, 0 upwards.
        source: where normal numbers come from; each interval draws from a fresh stream.
        device: where values lie.
    Source: Li et al. 2020 (arXiv:2001.01328), Alg. 3.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        bounds: tuple[float, float],
        entropy: int,
        *,
        source: RandomSource = "CPU",
        device: torch.device = CPU,
    ) -> None:
        self.shape = shape
        self.entropy = entropy
        self.source = source
        self.device = device
        start, end = round(bounds[0], DIGITS), round(bounds[1], DIGITS)
        root_seed = self._seed(())
        increment = self._normal(root_seed) * math.sqrt(bounds[1] - bounds[0])
        root = Node(start, end, torch.zeros_like(increment), increment)
        self._path = [root]
        self._recent: dict[float, Tensor] = {}

    def __call__(self, level: float, level_next: float) -> Tensor:
        """Give the change from one level to another; levels beyond the bounds are clamped."""
        before, after = self._value(level), self._value(level_next)
        return after - before

    def _seed(self, place: tuple[int, ...]) -> int:
        sequence = np.random.SeedSequence(self.entropy, spawn_key=place, pool_size=ENTROPY_WORDS)
        return int(sequence.generate_state(1)[0])

    def _normal(self, seed: int) -> Tensor:
        return open_stream(self.source, seed, self.device).draw(self.shape)

    def _value(self, level: float) -> Tensor:
        root, level = self._path[0], round(level, DIGITS)
        if level <= root.start:
            return root.before
        if level >= root.end:
            return root.increment
        if level not in self._recent:
            newest = list(self._recent.items())[-2:]
            self._recent = dict([*newest, (level, self._descend(level))])
        return self._recent[level]

    def _descend(self, level: float) -> Tensor:
        """Bisect until the level is a midpoint, from the deepest interval that holds it inside."""
        while not self._path[-1].start < level < self._path[-1].end:
            self._path.pop()
        while True:
            left, right = self._halves(self._path[-1])
            if level == right.start:
                return right.before
            self._path.append(left if level < right.start else right)

    def _halves(self, node: Node) -> tuple[Node, Node]:
        middle = round(0.5 * (node.start + node.end), DIGITS)
        left, right = middle - node.start, node.end - middle
        width = node.end - node.start
        spread = math.sqrt(left * right / width)
        gained = node.increment * (left / width)
        gained = gained + self._normal(self._seed((node.key, node.depth))) * spread
        key, depth = 2 * node.key, node.depth + 1
        return (
            Node(node.start, middle, node.before, gained, key, depth),
            Node(middle, node.end, node.before + gained, node.increment - gained, key + 1, depth),
        )


class BrownianNoise:
    """Noise for a batch from Brownian paths; a `protocols.NoiseSource`.

    Args:
        shape: (C, h, w) of one picture's latents.
        seeds: one per picture.
        bounds: lowest and highest sigma (`Trajectory.brownian_range`).
        source: which random numbers.
        device: where the noise is to lie.
        per_image: one path a picture, so that pictures do not depend on their batch. Without, one
            path for the whole batch, as A1111's option "do not make DPM++ SDE deterministic across
            different batch sizes" makes it.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        seeds: tuple[int, ...],
        bounds: tuple[float, float],
        *,
        source: RandomSource = "CPU",
        device: torch.device = CPU,
        per_image: bool = True,
    ) -> None:
        self._per_image = per_image
        if per_image:
            entropies, tree_shape = list(seeds), tuple(shape)
        else:
            generator = torch.Generator().manual_seed(seeds[-1])
            drawn = torch.randint(0, 2**63 - 1, [], generator=generator)
            entropies, tree_shape = [int(drawn)], (len(seeds), *shape)
        self._trees = [
            BrownianTree(tree_shape, bounds, entropy, source=source, device=device)
            for entropy in entropies
        ]

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """Give the paths' change between two levels, scaled to unit variance, [B, C, h, w]."""
        level, level_next = float(sigma), float(sigma_next)
        changes = [tree(level, level_next) for tree in self._trees]
        change = torch.stack(changes) if self._per_image else changes[0]
        return change / float((sigma_next - sigma).abs().sqrt())
