"""Networks that map pictures to pictures: read from a file without running code, run in tiles."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from webui.device import DevicePolicy
from webui.errors import BadOutput, OutOfMemory, UnsupportedModel
from webui.families.importing import IMPORTING
from webui.images.grid import TileGrid, combine, tile_grid
from webui.model_manager.pickle_file import PickleFile
from webui.model_manager.tensor_file import open_tensor_file

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

OnTile = Callable[[int, int], None]
"""Told that tile `index` (1-based) of `total` is done; may raise `JobStopped`."""
MAX_FILE_BYTES = 2 * 1024**3
"""The largest known architectures have a quarter of this."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by name, its content deciding what it is.

    Raises: UnsupportedModel: damaged, too large, or it would run code.
    """
    with open_tensor_file(path) as file:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UnsupportedModel(f"{path.name} is too large to be an upscaler.")
        if isinstance(file, PickleFile):
            return dict(file.tensors)
        try:
            return dict(load(path.read_bytes()))
        except SafetensorError as error:
            raise UnsupportedModel(f"{path.name} is damaged. Download it again.") from error


def load_network(path: Path, policy: DevicePolicy) -> ImageModelDescriptor:
    """Load whatever architecture spandrel detects in a file, on the policy's device.

    On a GPU it is float16 where the architecture bears that and the policy's networks are not
    float32; else float32.

    Raises: UnsupportedModel: no such architecture, or see `read_tensors`.
    """
    tensors = read_tensors(path)
    with IMPORTING:  # only here: the import takes seconds
        spandrel = importlib.import_module("spandrel")
    try:
        model = spandrel.ModelLoader().load_from_state_dict(tensors)
    except (
        spandrel.UnsupportedModelError,
        KeyError,
        ValueError,
        RuntimeError,
        AssertionError,
    ) as error:
        raise UnsupportedModel(
            f"{path.name} is of no architecture that Easel knows as an upscaler."
        ) from error
    if not isinstance(model, spandrel.ImageModelDescriptor):
        raise UnsupportedModel(f"{path.name} needs a mask: it cannot enlarge pictures.")
    is_half = policy.device.type != "cpu" and model.supports_half and policy.dtype != torch.float32
    found: ImageModelDescriptor = model
    return found.to(policy.device, torch.float16 if is_half else torch.float32).eval()


def run_tiled(
    model: ImageModelDescriptor, image: Image.Image, tile: int, overlap: int, on_tile: OnTile
) -> Image.Image:
    """Run a network over a picture, tile by tile.

    Only one row of tiles is in memory besides the picture and its result (8 bits a channel).

    Args:
        image: RGB.
        tile: side in pixels of the input; 0: the picture as a whole.
        overlap: pixels of the input over which neighbours fade into each other.
    Returns: RGB, as many times larger as the network enlarges.
    Raises: BadOutput, OutOfMemory; whatever `on_tile` raises.
    """
    if tile <= 0:
        whole = _answer(model, image)
        on_tile(1, 1)
        return whole
    grid = tile_grid(image.size, (tile, tile), min(overlap, tile - 1))
    return combine(grid.scaled(model.scale), _rows(model, image, grid, on_tile))


def _rows(
    model: ImageModelDescriptor, image: Image.Image, grid: TileGrid, on_tile: OnTile
) -> Iterator[Iterator[Image.Image]]:
    total = len(grid.xs) * len(grid.ys)
    width, height = grid.tile

    def row(number: int, y: int) -> Iterator[Image.Image]:
        for column, x in enumerate(grid.xs):
            yield _answer(model, image.crop((x, y, x + width, y + height)))
            on_tile(number * len(grid.xs) + column + 1, total)

    return (row(number, y) for number, y in enumerate(grid.ys))


def _answer(model: ImageModelDescriptor, image: Image.Image) -> Image.Image:
    """One tile through the network.

    The channels go in as blue, green, red, as A1111 sends them, and come back in that order.
    """
    pixels = np.array(image.convert("RGB"))[:, :, ::-1].copy()
    given = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
    try:
        with torch.inference_mode():
            answer = model(given.to(model.device, model.dtype) / 255)[0].float().cpu()
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            "The upscaler's tiles are too large for the device's memory: make them smaller in the"
            " settings."
        ) from error
    if not bool(torch.isfinite(answer).all()):
        raise BadOutput("The upscaler answered with numbers that are no picture.")
    found = (answer.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(found[:, :, ::-1]))
