"""Every word of the page comes from the locale files, and every language has every word."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from webui.flags import Flags
from webui.paths import make_paths
from webui.request import (
    GenerationRequest,
    Hires,
    Init,
    Inpaint,
    Refiner,
    SoftInpainting,
)
from webui.services import build
from webui.settings import Settings, sections
from webui.ui import app
from webui.ui.forms.generation import TABS, control_names, leaves
from webui.ui.locale import ASSETS, LANGUAGES, words
from webui.ui.widgets.columns import EXAMPLES

SOURCES = Path(app.__file__).parent
MARKER = re.compile(r"__i18n__\{[^}]*\}")
TECHNICAL = {
    "png", "jpg", "webp", "avif", "GPU", "CPU", "NV", "bh1", "bh2", "vary_coeff", "time_uniform",
    "time_quadratic", "logSNR",
}  # fmt: skip
"""Choices of settings that are called the same in every language."""
NAMES = {"Easel", "SD 1", "0/75", *(prompt for each in EXAMPLES.values() for prompt in each)}
"""Texts that are no words of ours: names, numbers, prompts (models read English)."""
CODE_PREFIXES = ("field.", "choice.", "setting.", "settings.", "mode.", "tab.", "empty.", "styles.")
"""Keys below these are put together in the code, from names that other tests hold complete."""


def browser_words(language: str) -> dict[str, str]:
    file = ASSETS / "locales" / f"browser.{language}.json"
    loaded: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def all_words(language: str) -> dict[str, str]:
    return {**words(language), **browser_words(language)}


def test_every_language_has_every_key() -> None:
    expected = set(all_words("en"))
    assert {code: set(all_words(code)) ^ expected for code in LANGUAGES} == {
        code: set() for code in LANGUAGES
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_or_padded(language: str) -> None:
    bad = [key for key, text in all_words(language).items() if not text or text != text.strip()]
    assert bad == []


def test_placeholders_are_the_same_in_every_language() -> None:
    def holes(text: str) -> list[str]:
        return sorted(re.findall(r"\{(\w+)\}", text))

    korean = all_words("ko")
    wrong = [key for key, text in all_words("en").items() if holes(text) != holes(korean[key])]
    assert wrong == []


def test_korean_sentences_are_korean() -> None:
    """A sentence (it has a full stop in English) that has no Hangul was forgotten."""
    korean = all_words("ko")
    forgotten = [
        key
        for key, text in all_words("en").items()
        if text.endswith(".") and not re.search(r"[가-힣]", korean[key])
    ]
    assert forgotten == []


def test_every_setting_has_label_and_explanation() -> None:
    missing = [
        key
        for name in Settings.model_fields
        for key in (f"setting.{name}", f"setting.{name}.info")
        if key not in words("en")
    ]
    missing += [f"settings.{name}" for name in sections() if f"settings.{name}" not in words("en")]
    assert missing == []


def test_every_choice_of_a_setting_is_labelled_or_technical() -> None:
    properties = Settings.model_json_schema()["properties"]
    missing = [
        f"setting.{key}.{choice}"
        for key, shape in properties.items()
        for choice in shape.get("enum", ())
        if choice not in TECHNICAL and f"setting.{key}.{choice}" not in words("en")
    ]
    assert missing == []


def test_every_field_of_a_request_has_a_label() -> None:
    request = GenerationRequest(
        hires=Hires(),
        refiner=Refiner(checkpoint="x"),
        init=Init(images=(), inpaint=Inpaint(mask="x", soft=SoftInpainting())),
    )
    paths = {path for path, _ in leaves(request)} | {"overrides", "units"}
    paths |= {name for tab in TABS for name in control_names(tab)}
    assert sorted(path for path in paths if f"field.{path}" not in words("en")) == []


def test_every_key_is_used() -> None:
    files = [*SOURCES.rglob("*.py"), *ASSETS.glob("*.js")]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    unused = [
        key
        for key in all_words("en")
        if not key.startswith(CODE_PREFIXES)
        and f'"{key}"' not in code
        and f"'{key}'" not in code
        and f'"{key.rpartition(".")[0]}.' not in code
        and f"`{key.rpartition('.')[0]}." not in code
    ]
    assert unused == []


class LooseText(HTMLParser):
    """Collects text that stands in no element with `data-t`."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[bool] = []
        self.found: list[str] = []
        self.keys: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.keys += [
            v for k, v in named.items() if k.startswith("data-t") and k != "data-tab" and v
        ]
        if tag not in ("path", "br", "img", "input"):
            self.open.append("data-t" in named)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "br", "img", "input"):
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(self.open):
            self.found.append(data.strip())


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """Everything that is drawn on the page."""
    services = build(Flags(), make_paths(tmp_path_factory.mktemp("labels")))

    async def drawing() -> app.Page:
        return app.build(services)

    yield list(asyncio.run(drawing()).blocks.blocks.values())
    services.queue.close()
    services._index.close()


def literal(text: object) -> bool:
    """Whether a text says something of its own, besides names and numbers."""
    rest = MARKER.sub("", str(text)).strip(" ·:×→")
    return bool(rest.strip("0123456789/:× ")) and rest not in NAMES


def test_no_component_has_words_of_its_own(blocks: list[Any]) -> None:
    found = []
    for block in blocks:
        kind = type(block).__name__
        names = ["label", "info", "placeholder"]
        if kind == "Button":
            names.append("value")
        if getattr(block, "visible", True) == "hidden":
            continue
        for name in names:
            text = getattr(block, name, None)
            own_default = name == "label" and kind in ("HTML", "Row", "Column")
            if text and not own_default and literal(text):
                found.append(f"{kind} #{block.elem_id} {name}: {text}")
    assert found == []


def test_no_html_has_words_of_its_own(blocks: list[Any]) -> None:
    found, keys = [], []
    for block in blocks:
        if type(block).__name__ == "HTML":
            parser = LooseText()
            parser.feed(MARKER.sub("", str(block.value)))
            found += [text for text in parser.found if literal(text)]
            keys += parser.keys
    assert found == []
    assert [key for key in keys if key not in words("en")] == []
    assert "empty.txt2img" in keys


def test_every_choice_that_is_ours_is_labelled(blocks: list[Any]) -> None:
    """Radio buttons and check boxes; dropdowns hold names of samplers, models, styles."""
    found = [
        f"#{block.elem_id}: {text}"
        for block in blocks
        if type(block).__name__ in ("Radio", "CheckboxGroup")
        for text, _ in block.choices
        if literal(text)
    ]
    assert found == []
