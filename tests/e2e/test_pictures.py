from __future__ import annotations

import io

import numpy as np
from PIL import Image, PngImagePlugin
from playwright.sync_api import expect

from tests.e2e.conftest import Watch
from tests.e2e.driver import Driver

SMALL = {"steps": 4, "width": 128, "height": 128, "batch_count": 1, "batch_size": 1, "seed": 11}
INFOTEXT = (
    "a blue fish\nNegative prompt: fog\nSteps: 9, Sampler: Euler a, Schedule type: Karras, "
    "CFG scale: 5.5, Seed: 4321, Size: 192x256, Version: 1.10.1"
)


def png(infotext: str = "", color: str = "teal") -> bytes:
    out = io.BytesIO()
    texts = PngImagePlugin.PngInfo()
    if infotext:
        texts.add_text("parameters", infotext)
    Image.new("RGB", (128, 128), color).save(out, "PNG", pnginfo=texts)
    return out.getvalue()


def make_one(easel: Driver) -> None:
    easel.prompt("a red apple on a blue background")
    easel.configure(SMALL)
    easel.generate()
    easel.wait_picture()


def test_a_dropped_picture_brings_back_its_settings(easel: Driver) -> None:
    easel.prompt("something else")
    easel.drop("#txt2img_prompt textarea", png(INFOTEXT))
    easel.wait_for_prompt("a blue fish")
    easel.wait_for_number("txt2img_steps", 9)
    assert easel.number("txt2img_seed") == 4321
    assert (easel.number("txt2img_width"), easel.number("txt2img_height")) == (192, 256)
    assert easel.number("txt2img_cfg_scale") == 5.5
    expect(easel.page.locator("#txt2img_sampling input").first).to_have_value("Euler a")
    expect(easel.page.locator("#txt2img_scheduler input").first).to_have_value("Karras")


def test_a_dropped_text_is_read_too(easel: Driver) -> None:
    easel.drop("#txt2img_prompt textarea", INFOTEXT.encode(), "x.txt", "text/plain")
    easel.wait_for_prompt("a blue fish")


def test_a_dropped_picture_without_settings_says_so(easel: Driver) -> None:
    easel.drop("#txt2img_prompt textarea", png())
    easel.page.locator(".easel-toast", has_text="no settings").wait_for()


def test_a_dropped_non_picture_says_so(easel: Driver, watch: Watch) -> None:
    watch.allowed.append("422")
    easel.drop("#txt2img_prompt textarea", b"\x89PNG\r\n\x1a\nbroken")
    easel.page.locator(".easel-toast").first.wait_for()


def test_a_picture_is_sent_to_img2img(easel: Driver) -> None:
    make_one(easel)
    easel.results().locator("[data-action=to_img2img]").click()
    easel.page.locator("#img2img_image img").first.wait_for()
    easel.wait_for_prompt("a red apple on a blue background", "img2img")
    easel.configure({"steps": 4, "batch_count": 1, "batch_size": 1}, "img2img")
    assert easel.generate("img2img")["state"] == "done"
    assert easel.wait_picture("img2img") == (128, 128)


def test_a_dropped_picture_becomes_the_first_picture(easel: Driver) -> None:
    easel.show("img2img")
    easel.drop("#img2img_image", png(color="red"))
    easel.page.locator("#img2img_image img").first.wait_for()
    first = easel.page.locator("#img2img_image img").first.get_attribute("src")
    easel.drop("#img2img_image", png(color="lime"))
    easel.page.wait_for_function(
        "(first) => { const now = document.querySelector('#img2img_image img')?.src;"
        " return now && now !== first; }",
        arg=first,
    )


def test_a_pasted_picture_goes_to_the_picture_field(easel: Driver) -> None:
    easel.show("img2img")
    easel.page.locator("#img2img_image").wait_for()
    first = easel.page.evaluate("() => document.querySelector('#img2img_image img')?.src ?? ''")
    easel.paste("body", png(color="orange"))
    easel.page.wait_for_function(
        "(first) => { const now = document.querySelector('#img2img_image img')?.src;"
        " return now && now !== first; }",
        arg=first,
    )


STANDS_STILL = """async () => {
    const canvas = document.querySelector("#img2maskimg canvas");
    for (let place = "", frames = 0; frames < 30; ) {
        await new Promise(requestAnimationFrame);
        const now = JSON.stringify(canvas.getBoundingClientRect());
        frames = now === place ? frames + 1 : 0;
        place = now;
    }
}"""
"""Returns once the editor has kept its place for thirty frames: its picture is loaded then."""


def draw_mask(easel: Driver) -> None:
    """Paint over the middle of the editor."""
    canvas = easel.page.locator("#img2maskimg canvas").first
    canvas.wait_for()
    brush = easel.page.locator('#img2maskimg button[aria-label="Brush"]').first
    brush.wait_for()
    brush.click()
    easel.page.evaluate(STANDS_STILL)
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    easel.page.mouse.move(x - 20, y)
    easel.page.mouse.down()
    easel.page.mouse.move(x + 20, y, steps=5)
    easel.page.mouse.up()


def test_inpainting_changes_the_painted_part_alone(easel: Driver) -> None:
    make_one(easel)
    before = np.asarray(Image.open(io.BytesIO(easel.picture_bytes())).convert("RGB")).astype(int)
    easel.results().locator("[data-action=to_inpaint]").click()
    easel.page.locator("#img2maskimg canvas").first.wait_for()
    easel.prompt("a green frog", "inpaint")
    draw_mask(easel)
    easel.configure({"steps": 6, "batch_count": 1, "batch_size": 1, "seed": 5}, "inpaint")
    easel.configure({"denoising_strength": 1}, "inpaint")
    assert easel.generate("inpaint")["state"] == "done"
    easel.wait_picture("inpaint")
    picture = Image.open(io.BytesIO(easel.picture_bytes("inpaint"))).convert("RGB")
    after = np.asarray(picture).astype(int)
    assert after.shape == before.shape
    difference = np.abs(after - before).max(axis=2)
    assert difference.max() > 10
    edge = np.concatenate([difference[:8].ravel(), difference[-8:].ravel()])
    assert edge.max() == 0


def test_png_info_shows_and_sends(easel: Driver) -> None:
    easel.show("pnginfo")
    easel.page.locator("#pnginfo_image input[type=file]").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": png(INFOTEXT)}
    )
    shown = easel.page.locator("#pnginfo_html_info")
    expect(shown).to_contain_text("a blue fish")
    expect(shown).to_contain_text("4321")
    easel.page.locator("#pnginfo_send_to_txt2img").click()
    easel.page.locator("#txt2img_prompt").wait_for(state="visible")
    easel.wait_for_prompt("a blue fish")
