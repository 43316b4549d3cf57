from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from webui.errors import BadImage
from webui.services import Services
from webui.ui.forms.pictures import (
    MissingPicture,
    inpaint_pictures,
    painted_mask,
    put_file,
    sketch,
    sketched,
)

SIZE = (64, 48)
BOX = (10, 8, 29, 23)


def editor(paint: tuple[int, int, int, int] = (255, 255, 255, 255)) -> dict[str, object]:
    """The value of a Gradio editor with a painted rectangle."""
    background = Image.new("RGBA", SIZE, (20, 40, 60, 255))
    layer = Image.new("RGBA", SIZE)
    ImageDraw.Draw(layer).rectangle(BOX, fill=paint)
    composite = Image.alpha_composite(background, layer)
    return {"background": background, "layers": [layer], "composite": composite}


def test_the_mask_is_white_exactly_where_paint_lies() -> None:
    mask = painted_mask(editor())
    assert (mask.mode, mask.size) == ("L", SIZE)
    assert mask.getbbox() == (10, 8, 30, 24)
    assert mask.getextrema() == (0, 255)


def test_faint_paint_does_not_count() -> None:
    with pytest.raises(MissingPicture) as caught:
        painted_mask(editor((255, 255, 255, 100)))
    assert caught.value.field == "init.inpaint.mask"


def test_a_half_transparent_brush_counts_as_wholly_masked() -> None:
    assert painted_mask(editor((255, 255, 255, 178))).getextrema() == (0, 255)


@pytest.mark.parametrize("value", [{}, {"background": None, "layers": []}])
def test_an_empty_editor_is_named(value: dict[str, object]) -> None:
    with pytest.raises(MissingPicture) as caught:
        painted_mask(value)
    assert (caught.value.field, caught.value.key) == ("init.images", "error.picture")


def test_a_sketch_is_kept_with_its_paint(services: Services) -> None:
    picture = sketch(services, editor((255, 0, 0, 255)))
    stored = services.pictures.open(picture).convert("RGB")
    assert stored.getpixel((15, 12)) == (255, 0, 0)
    assert stored.getpixel((0, 0)) == (20, 40, 60)


def test_inpaint_sketch_masks_what_painting_changed() -> None:
    image, mask = sketched(editor((255, 0, 0, 255)), transparency=0, blur=0)
    assert mask.getbbox() == (10, 8, 30, 24)
    assert mask.getpixel((15, 12)) == 255
    assert image.getpixel((15, 12)) == (255, 0, 0)
    assert image.getpixel((0, 0)) == (20, 40, 60)


def test_transparency_lets_the_original_through() -> None:
    image, mask = sketched(editor((255, 0, 0, 255)), transparency=50, blur=0)
    assert mask.getpixel((15, 12)) == 128
    red, green, _ = image.getpixel((15, 12))  # type: ignore[misc]
    assert 130 < red < 145
    assert 15 < green < 25


def test_blur_softens_the_paint_s_edge_and_leaves_the_rest() -> None:
    image, _ = sketched(editor((255, 0, 0, 255)), transparency=0, blur=3)
    edge = image.getpixel((10, 15))
    assert isinstance(edge, tuple)
    assert 20 < edge[0] < 255
    assert image.getpixel((63, 47)) == (20, 40, 60)


def test_paint_of_the_picture_s_own_colour_changes_nothing() -> None:
    with pytest.raises(MissingPicture):
        sketched(editor((20, 40, 60, 255)), transparency=0, blur=4)


def test_uploaded_files_are_kept_byte_for_byte(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    Image.new("RGB", SIZE, "red").save(file)
    assert services.pictures.read(put_file(services, str(file), "error.picture")) == (
        file.read_bytes()
    )


def test_a_file_that_is_no_picture_is_refused(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(b"not a picture")
    with pytest.raises(BadImage):
        put_file(services, str(file), "error.picture")


def test_each_sub_tab_gives_picture_and_mask(services: Services, tmp_path: Path) -> None:
    base, mask = tmp_path / "base.png", tmp_path / "mask.png"
    Image.new("RGB", SIZE, "red").save(base)
    Image.new("L", SIZE, 255).save(mask)
    given = {
        "inpaint": editor(),
        "inpaint_sketch": editor((255, 0, 0, 255)),
        "base": str(base),
        "mask": str(mask),
        "transparency": 0,
    }
    painted = inpaint_pictures(services, "inpaint", given, 4)
    sketched_values = inpaint_pictures(services, "inpaint_sketch", given, 4)
    uploaded = inpaint_pictures(services, "inpaint_upload", given, 4)
    assert services.pictures.open(painted["init.inpaint.mask"]).getbbox() == (10, 8, 30, 24)
    assert sketched_values["init.images"] != painted["init.images"]
    assert services.pictures.read(uploaded["init.images"][0]) == base.read_bytes()
    assert services.pictures.read(uploaded["init.inpaint.mask"]) == mask.read_bytes()


@pytest.mark.parametrize(
    ("given", "key"), [({}, "error.picture"), ({"base": __file__}, "error.mask_file")]
)
def test_missing_uploads_are_named(
    services: Services, tmp_path: Path, given: dict[str, str], key: str
) -> None:
    file = tmp_path / "base.png"
    Image.new("RGB", SIZE).save(file)
    found = {name: str(file) for name in given}
    with pytest.raises(MissingPicture) as caught:
        inpaint_pictures(services, "inpaint_upload", found, 4)
    assert caught.value.key == key
