"""The page's first line: name, checkpoint, queue, language, theme, shortcuts."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.ui.icons import svg
from webui.ui.locale import label, span, words
from webui.ui.widgets.buttons import tool_button

if TYPE_CHECKING:
    from webui.services import Services

FAMILY_NAMES = {"sd1": "SD 1", "sd2": "SD 2", "sdxl": "SDXL"}


@dataclass(frozen=True)
class Header:
    """The header's components.

    Attributes:
        badge: HTML with family and native size of the chosen checkpoint.
    """

    checkpoint: Any
    refresh: Any
    badge: Any


def draw(services: Services) -> Header:
    """Draw the header."""
    with gr.Row(elem_id="easel_header", elem_classes=["easel-header"]):
        gr.HTML('<h1 class="easel-name">Easel</h1>', elem_id="easel_name", padding=False)
        with gr.Row(elem_id="quicksettings", elem_classes=["easel-quick"]):
            checkpoint = gr.Dropdown(
                choices=checkpoint_choices(services),
                value=services.model_status().title or None,
                label=label("header.checkpoint"),
                show_label=True,
                container=True,
                allow_custom_value=True,
                elem_id="setting_sd_model_checkpoint",
                interactive=True,
                min_width=160,
            )
            refresh = tool_button("refresh", "header.refresh", "refresh_sd_model_checkpoint")
        badge = gr.HTML(badge_html(services), elem_id="easel_model_badge", padding=False)
        gr.HTML(
            '<span id="easel_model_status" role="status"></span>',
            elem_id="easel_model_status_box",
            padding=False,
        )
        gr.HTML(_tools(), elem_id="easel_header_tools", padding=False)
    return Header(checkpoint, refresh, badge)


def checkpoint_choices(services: Services) -> list[tuple[str, str]]:
    """(text, title) of every checkpoint."""
    return [(choice.title, choice.title) for choice in services.checkpoints()]


def badge_html(services: Services, title: str | None = None) -> str:
    """Family and native size of a checkpoint.

    Args:
        title: None: the one that is loaded (or being loaded).
    """
    wanted = title or services.model_status().title
    for choice in services.checkpoints():
        if wanted in (choice.title, choice.name):
            family = html.escape(FAMILY_NAMES.get(choice.family, choice.family))
            bundled = str(choice.is_bundled).lower()
            return (
                f'<span class="easel-badge" data-bundled="{bundled}">{family}</span>'
                f'<span class="easel-native">{choice.width} × {choice.height}</span>'
            )
    return ""


def _tools() -> str:
    buttons = "".join(
        _button(f"easel_{name}", icon, f"header.{name}")
        for name, icon in (
            ("language", "language"),
            ("theme", "theme"),
            ("shortcuts", "keyboard"),
        )
    )
    menu = _button("easel_menu", "menu", "header.menu", ' aria-expanded="false"')
    queue = '<span id="easel_queue" role="status"><span class="easel-queue"></span></span>'
    return (
        f'<div class="easel-header-tools">{queue}{menu}'
        f'<div class="easel-header-buttons">{buttons}</div></div>'
    )


def _button(elem_id: str, icon: str, key: str, more: str = "") -> str:
    text = html.escape(words("en")[key])
    return (
        f'<button type="button" id="{elem_id}" class="easel-plain" data-t-title="{key}" '
        f'title="{text}"{more}>{svg(icon)}{span(key, **{"class": "easel-button-word"})}</button>'
    )
