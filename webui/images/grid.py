"""Overviews of several pictures, and overlapping tiles of one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from webui.images.resize import Size


def grid_rows(count: int, setting: int, batch_size: int, *, full: bool = False) -> int:
    """How many rows an overview has.

    Args:
        count: number of pictures, at least 1.
        setting: above 0: that many; 0: as many as `batch_size`; -1: square.
        batch_size: pictures in a batch.
        full: with -1: only as many rows as leave no cell empty.
    """
    if setting > 0:
        rows = setting
    elif setting == 0:
        rows = batch_size
    elif full:
        rows = next(n for n in range(math.isqrt(count), 0, -1) if count % n == 0)
    else:
        rows = round(math.sqrt(count))
    return max(1, min(rows, count))


def exceeds(images: Sequence[Image.Image], max_megapixels: float) -> bool:
    """Whether pictures together have more pixels than an overview may have."""
    return sum(image.width * image.height for image in images) > max_megapixels * 1e6


def image_grid(images: Sequence[Image.Image], rows: int, background: str) -> Image.Image:
    """Lay pictures out in rows, each centred in a cell of the largest picture's size.

    Args:
        images: at least one.
        background: "#rrggbb".
    Returns: RGB.
    """
    columns = math.ceil(len(images) / rows)
    width, height = max(i.width for i in images), max(i.height for i in images)
    grid = Image.new("RGB", (columns * width, rows * height), background)
    for index, image in enumerate(images):
        left = index % columns * width + (width - image.width) // 2
        top = index // columns * height + (height - image.height) // 2
        grid.paste(image, (left, top))
    return grid


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Where overlapping tiles lie on a picture.

    Attributes:
        size: (width, height) of the picture.
        tile: (width, height) of a tile.
        overlap: width of the blend between neighbours, pixels.
        xs, ys: left edges of the columns, top edges of the rows; negative where the picture is
            smaller than a tile.
    """

    size: Size
    tile: Size
    overlap: int
    xs: tuple[int, ...]
    ys: tuple[int, ...]

    def scaled(self, factor: int) -> TileGrid:
        """The same tiles after each was enlarged by a whole factor."""
        return replace(
            self,
            size=(self.size[0] * factor, self.size[1] * factor),
            tile=(self.tile[0] * factor, self.tile[1] * factor),
            overlap=self.overlap * factor,
            xs=tuple(x * factor for x in self.xs),
            ys=tuple(y * factor for y in self.ys),
        )


def tile_grid(size: Size, tile: Size, overlap: int) -> TileGrid:
    """Spread tiles evenly so that neighbours share at least about `overlap` pixels.

    Raises: ValueError: the overlap is not smaller than the tile.
    """
    xs, ys = (_starts(size[axis], tile[axis], overlap) for axis in (0, 1))
    return TileGrid(size, tile, overlap, xs, ys)


def split(image: Image.Image, grid: TileGrid) -> list[list[Image.Image]]:
    """Cut a picture into tiles.

    Returns: rows of tiles, each of the grid's tile size (black outside of the picture).
    """
    width, height = grid.tile
    return [[image.crop((x, y, x + width, y + height)) for x in grid.xs] for y in grid.ys]


def combine(grid: TileGrid, tiles: Iterable[Iterable[Image.Image]]) -> Image.Image:
    """Put tiles together again, fading from one to the next over the grid's overlap.

    Args:
        tiles: rows of pictures of the grid's tile size, as `split` gives them; asked for one
            after the other.
    Returns: RGB, of the grid's size.
    """
    whole = Image.new("RGB", grid.size)
    height, overlap = grid.tile[1], grid.overlap
    fade = np.broadcast_to(_ramp(overlap), (height, overlap))
    down = np.broadcast_to(_ramp(overlap)[:, None], (overlap, grid.size[0]))
    for y, row in zip(grid.ys, tiles, strict=True):
        strip = Image.new("RGB", (grid.size[0], height))
        for x, tile in zip(grid.xs, row, strict=True):
            _lay(strip, tile, (x, 0), fade if x > 0 else None, (overlap, height))
        _lay(whole, strip, (0, y), down if y > 0 else None, (grid.size[0], overlap))
    return whole


def _starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    if not 0 <= overlap < tile:
        raise ValueError("the overlap must be smaller than the tile")
    count = max(math.ceil((length - overlap) / (tile - overlap)), 1)
    step = (length - tile) / (count - 1) if count > 1 else 0
    starts = (int(index * step) for index in range(count))
    return tuple(length - tile if start + tile >= length else start for start in starts)


def _ramp(length: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return (np.arange(length, dtype=np.float32) * 255 / max(length, 1)).astype(np.uint8)


def _lay(
    canvas: Image.Image,
    part: Image.Image,
    at: tuple[int, int],
    fade: np.ndarray[tuple[int, int], np.dtype[np.uint8]] | None,
    edge: Size,
) -> None:
    """Paste `part`; with `fade`, its first columns or rows (`edge`) blend with what lies there."""
    if fade is None or fade.size == 0:
        canvas.paste(part, at)
        return
    under = canvas.crop((at[0], at[1], at[0] + edge[0], at[1] + edge[1]))
    over = part.crop((0, 0, *edge))
    blended = Image.composite(
        over.convert("RGB"), under, Image.fromarray(np.ascontiguousarray(fade))
    )
    canvas.paste(part, at)
    canvas.paste(blended, at)
