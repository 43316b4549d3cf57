from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import PHONE
from tests.e2e.driver import Driver

Open = Callable[..., Driver]
TABS = ("txt2img", "img2img", "inpaint", "pnginfo", "settings")


def test_drafts_survive_reload_and_reach_a_second_device(easel: Driver, open_page: Open) -> None:
    with easel.page.expect_response(lambda answer: "/gradio_api/" in answer.url):
        easel.prompt("typed but not sent")
    easel.set_number("txt2img_steps", 33)
    easel.page.wait_for_function("() => document.querySelector('#txt2img_token_counter')")
    expect(easel.page.locator("#txt2img_token_counter")).to_contain_text("4/75")
    easel.page.wait_for_load_state("networkidle")
    easel.reload()
    easel.wait_for_prompt("typed but not sent")
    easel.wait_for_number("txt2img_steps", 33)
    other = open_page()
    other.wait_for_prompt("typed but not sent")


def test_a_setting_is_kept(easel: Driver) -> None:
    easel.show("settings")
    box = easel.page.locator("#setting_send_seed input[type=checkbox]")
    box.wait_for(state="attached")
    before = box.is_checked()
    box.set_checked(not before, force=True)
    easel.page.wait_for_function(
        "async (want) => (await (await fetch('sdapi/v1/options')).json()).send_seed === want",
        arg=not before,
    )
    easel.reload()
    easel.show("settings")
    expect(box).to_be_checked(checked=not before)
    box.set_checked(before, force=True)
    easel.page.wait_for_function(
        "async (want) => (await (await fetch('sdapi/v1/options')).json()).send_seed === want",
        arg=before,
    )


def test_the_browsers_language_is_spoken(open_page: Open) -> None:
    easel = open_page(locale="ko-KR")
    expect(easel.page.locator("#txt2img_generate")).to_have_text(re.compile("[가-힣]"))
    assert easel.page.evaluate("document.documentElement.lang") == "ko"


def test_the_language_is_switched_and_kept(easel: Driver) -> None:
    generate = easel.page.locator("#txt2img_generate")
    expect(generate).to_have_text("Generate")
    easel.prompt("kept while switching")
    easel.page.locator("#easel_language").click()
    expect(generate).to_have_text(re.compile("[가-힣]"))
    assert easel.prompt_text() == "kept while switching"
    easel.reload()
    expect(generate).to_have_text(re.compile("[가-힣]"))
    easel.page.locator("#easel_language").click()
    expect(generate).to_have_text("Generate")


def test_the_theme_is_switched_and_kept(easel: Driver) -> None:
    body = easel.page.locator("body")
    expect(body).not_to_have_class(re.compile(r"\bdark\b"))
    easel.page.locator("#easel_theme").click()
    expect(body).to_have_class(re.compile(r"\bdark\b"))
    easel.reload()
    expect(body).to_have_class(re.compile(r"\bdark\b"))


def test_the_systems_theme_is_followed(open_page: Open) -> None:
    easel = open_page(color_scheme="dark")
    expect(easel.page.locator("body")).to_have_class(re.compile(r"\bdark\b"))


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_no_sideways_scrolling_on_a_phone(open_page: Open, locale: str) -> None:
    easel = open_page(viewport=PHONE, locale=locale, has_touch=True, is_mobile=True)
    for tab in TABS:
        easel.page.evaluate("(tab) => window.easel.v1.show(tab)", tab)
        easel.page.locator(f"#tab_{tab}").wait_for(state="visible")
        widths = easel.page.evaluate(
            "() => [document.documentElement.scrollWidth, window.innerWidth]"
        )
        assert widths[0] <= 390, tab
        assert widths[1] == 390, tab


def test_the_columns_are_resized_and_remembered(easel: Driver) -> None:
    form = easel.page.locator("#txt2img_form")
    splitter = easel.page.locator("#txt2img_splitter")
    before = form.bounding_box()
    grip = splitter.bounding_box()
    assert before is not None and grip is not None
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + min(grip["height"] / 2, 200)
    easel.page.mouse.move(x, y)
    easel.page.mouse.down()
    easel.page.mouse.move(x + 120, y, steps=4)
    easel.page.mouse.up()
    after = form.bounding_box()
    assert after is not None
    assert abs(after["width"] - (before["width"] + 120)) < 20
    easel.reload()
    kept = form.bounding_box()
    assert kept is not None and abs(kept["width"] - after["width"]) < 2
    splitter.focus()
    easel.page.keyboard.press("ArrowLeft")
    moved = form.bounding_box()
    assert moved is not None and moved["width"] < kept["width"]
    splitter.dblclick()
    reset = form.bounding_box()
    assert reset is not None and abs(reset["width"] - before["width"]) < 2


def test_sizes_are_swapped(easel: Driver) -> None:
    easel.configure({"width": 192, "height": 320})
    easel.page.locator("#txt2img_res_switch_btn").click()
    easel.wait_for_number("txt2img_width", 320)
    easel.wait_for_number("txt2img_height", 192)
