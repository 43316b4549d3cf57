from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.driver import Driver


def test_tokens_are_counted(easel: Driver) -> None:
    easel.prompt("a red apple on a blue background")
    counter = easel.page.locator("#txt2img_token_counter .easel-tokens")
    expect(counter).to_have_text("7/75")
    easel.prompt(", ".join(["apple"] * 60))
    expect(counter).to_have_text("119/150")


def test_brackets_that_do_not_match_are_marked(easel: Driver) -> None:
    box = easel.page.locator("#txt2img_prompt")
    easel.prompt("a (red [apple) \\(")
    expect(box).to_have_attribute("data-brackets", "These brackets do not match: []")
    easel.prompt("a (red [apple]) \\(")
    expect(box).not_to_have_attribute("data-brackets", "These brackets do not match: []")


def test_a_pasted_size_fills_both_sides(easel: Driver) -> None:
    field = easel.page.locator("#txt2img_width input[type=number]")
    for text, width in (("640x384", 640), (" 648 × 384 ", 648), ("656 384", 656), ("664,384", 664)):
        easel.set_number("txt2img_height", 128)
        field.evaluate(
            """(field, text) => {
          const data = new DataTransfer();
          data.setData('text/plain', text);
          field.focus();
          field.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true,
            cancelable: true}));
        }""",
            text,
        )
        easel.wait_for_number("txt2img_width", width)
        easel.wait_for_number("txt2img_height", 384)


def test_scripts_of_others_have_a_stable_surface(easel: Driver) -> None:
    found = easel.page.evaluate(
        """() => {
      const prompt = window.easel.v1.prompt('txt2img');
      const seen = [];
      const stop = prompt.onChange((text) => seen.push(text));
      prompt.set('a cat');
      prompt.insert(', red');
      stop();
      prompt.set('later');
      return [prompt.get(), seen[seen.length - 1], window.easel.v1.settings.get('keyedit_move'),
        window.easel.v1.settings.get('nosuch', 3)];
    }"""
    )
    assert found == ["later", "a cat, red", True, 3]
