from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.driver import Driver

LONG = {"steps": 150, "width": 256, "height": 256, "batch_count": 4, "batch_size": 1, "seed": 1}
SHORT = LONG | {"steps": 3, "width": 64, "height": 64, "batch_count": 1}
OPTIONS = {"attention": 0.1, "extra": 0.05, "delimiters": ".,\\/!?%^*;:{}=`~() "}


def test_ctrl_enter_generates(easel: Driver) -> None:
    easel.prompt("keys")
    easel.configure(SHORT)
    easel.page.locator("#txt2img_prompt textarea").press("Control+Enter")
    assert easel.wait_ends(1)["state"] == "done"
    assert easel.prompt_text() == "keys"


def test_ctrl_enter_stops_and_starts_again(easel: Driver) -> None:
    easel.prompt("first")
    easel.configure(LONG)
    easel.start()
    easel.wait_first_step()
    easel.configure(SHORT)
    easel.page.locator("#txt2img_prompt textarea").press("Control+Enter")
    easel.wait_ends(2)
    assert [end["state"] for end in easel.ends()] == ["interrupted", "done"]


def test_escape_interrupts_but_first_closes_what_is_open(easel: Driver) -> None:
    easel.configure(LONG)
    easel.start()
    easel.wait_first_step()
    easel.page.locator("#easel_shortcuts").click()
    sheet = easel.page.locator("dialog.easel-sheet")
    sheet.wait_for()
    easel.page.keyboard.press("Escape")
    sheet.wait_for(state="detached")
    assert easel.ends() == []
    easel.page.keyboard.press("Escape")
    easel.page.locator("#txt2img_generate_box[data-state=stopping]").wait_for()
    easel.page.keyboard.press("Escape")
    assert easel.wait_ends(1)["state"] == "interrupted"


def test_alt_enter_skips(easel: Driver) -> None:
    easel.configure(LONG | {"batch_count": 1})
    easel.start()
    easel.wait_first_step()
    easel.page.locator("#txt2img_prompt textarea").press("Alt+Enter")
    end = easel.wait_ends(1)
    assert end["state"] == "done"
    images = easel.get_json(f"internal/jobs/{end['job']}")["images"]
    assert [image for image in images if image["kind"] == "image"] == []


def test_question_mark_lists_the_shortcuts(easel: Driver) -> None:
    easel.page.locator("#txt2img_prompt textarea").press("?")
    assert easel.page.locator("dialog.easel-sheet").count() == 0
    easel.page.evaluate("() => document.activeElement.blur()")
    easel.page.keyboard.press("?")
    sheet = easel.page.locator("dialog.easel-sheet")
    sheet.wait_for()
    assert "Ctrl + Enter" in sheet.inner_text()
    sheet.locator("button").click()
    sheet.wait_for(state="detached")


def caret(easel: Driver, start: int, end: int | None = None) -> None:
    easel.page.locator("#txt2img_prompt textarea").evaluate(
        "(field, [start, end]) => { field.focus(); field.setSelectionRange(start, end); }",
        [start, start if end is None else end],
    )


def test_weights_are_edited_in_the_box_and_can_be_undone(easel: Driver) -> None:
    easel.prompt("a red cat")
    caret(easel, 4)
    easel.page.keyboard.press("Control+ArrowUp")
    assert easel.prompt_text() == "a (red:1.1) cat"
    easel.page.keyboard.press("Control+ArrowUp")
    assert easel.prompt_text() == "a (red:1.2) cat"
    easel.page.keyboard.press("Control+ArrowDown")
    easel.page.keyboard.press("Control+ArrowDown")
    assert easel.prompt_text() == "a red cat"
    easel.page.keyboard.press("Control+z")
    assert easel.prompt_text() == "a (red:1.1) cat"


def test_elements_are_moved_in_the_box(easel: Driver) -> None:
    easel.prompt("one, two,\nthree")
    caret(easel, 6)
    easel.page.keyboard.press("Alt+ArrowRight")
    assert easel.prompt_text() == "one, three,\ntwo"
    easel.page.keyboard.press("Alt+ArrowLeft")
    easel.page.keyboard.press("Alt+ArrowLeft")
    assert easel.prompt_text() == "two, one,\nthree"


@pytest.fixture(scope="module")
def edited(browser: Any, server: str) -> Any:
    """The editing functions themselves: `edited("a re|d cat", 1)` gives text and selection."""
    page = browser.new_page()
    page.goto(f"{server}/internal/assets/README.md")
    page.goto(server)
    script = """async ([text, direction, options]) => {
      const { editAttention } = await import('/internal/assets/attention.js');
      const start = text.indexOf('|');
      let plain = text.replace('|', '');
      const end = plain.indexOf('|') < 0 ? start : plain.indexOf('|');
      plain = plain.replace('|', '');
      const found = editAttention({text: plain, start, end}, direction, options);
      return found && found.text.slice(0, found.start) + '|'
        + found.text.slice(found.start, found.end) + '|' + found.text.slice(found.end);
    }"""
    yield lambda text, direction: page.evaluate(script, [text, direction, OPTIONS])
    page.close()


@pytest.mark.parametrize(
    ("before", "direction", "after"),
    [
        ("a re|d cat", 1, "a (|red|:1.1) cat"),
        ("a re|d cat", -1, "a (|red|:0.9) cat"),
        ("a |red cat| on", 1, "a (|red cat|:1.1) on"),
        ("a |red cat | on", 1, "a (|red cat|:1.1)  on"),
        ("a (red|:1.1) cat", -1, "a |red| cat"),
        ("(a, b| c:1.3)", 1, "(|a, b c|:1.4)"),
        ("(a (b|:1.2) c)", 1, "(a (|b|:1.3) c)"),
        ("((re|d))", 1, "(|red|:1.3)"),
        ("[[re|d]]", 1, "(|red|:0.9)"),
        ("[re|d]", -1, "(|red|:0.8)"),
        ("[a:b|:0.5]", 1, "[a:(|b|:1.1):0.5]"),
        ("<lora:na|me:0.8>", 1, "<|lora:name|:0.85>"),
        ("<lora:na|me:1>", -1, "<|lora:name|:0.95>"),
        ("<lora:na|me>", 1, None),
        (r"\(re|d\)", 1, r"\((|red|:1.1)\)"),
        ("(red|:0.05)", -1, "(|red|:-0.05)"),
        ("(red|:1.9)", 1, "(|red|:2.0)"),
        ("a , | ,", 1, None),
        ("|", 1, None),
    ],
)
def test_attention(edited: Any, before: str, direction: int, after: str | None) -> None:
    assert edited(before, direction) == after
