from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image
from playwright.sync_api import expect

from tests.e2e.driver import Driver

Open = Callable[..., Driver]
SMALL = {"steps": 4, "width": 128, "height": 128, "batch_count": 1, "batch_size": 1, "seed": 7}


def test_a_prompt_becomes_a_picture(easel: Driver) -> None:
    easel.prompt("a red apple on a blue background")
    easel.configure(SMALL)
    assert easel.generate()["state"] == "done"
    assert easel.wait_picture() == (128, 128)
    info = easel.info()
    assert info["Prompt"] == "a red apple on a blue background"
    assert (info["Steps"], info["Seed"], info["Size"]) == ("4", "7", "128x128")
    assert "apple" in (easel.picture().get_attribute("alt") or "")
    with Image.open(io.BytesIO(easel.picture_bytes())) as picture:
        assert picture.size == (128, 128)
        assert picture.info["parameters"].startswith("a red apple on a blue background\n")
    assert easel.page.title() == "Easel"


def test_progress_and_preview_come_in_place(easel: Driver) -> None:
    easel.prompt("a green tree")
    easel.configure(SMALL | {"steps": 16})
    easel.page.evaluate(
        """() => {
      window.__seen = {texts: new Set(), previews: 0, titles: new Set(), heights: new Set()};
      const panel = document.querySelector('easel-results[data-tab=txt2img]');
      new MutationObserver(() => {
        const seen = window.__seen;
        seen.texts.add(panel.querySelector('.er-progress-text').textContent);
        seen.titles.add(document.title);
        const stage = panel.querySelector('.er-stage');
        const preview = stage.querySelector('.er-preview');
        if (preview) seen.previews += 1;
        if (preview || stage.querySelector('.er-picture')) {
          seen.heights.add(Math.round(stage.getBoundingClientRect().height));
        }
      }).observe(panel, {subtree: true, childList: true, attributes: true, characterData: true});
    }"""
    )
    easel.generate()
    easel.wait_picture()
    seen = easel.page.evaluate(
        "() => ({previews: window.__seen.previews, texts: [...window.__seen.texts], "
        "titles: [...window.__seen.titles], heights: [...window.__seen.heights]})"
    )
    assert seen["previews"] > 0
    assert any("of 16" in text and "%" in text for text in seen["texts"])
    assert any(title.startswith("[") and "%" in title for title in seen["titles"])
    assert easel.page.title() == "Easel"
    assert max(seen["heights"]) - min(seen["heights"]) <= 1


def test_a_batch_has_thumbnails_and_a_viewer(easel: Driver) -> None:
    easel.prompt("a yellow star")
    easel.configure(SMALL | {"batch_size": 3})
    easel.generate()
    easel.wait_picture()
    plain = easel.page.evaluate(
        "() => [...document.querySelectorAll('easel-results[data-tab=txt2img] .er-thumb')].length"
    )
    assert plain >= 3
    seeds = set()
    for place in range(plain):
        easel.thumbs().nth(place).click()
        assert easel.thumbs().nth(place).get_attribute("aria-pressed") == "true"
        seeds.add(easel.selected()["seed"])
    assert seeds == {7, 8, 9}
    easel.thumbs().first.click()
    easel.wait_picture()
    easel.results().locator(".er-open").click()
    viewer = easel.page.locator("dialog.er-lightbox")
    viewer.wait_for()
    first = viewer.locator("img").get_attribute("src")
    easel.page.keyboard.press("ArrowRight")
    assert viewer.locator("img").get_attribute("src") != first
    second = viewer.locator("img").get_attribute("src")
    box = viewer.locator("img").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    easel.page.mouse.move(x - 60, y)
    easel.page.mouse.down()
    easel.page.mouse.move(x + 60, y, steps=4)
    easel.page.mouse.up()
    assert viewer.locator("img").get_attribute("src") == first
    easel.page.keyboard.press("ArrowRight")
    assert viewer.locator("img").get_attribute("src") == second
    easel.page.keyboard.press("+")
    assert "scale" in (viewer.locator("img").get_attribute("style") or "")
    easel.page.keyboard.press("Escape")
    viewer.wait_for(state="detached")
    assert easel.thumbs().nth(1).get_attribute("aria-pressed") == "true"


def test_seed_is_reused(easel: Driver) -> None:
    easel.prompt("a house")
    easel.configure(SMALL | {"seed": -1})
    easel.generate()
    easel.wait_picture()
    seed = easel.selected()["seed"]
    assert seed >= 0
    easel.page.locator("#txt2img_reuse_seed").click()
    easel.wait_for_number("txt2img_seed", seed)
    easel.page.locator("#txt2img_random_seed").click()
    easel.wait_for_number("txt2img_seed", -1)
    easel.results().locator("[data-action=reuse_seed]").click()
    easel.wait_for_number("txt2img_seed", seed)


def test_a_picture_is_saved_zipped_and_deleted(easel: Driver) -> None:
    easel.prompt("a boat")
    easel.configure(SMALL | {"batch_size": 2})
    easel.generate()
    easel.wait_picture()
    easel.results().locator("[data-action=save]").click()
    easel.page.locator(".easel-toast", has_text="Saved:").first.wait_for()
    with easel.page.expect_download() as download:
        easel.results().locator("[data-action=zip]").click()
    assert download.value.suggested_filename.endswith(".zip")
    count = easel.thumbs().count()
    easel.page.evaluate("() => { window.easel.v1.confirm = () => true; }")
    easel.thumbs().last.click()
    gone = easel.selected()
    easel.results().locator("[data-action=delete]").click()
    easel.page.wait_for_function(
        "(count) => document.querySelectorAll('easel-results[data-tab=txt2img] .er-thumb').length"
        " < count",
        arg=count,
    )
    url = f"{easel.server}/internal/jobs/{gone['job']}/images/{gone['index']}"
    assert easel.page.request.get(url).status == 404


def test_a_refused_request_says_why_at_the_field(easel: Driver) -> None:
    easel.prompt("a cup")
    easel.configure(SMALL | {"seed": -5})
    easel.page.locator("#txt2img_generate").click()
    field = easel.page.locator("#txt2img_seed")
    expect(field.locator(".easel-field-error")).to_contain_text("seed")
    expect(field.locator("input[type=number]")).to_have_attribute("aria-invalid", "true")
    easel.page.locator("#txt2img_generate_box[data-state=idle]").wait_for()
    easel.configure({"seed": 5})
    expect(field.locator(".easel-field-error")).to_have_count(0)
    assert easel.generate()["state"] == "done"


def test_example_prompt_is_written(open_page: Open) -> None:
    easel = open_page()
    easel.page.evaluate(
        """() => {
      const panel = document.querySelector('easel-results[data-tab=txt2img] .er-empty');
      panel.hidden = false;
      panel.querySelector('[data-prompt]').click();
    }"""
    )
    assert easel.prompt_text().startswith("a ")
