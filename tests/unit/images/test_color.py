from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from webui.images.color import flatten, match_colors, match_histogram, upright

Noise = Callable[..., Image.Image]


def test_flattening_shows_the_ground_through_transparent_parts() -> None:
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 51))
    got = flatten(image, "#0000ff")
    assert got.mode == "RGB"
    assert got.getpixel((0, 0)) == (200, 0, 0)
    assert got.getpixel((1, 0)) == (40, 0, 204)
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([9, 9, 9])
    palette.info["transparency"] = 0
    assert flatten(palette, "#ffffff").getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_is_turned_as_its_exif_says() -> None:
    image = Image.new("RGB", (4, 2))
    image.getexif()[0x0112] = 6
    turned = upright(image)
    assert turned.size == (2, 4)
    assert 0x0112 not in turned.getexif()


def slow_match(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> list[int]:
    """The definition, value by value: the target's value at the same share of all pixels."""
    ordered = sorted(target.ravel().tolist())
    steps = sorted(set(ordered))
    shares = [sum(v <= step for v in ordered) / len(ordered) for step in steps]
    pixels = source.ravel().tolist()
    answer = []
    for pixel in pixels:
        share = sum(v <= pixel for v in pixels) / len(pixels)
        later = next((i for i, s in enumerate(shares) if s >= share), len(steps) - 1)
        if later == 0:
            answer.append(steps[0])
            continue
        low, high = shares[later - 1], shares[later]
        part = (share - low) / (high - low)
        answer.append(int(steps[later - 1] + part * (steps[later] - steps[later - 1]) + 1e-9))
    return answer


def test_histograms_are_matched_by_shares(noise: Noise) -> None:
    source = np.asarray(noise(9, 7, "L", 1))
    target = np.asarray(noise(8, 5, "L", 2)) // 3
    assert match_histogram(source, target).ravel().tolist() == slow_match(source, target)


def test_matching_keeps_the_brightness_and_takes_the_colour(noise: Noise) -> None:
    gray = noise(64, 64, "L").convert("RGB")
    mild = Image.fromarray((np.asarray(gray) // 4 + 96).astype(np.uint8))
    orange = Image.new("RGB", (32, 32), (220, 140, 60))
    got = match_colors(mild, orange)
    before, after = (np.asarray(i.convert("RGB")) @ [0.299, 0.587, 0.114] for i in (mild, got))
    assert np.abs(before - after).max() < 1.0
    lab = cv2.cvtColor(np.asarray(got), cv2.COLOR_RGB2LAB)
    wanted = cv2.cvtColor(np.asarray(orange), cv2.COLOR_RGB2LAB)[0, 0]
    assert abs(float(lab[..., 2].mean()) - wanted[2]) < 12
    assert lab[..., 2].mean() > 150


def test_matching_a_picture_with_itself_changes_next_to_nothing(noise: Noise) -> None:
    image = noise(64, 64)
    difference = np.asarray(match_colors(image, image)).astype(int) - np.asarray(image)
    assert np.abs(difference).mean() < 2
