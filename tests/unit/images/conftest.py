from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture
def golden() -> Path:
    return GOLDEN


@pytest.fixture
def picture() -> Callable[[str], Image.Image]:
    """Open a recorded picture by its path below tests/golden."""

    def load(name: str) -> Image.Image:
        with Image.open(GOLDEN / name) as image:
            image.load()
            return image

    return load


@pytest.fixture
def noise() -> Callable[..., Image.Image]:
    """A random picture: noise(width, height, mode="RGB", seed=0)."""

    def make(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
        channels = len(mode)
        shape = (height, width) if channels == 1 else (height, width, channels)
        values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        image = Image.fromarray(values)
        assert image.mode == mode
        return image

    return make
