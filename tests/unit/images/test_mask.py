import ast
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from webui.images.mask import (
    blur,
    crop_region,
    expand_crop_region,
    latent_mask,
    prepare_mask,
    to_mask,
)
from webui.request import Inpaint

Load = Callable[[str], Image.Image]


def square(size: int, left: int, right: int) -> Image.Image:
    mask = Image.new("L", (size, size))
    ImageDraw.Draw(mask).rectangle((left, left, right - 1, right - 1), fill=255)
    return mask
