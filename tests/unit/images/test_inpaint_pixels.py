"""Fill, overlay and colour correction against what A1111 made of the same pixels."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from webui.images.color import match_colors
from webui.images.fill import fill
from webui.images.init_image import PreparedImage, prepare_image
from webui.images.mask import PreparedMask, prepare_mask, to_mask
from webui.images.overlay import apply_overlay, mask_composite, overlay_of
from webui.request import Init, Inpaint

Load = Callable[[str], Image.Image]


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.size == other.size and one.tobytes() == other.tobytes()


INPAINT = Inpaint(mask="x", only_masked=True, masked_padding=0)


def prepared(picture: Load) -> tuple[PreparedMask, PreparedImage]:
    mask = prepare_mask(picture("inputs/mask128.png"), INPAINT, (128, 128), "stretch")
    assert mask is not None
    init = Init(images=("x",), inpaint=INPAINT)
    return mask, prepare_image(picture("inputs/init128.png"), init, (128, 128), mask=mask)


def test_fill_gives_the_recorded_pixels(picture: Load) -> None:
    image = picture("inputs/init128.png").convert("RGB")
    filled = fill(image, to_mask(picture("inputs/mask128.png")))
    assert same(filled, picture("vectors/masking_fill.png").convert("RGB"))


def test_the_result_is_pasted_back_as_recorded(picture: Load) -> None:
    mask, start = prepared(picture)
    assert start.overlay is not None
    finished = picture("pictures/tiny/e/no_overlay.png").convert("RGB")
    got = apply_overlay(finished, start.overlay, mask.crop)
    assert same(got, picture("pictures/tiny/e/inpaint_fill1.png").convert("RGB"))


def test_colours_are_corrected_as_recorded(picture: Load) -> None:
    mask, start = prepared(picture)
    assert start.overlay is not None
    finished = picture("pictures/tiny/e/no_overlay.png").convert("RGB")
    got = apply_overlay(match_colors(finished, start.image), start.overlay, mask.crop)
    assert same(got, picture("pictures/tiny/e/colorcorr_inpaint.png").convert("RGB"))


def test_the_overlay_is_the_picture_outside_the_mask(noise: Callable[..., Image.Image]) -> None:
    image = noise(16, 16)
    mask = Image.new("L", (16, 16))
    mask.paste(255, (4, 4, 12, 12))
    pixels = np.asarray(overlay_of(image, mask))
    assert pixels[5, 5, 3] == 0
    assert np.array_equal(pixels[:4, :, :3], np.asarray(image)[:4])
    back = np.asarray(
        apply_overlay(Image.new("RGB", (16, 16), "red"), overlay_of(image, mask), None)
    )
    assert tuple(back[8, 8]) == (255, 0, 0)
    assert np.array_equal(back[0], np.asarray(image)[0])


def test_the_mask_composite_holds_the_finished_pixels_alone() -> None:
    mask = Image.new("L", (32, 32))
    mask.paste(255, (8, 8, 24, 24))
    got = mask_composite(Image.new("RGB", (16, 16), "blue"), mask, (8, 8, 24, 24))
    assert got.getpixel((16, 16)) == (0, 0, 255, 255)
    assert got.getpixel((2, 2)) == (0, 0, 0, 0)


def test_without_a_mask_the_picture_is_only_flattened_and_resized() -> None:
    clear = Image.new("RGBA", (32, 16), (0, 0, 0, 0))
    start = prepare_image(clear, Init(images=("x",)), (64, 64), background="#102030")
    assert start.overlay is None
    assert start.image.getcolors() == [(64 * 64, (0x10, 0x20, 0x30))]
    latent = prepare_image(clear, Init(images=("x",), resize_mode="latent"), (64, 64))
    assert latent.image.size == (32, 16)


def test_masked_content_other_than_the_original_is_filled(picture: Load) -> None:
    inpaint = Inpaint(mask="x", content="latent noise", mask_blur_x=0, mask_blur_y=0)
    mask = prepare_mask(picture("inputs/mask128.png"), inpaint, (128, 128), "stretch")
    assert mask is not None
    init = Init(images=("x",), inpaint=inpaint)
    start = prepare_image(picture("inputs/init128.png"), init, (128, 128), mask=mask)
    assert same(start.image, picture("vectors/masking_fill.png").convert("RGB"))
    nothing = Image.new("L", (128, 128))
    kept = prepare_image(
        picture("inputs/init128.png"), init, (128, 128), mask=mask, latent_mask=nothing
    )
    assert same(kept.image, picture("inputs/init128.png").convert("RGB"))


def test_a_mask_of_the_whole_picture_is_brought_to_the_latents_size() -> None:
    inpaint = Inpaint(mask="x", content="fill")
    mask = prepare_mask(Image.new("L", (64, 64), 255), inpaint, (128, 128), "latent")
    assert mask is not None
    init = Init(images=("x",), resize_mode="latent", inpaint=inpaint)
    start = prepare_image(Image.new("RGB", (64, 64)), init, (128, 128), mask=mask)
    assert start.overlay is not None
    assert start.overlay.size == start.image.size == (64, 64)
