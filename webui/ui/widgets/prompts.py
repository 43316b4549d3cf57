"""The prompt boxes with their token counters, and the row with the Generate button."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import WebUIError
from webui.ui.forms.controls import Controls, Drawer
from webui.ui.locale import label
from webui.ui.widgets.buttons import tool_button

if TYPE_CHECKING:
    from webui.services import Services


@dataclass(frozen=True)
class Prompts:
    """The prompt area of a tab.

    Attributes:
        counters: of the tokens: positive, negative.
    """

    controls: Controls
    counters: tuple[Any, Any]
    generate: Any
    apply_styles: Any
    edit_styles: Any
    paste: Any
    clear: Any


def draw_prompts(draw: Drawer) -> Prompts:
    """Draw both prompts and the row below them."""
    tab = draw.tab
    with gr.Column(elem_id=f"{tab}_toprow", elem_classes=["easel-prompts"]):
        with gr.Group(elem_id=f"{tab}_prompt_row", elem_classes=["easel-prompt"]):
            controls = draw.text("prompt", 3)
            positive = gr.HTML(_counter(0, 75), elem_id=f"{tab}_token_counter", padding=False)
        with gr.Group(elem_id=f"{tab}_neg_prompt_row", elem_classes=["easel-prompt"]):
            controls |= draw.text("negative_prompt", 2)
            negative = gr.HTML(
                _counter(0, 75), elem_id=f"{tab}_negative_token_counter", padding=False
            )
    with gr.Row(elem_id=f"{tab}_actions", elem_classes=["easel-actions"]):
        with gr.Row(elem_id=f"{tab}_generate_box", elem_classes=["easel-generate-box"]):
            generate = gr.Button(
                label("generate"),
                variant="primary",
                elem_id=f"{tab}_generate",
                elem_classes=["easel-generate"],
            )
            _stop_buttons(tab)
        shared = {"multiselect": True, "min_width": 120, "allow_custom_value": True}
        with gr.Row(elem_id=f"{tab}_tools", elem_classes=["easel-tools"]):
            controls |= draw.dropdown("styles", draw.services.styles.names(), **shared)
            apply_styles = tool_button("apply", "styles.apply", f"{tab}_style_apply")
            edit_styles = tool_button("edit", "styles.edit", f"{tab}_styles_edit_button")
            paste = tool_button("paste", "prompt.paste", f"{tab}_paste")
            clear = tool_button("clear", "prompt.clear", f"{tab}_clear_prompt")
    return Prompts(
        controls, (positive, negative), generate, apply_styles, edit_styles, paste, clear
    )


def _stop_buttons(tab: str) -> None:
    for name in ("interrupt", "skip"):
        gr.Button(label(name), elem_id=f"{tab}_{name}", elem_classes=[f"easel-{name}"])


def _counter(used: int, limit: int) -> str:
    return (
        f'<span class="easel-tokens" data-used="{used}" data-limit="{limit}">{used}/{limit}</span>'
    )


def count_tokens(services: Services, values: Mapping[str, Any]) -> tuple[str, str]:
    """HTML of both counters; empty where counting is switched off or the prompt is too long."""
    if services.settings.current.disable_token_counters:
        return "", ""
    styles, steps = values.get("styles") or [], int(values.get("steps") or 1)
    counters = []
    for name in ("prompt", "negative_prompt"):
        text, negative = values.get(name) or "", name == "negative_prompt"
        try:
            count = services.count_tokens(text, styles, steps, negative)
        except WebUIError:
            counters.append("")
            continue
        counters.append(_counter(count.used, count.limit))
    return counters[0], counters[1]
