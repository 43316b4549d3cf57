import ast
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from webui.images.grid import combine, exceeds, grid_rows, image_grid, split, tile_grid


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.size == other.size and one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("count", "setting", "batch", "full", "rows"),
    [
        (4, -1, 1, False, 2),
        (6, -1, 1, False, 2),
        (7, -1, 1, False, 3),
        (7, -1, 1, True, 1),
        (12, -1, 1, True, 3),
        (5, 0, 2, False, 2),
        (5, 3, 2, False, 3),
        (2, 9, 1, False, 2),
        (3, 0, 8, True, 3),
    ],
)
def test_rows_of_an_overview(count: int, setting: int, batch: int, full: bool, rows: int) -> None:
    assert grid_rows(count, setting, batch, full=full) == rows


def test_pictures_are_centred_in_cells_of_the_largest_size() -> None:
    images = [
        Image.new("RGB", (10, 20), "red"),
        Image.new("RGB", (20, 10), "lime"),
        Image.new("RGB", (20, 20), "blue"),
    ]
    grid = image_grid(images, 2, "#123456")
    assert grid.size == (40, 40)
    ground = (0x12, 0x34, 0x56)
    assert [grid.getpixel((x, 10)) for x in (4, 5, 14, 15)] == [
        ground,
        (255, 0, 0),
        (255, 0, 0),
        ground,
    ]
    assert grid.getpixel((30, 4)) == ground
    assert grid.getpixel((30, 5)) == (0, 255, 0)
    assert grid.getpixel((0, 20)) == (0, 0, 255)
    assert grid.getpixel((39, 39)) == ground


def test_overviews_have_a_largest_size() -> None:
    images = [Image.new("L", (1000, 500)) for _ in range(4)]
    assert exceeds(images, 1.99)
    assert not exceeds(images, 2)


def test_tiles_lie_where_recorded(golden: Path) -> None:
    cases = json.loads((golden / "vectors/functions_split_grid.json").read_text())
    for arguments, expected in cases.items():
        width, height, tile_width, tile_height, overlap = ast.literal_eval(arguments)
        grid = tile_grid((width, height), (tile_width, tile_height), overlap)
        assert {"xs": list(grid.xs), "ys": list(grid.ys)} == expected


@pytest.mark.parametrize("size", [(100, 70), (32, 32), (20, 90), (33, 65)])
@pytest.mark.parametrize("overlap", [0, 1, 8, 31])
def test_cutting_and_combining_gives_the_same_picture(
    size: tuple[int, int], overlap: int, noise: Callable[..., Image.Image]
) -> None:
    image = noise(*size)
    grid = tile_grid(size, (32, 32), overlap)
    tiles = split(image, grid)
    assert {tile.size for row in tiles for tile in row} == {(32, 32)}
    assert same(combine(grid, tiles), image)


def test_neighbours_fade_into_each_other() -> None:
    grid = tile_grid((48, 32), (32, 32), 16)
    black, white = Image.new("RGB", (32, 32)), Image.new("RGB", (32, 32), "white")
    row = np.asarray(combine(grid, [[black, white]]))[16, :, 0]
    assert row[15] == 0
    assert row[32] == 255
    assert np.array_equal(row[16:32], (np.arange(16) * 255 / 16).astype(np.uint8))


def test_enlarged_tiles_are_combined_at_the_enlarged_places(
    noise: Callable[..., Image.Image],
) -> None:
    image = noise(50, 40)
    grid = tile_grid(image.size, (32, 32), 8)
    doubled = [
        [t.resize((64, 64), Image.Resampling.NEAREST) for t in row] for row in split(image, grid)
    ]
    got = combine(grid.scaled(2), doubled)
    assert same(got, image.resize((100, 80), Image.Resampling.NEAREST))


def test_an_overlap_as_wide_as_the_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="smaller than the tile"):
        tile_grid((100, 100), (32, 32), 32)
