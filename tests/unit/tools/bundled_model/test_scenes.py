from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.bundled_model.colours import ground_rgb, nearest_colour, thing_hue
from tools.bundled_model.concepts import concepts_by_name
from tools.bundled_model.scenes import (
    COLOURS,
    HUES,
    SIZE,
    Part,
    Scene,
    SceneMaker,
    draw_scene,
    turn_hue,
)
from tools.bundled_model.sprites import fit, plain_code

FACE = "1f600"


def draw(scene: Scene, sprites: Path) -> np.ndarray:
    return np.asarray(draw_scene(scene, sprites))


def test_variation_selectors_are_dropped() -> None:
    assert plain_code("2764-FE0F-200D-1F525") == "2764-200d-1f525"


def test_fit_centres_what_is_visible() -> None:
    picture = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (10, 20, 50, 40))
    fitted = fit(picture)
    assert fitted is not None
    assert fitted.size == (256, 256)
    assert fitted.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).getbbox() == (
        8,
        68,
        248,
        188,
    )
    assert fit(Image.new("RGBA", (9, 9), (0, 0, 0, 0))) is None


@pytest.mark.parametrize("colour", sorted(COLOURS))
def test_a_plain_ground_is_recognised(colour: str, sprites: Path) -> None:
    rgb = COLOURS[colour]
    pixels = draw(Scene((Part(FACE, None, 100, (64, 64)),), "3d", colour, rgb, rgb), sprites)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert nearest_colour(ground_rgb(pixels)) == colour


@pytest.mark.parametrize("hue", sorted(HUES))
def test_a_painted_thing_has_its_colour(hue: str, sprites: Path) -> None:
    white = COLOURS["white"]
    scene = Scene((Part(FACE, hue, 100, (64, 64)),), "flat", "white", white, white)
    assert thing_hue(draw(scene, sprites)) == hue


def test_a_grey_thing_has_no_hue() -> None:
    pixels = np.full((128, 128, 3), 255, np.uint8)
    pixels[40:80, 40:80] = 90
    assert thing_hue(pixels) == ""


def test_other_hues_stay_when_the_main_one_turns() -> None:
    picture = Image.new("RGBA", (20, 20), (220, 30, 30, 255))
    picture.paste((30, 30, 220, 255), (0, 0, 5, 5))
    turned = turn_hue(picture, HUES["green"])
    red, green, blue, _ = turned.getpixel((15, 15))  # type: ignore[misc]
    assert green > 200 and red < 60 and blue < 90
    assert turned.getpixel((1, 1))[2] > 200  # type: ignore[index]


def test_a_gradient_runs_from_top_to_bottom(sprites: Path) -> None:
    scene = Scene((Part(FACE, None, 60, (64, 64)),), "3d", "blue", (0, 0, 200), (0, 0, 100))
    pixels = draw(scene, sprites)
    assert pixels[0, 0, 2] == 200 and pixels[-1, 0, 2] == 100
    assert 145 <= pixels[64, 0, 2] <= 155


def test_the_left_thing_is_drawn_on_the_left(sprites: Path) -> None:
    maker = SceneMaker(sprites, 1)
    first, second = maker.concepts[:2]
    scene = maker.pair(first, second, "3d", "white")
    assert scene.parts[0].code == first.code
    assert scene.parts[0].centre[0] < SIZE / 2 < scene.parts[1].centre[0]


def test_a_small_thing_is_at_its_place(sprites: Path) -> None:
    maker = SceneMaker(sprites, 1)
    pixels = draw(maker.small(maker.concepts[0], "3d", "white", "on the left"), sprites)
    covered = np.argwhere(pixels[..., 1] < 128)
    assert covered[:, 1].max() < 70 and 50 < covered[:, 0].mean() < 78


def test_the_same_seed_makes_the_same_scenes(sprites: Path) -> None:
    made = [[SceneMaker(sprites, 7).any((1, 1, 1))] for _ in range(2)]
    assert made[0] == made[1]


def test_tiers_weigh(sprites: Path) -> None:
    maker = SceneMaker(sprites, 3)
    tier = {concept.code: concept.tier for concept in concepts_by_name().values()}
    drawn = [maker.any((0.0, 0.0, 1.0)) for _ in range(30)]
    assert {tier[part.code] for scene in drawn for part in scene.parts} == {2}


def test_only_drawn_concepts_are_used(sprites: Path) -> None:
    assert len(SceneMaker(sprites, 0).concepts) == 40
