"""Puts the page together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui import __version__
from webui.ui import header
from webui.ui.forms.form import element_id
from webui.ui.forms.generation import TABS, Tab, control_names
from webui.ui.icons import mask_css
from webui.ui.loading import PageEvents
from webui.ui.locale import ASSETS, LANGUAGES, label, translations
from webui.ui.messages import Toasts
from webui.ui.picture_drafts import wire_pictures
from webui.ui.tabs import img2img, inpaint, png_info, settings, txt2img
from webui.ui.tabs.generation import GenerationTab, wire
from webui.ui.tabs.settings import SettingsEvents
from webui.ui.tabs.tools import wire_copies, wire_tools
from webui.ui.theme import make_theme
from webui.ui.widgets.hidden import Wires, hidden
from webui.ui.widgets.styles import draw_dialog

if TYPE_CHECKING:
    from webui.services import Services

STYLESHEETS = ("colors", "layout", "controls", "results", "settings")
DRAWERS = {"txt2img": txt2img.draw, "img2img": img2img.draw, "inpaint": inpaint.draw}


@dataclass(frozen=True)
class Page:
    """The page, and what `gr.mount_gradio_app` needs besides it.

    Attributes:
        head: HTML for the head; refers to `./internal/assets/`, which must serve `ASSETS`.
    """

    blocks: Any
    theme: Any
    css: str
    head: str
    i18n: Any

    def mount_arguments(self) -> dict[str, Any]:
        """Keyword arguments for `gr.mount_gradio_app`; nothing of Gradio's own is shown or kept."""
        return {
            "theme": self.theme,
            "css": self.css,
            "head": self.head,
            "i18n": self.i18n,
            "footer_links": [],
            "run_history": False,
            "enable_monitoring": False,
            "show_error": True,
            "ssr_mode": False,
            "pwa": False,
        }


def build(services: Services) -> Page:
    """Build the page."""
    with gr.Blocks(title="Easel", analytics_enabled=False, fill_width=True) as blocks:
        top = header.draw(services)
        browser, command = hidden("easel_settings"), hidden("settings_command")
        toasts = Toasts.draw()
        wires = {tab: Wires.draw(tab, toasts) for tab in TABS}
        dialogs = {tab: draw_dialog(tab) for tab in TABS}
        tabs: dict[Tab, GenerationTab] = {}
        tab_row = {"overflow_behavior": "wrap", "elem_classes": ["easel-tabs"]}
        with gr.Tabs(elem_id="tabs", selected="txt2img", **tab_row):
            for name in TABS:
                with gr.Tab(label(f"tab.{name}"), id=name, elem_id=f"tab_{name}"):
                    tabs[name] = DRAWERS[name](services, wires[name])
            with gr.Tab(label("tab.pnginfo"), id="pnginfo", elem_id="tab_pnginfo"):
                info = png_info.draw()
            with gr.Tab(label("tab.settings"), id="settings", elem_id="tab_settings") as opened:
                options = settings.draw(services, browser, command, toasts)
        dropdowns = [tab.form.controls["styles"] for tab in tabs.values()]
        for name, tab in tabs.items():
            wire(services, tab)
            wire_tools(services, tab, dialogs[name], dropdowns)
            wire_pictures(services, tab, blocks)
        wire_copies(services, tabs)
        png_info.wire(services, info, tabs)
        SettingsEvents(services, options).wire(opened)
        PageEvents(services, top, tabs, browser, toasts).wire(blocks)
    return Page(blocks, make_theme(), stylesheet(), head(services, tabs), translations())


def stylesheet() -> str:
    """All our CSS."""
    files = (ASSETS / f"{name}.css" for name in STYLESHEETS)
    return "\n".join([mask_css(), *(file.read_text(encoding="utf-8") for file in files)])


def head(services: Services, tabs: Mapping[Tab, GenerationTab]) -> str:
    """What the page's head holds: facts for the JavaScript, then the JavaScript."""
    current = services.settings.current
    facts = {
        "version": __version__,
        "language": current.localization,
        "theme": services.flags.theme or current.theme,
        "locales": {code: _browser_words(code) for code in LANGUAGES},
        "fields": {tab: {n: element_id(tab, n) for n in control_names(tab)} for tab in tabs},
    }
    written = json.dumps(facts, ensure_ascii=False).replace("</", "<\\/")
    return (
        '<link rel="stylesheet" href="./internal/assets/page.css">'
        f"<script>window.EASEL = {written};</script>"
        '<script src="./internal/assets/boot.js"></script>'
        '<script type="module" src="./internal/assets/easel.js"></script>'
        '<script type="module" src="./internal/assets/aspect.js"></script>'
    )


def _browser_words(language: str) -> dict[str, str]:
    file: Path = ASSETS / "locales" / f"browser.{language}.json"
    words: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return words
