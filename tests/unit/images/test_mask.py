import ast
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
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


def test_crop_regions_are_the_recorded_ones(golden: Path, picture: Load) -> None:
    mask = to_mask(picture("inputs/mask256_small.png"))
    for case in json.loads((golden / "vectors/crop_regions.json").read_text()):
        region = crop_region(mask, case["pad"])
        assert region == tuple(case["region"])
        width, height = case["process"]
        assert expand_crop_region(region, (width, height), mask.size) == tuple(case["expanded"])


def test_expansions_at_the_border_are_the_recorded_ones(golden: Path) -> None:
    cases = json.loads((golden / "vectors/functions_expand_crop_region.json").read_text())
    for arguments, expected in cases.items():
        region, width, height, image_width, image_height = ast.literal_eval(arguments)
        got = expand_crop_region(region, (width, height), (image_width, image_height))
        assert list(got) == expected


def test_opaque_pictures_give_luminance_and_transparent_ones_their_alpha() -> None:
    gray = Image.new("RGB", (2, 1), (90, 90, 90))
    assert list(np.asarray(to_mask(gray))[0]) == [90, 90]
    alpha = Image.new("RGBA", (3, 1), (255, 255, 255, 0))
    alpha.putpixel((1, 0), (0, 0, 0, 128))
    alpha.putpixel((2, 0), (0, 0, 0, 129))
    assert list(np.asarray(to_mask(alpha))[0]) == [0, 0, 255]
    assert list(np.asarray(to_mask(alpha, rounded=False))[0]) == [0, 128, 129]
    assert to_mask(Image.new("RGBA", (1, 1), (255, 255, 255, 255))).getpixel((0, 0)) == 255


def test_the_blur_is_a_truncated_gaussian_along_each_axis() -> None:
    mask = square(41, 20, 21)
    sigma = 3.0
    radius = int(2.5 * sigma + 0.5)
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    across = np.asarray(blur(mask, sigma, 0))
    assert np.abs(across[20, 20 - radius : 21 + radius] - 255 * weights).max() <= 1
    assert across[20, 20 - radius - 1] == 0
    assert across[19].max() == 0
    assert np.array_equal(np.asarray(blur(mask, 0, sigma)), across.T)
    assert np.array_equal(np.asarray(blur(mask, 0, 0)), np.asarray(mask))


def test_the_whole_picture_keeps_a_seam_outside_the_blur() -> None:
    prepared = prepare_mask(square(64, 24, 40), Inpaint(mask="x"), (64, 64), "stretch")
    assert prepared is not None
    assert prepared.crop is None
    mask, overlay = np.asarray(prepared.mask).astype(int), np.asarray(prepared.overlay).astype(int)
    assert np.array_equal(overlay, np.minimum(mask * 2, 255))
    assert 0 < mask[32, 22] < 255


def test_only_the_masked_part_is_cut_from_the_blurred_mask() -> None:
    inpaint = Inpaint(mask="x", only_masked=True, masked_padding=2, mask_blur_x=4, mask_blur_y=4)
    prepared = prepare_mask(square(128, 50, 70), inpaint, (64, 64), "crop")
    assert prepared is not None
    blurred = np.asarray(blur(square(128, 50, 70), 4, 4))
    columns = np.flatnonzero(blurred.max(axis=0))
    start, end = int(columns[0]) - 2, int(columns[-1]) + 3
    assert prepared.crop == (start, start, end, end)
    assert prepared.mask.size == (64, 64)
    assert np.array_equal(np.asarray(prepared.overlay), blurred)


def test_inversion_comes_before_the_blur() -> None:
    inpaint = Inpaint(mask="x", invert=True, mask_blur_x=4, mask_blur_y=4)
    prepared = prepare_mask(square(64, 24, 40), inpaint, (64, 64), "stretch")
    assert prepared is not None
    black_square = Image.fromarray(255 - np.asarray(square(64, 24, 40)))
    assert np.array_equal(np.asarray(prepared.mask), np.asarray(blur(black_square, 4, 4)))


def test_a_blank_mask_leaves_nothing_to_inpaint() -> None:
    blank = Image.new("L", (64, 64))
    assert prepare_mask(blank, Inpaint(mask="x", only_masked=True), (64, 64), "stretch") is None
    assert crop_region(blank, 10) is None


def test_the_latent_mask_is_rounded_only_on_request() -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (32, 0, 64, 64))
    soft = latent_mask(blur(mask, 8, 8), (8, 8), rounded=False)
    hard = latent_mask(blur(mask, 8, 8), (8, 8))
    assert hard.dtype == soft.dtype == np.float32
    assert hard.shape == (8, 8)
    assert set(np.unique(hard)) == {0.0, 1.0}
    assert ((soft > 0.01) & (soft < 0.99)).any()
    assert np.array_equal(hard, np.around(soft))
