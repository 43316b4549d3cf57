from collections.abc import Callable
from typing import get_args

import pytest
from PIL import Image

from webui.images.resize import resize, scaled_size
from webui.request import ResizeMode

Load = Callable[[str], Image.Image]
MODES: tuple[ResizeMode, ...] = get_args(ResizeMode)
RECORDED = [
    "mode0_128x128_Nearest",
    "mode0_128x128_None",
    "mode0_160x96_Nearest",
    "mode0_96x160_Nearest",
    "mode0_96x160_None",
    "mode1_128x128_Nearest",
    "mode1_128x128_None",
    "mode1_96x160_Nearest",
    "mode2_160x96_Nearest",
    "mode2_160x96_None",
    "mode2_96x160_Nearest",
    "mode2_96x160_None",
]


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.size == other.size and one.tobytes() == other.tobytes()


def nearest(image: Image.Image, factor: float) -> Image.Image:
    return image.resize(scaled_size(image.size, factor), Image.Resampling.NEAREST)


@pytest.mark.parametrize("name", RECORDED)
def test_resizing_gives_the_recorded_pixels(name: str, picture: Load) -> None:
    number, size, upscaler = name.split("_")
    width, height = map(int, size.split("x"))
    source = picture("inputs/init192x128.png").convert("RGB")
    got = resize(
        source,
        (width, height),
        MODES[int(number[-1])],
        nearest if upscaler == "Nearest" else None,
    )
    assert same(got, picture(f"vectors/resize_{name}.png").convert("RGB"))


@pytest.mark.parametrize("mode", ["stretch", "crop", "fill"])
@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA"])
def test_the_mode_and_the_exact_size_are_kept(
    mode: ResizeMode, kind: str, noise: Callable[..., Image.Image]
) -> None:
    got = resize(noise(33, 70, kind), (57, 41), mode)
    assert (got.mode, got.size) == (kind, (57, 41))


def test_an_upscaler_is_asked_only_to_enlarge(noise: Callable[..., Image.Image]) -> None:
    asked: list[float] = []

    def upscaler(image: Image.Image, factor: float) -> Image.Image:
        asked.append(factor)
        return nearest(image, 4)

    big = resize(noise(16, 16), (32, 24), "stretch", upscaler)
    small = resize(noise(16, 16), (8, 8), "stretch", upscaler)
    mask = resize(noise(16, 16, "L"), (32, 32), "stretch", upscaler)
    assert asked == [2.0]
    assert [big.size, small.size, mask.size] == [(32, 24), (8, 8), (32, 32)]


def test_filling_continues_the_edge_to_the_last_row() -> None:
    image = Image.new("RGB", (10, 10), "#336699")
    got = resize(image, (64, 129), "fill")
    assert got.getcolors() == [(64 * 129, (0x33, 0x66, 0x99))]


def test_a_picture_of_one_row_survives_every_mode() -> None:
    line = Image.new("RGB", (5000, 1), "red")
    assert {resize(line, (64, 64), mode).size for mode in MODES} == {(64, 64)}
