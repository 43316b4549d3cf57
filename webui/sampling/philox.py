"""Normal random numbers as CUDA makes them, computed anywhere: Philox 4x32-10 and Box-Muller.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; the counter layout is
that of PyTorch's CUDA generator for up to one number per thread.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW_WORD = np.uint64(0xFFFFFFFF)
HALF_UNIT = np.float32(2.3283064e-10)
HALF_TURN = np.float32(2.3283064e-10 * 6.2831855)


def _multiply(words: Words, factor: np.uint64) -> tuple[Words, Words]:
    product = words.astype(np.uint64) * factor
    return (product >> np.uint64(32)).astype(np.uint32), (product & LOW_WORD).astype(np.uint32)


def philox_words(seed: int, offset: int, count: int) -> tuple[Words, Words]:
    """Give the first two of the four words of each counter (offset, 0, i, 0), i = 0 .. count - 1.

    Args:
        seed: 64-bit key.
        offset: number of earlier draws.
        count: counters, below 2³².
    """
    zeros = np.zeros(count, np.uint32)
    c0, c1, c2, c3 = zeros + np.uint32(offset), zeros, np.arange(count, dtype=np.uint32), zeros
    low, high = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for i in range(ROUNDS):
        key = [
            np.uint32((k + i * s) & 0xFFFFFFFF) for k, s in zip((low, high), KEY_STEPS, strict=True)
        ]
        high_0, low_0 = _multiply(c0, MULTIPLIERS[0])
        high_2, low_2 = _multiply(c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = high_2 ^ c1 ^ key[0], low_2, high_0 ^ c3 ^ key[1], low_0
    return c0, c1


def philox_normal(seed: int, offset: int, count: int) -> npt.NDArray[np.float32]:
    """Draw `count` standard normal numbers; same arguments as `philox_words`."""
    x, y = philox_words(seed, offset, count)
    radius = np.sqrt(-2.0 * np.log(x * HALF_UNIT + HALF_UNIT / 2))
    normal: npt.NDArray[np.float64] = radius * np.sin(y * HALF_TURN + HALF_TURN / 2)
    return normal.astype(np.float32)
