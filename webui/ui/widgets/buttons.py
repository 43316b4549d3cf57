"""Buttons with own icons."""

from __future__ import annotations

from typing import Any

import gradio as gr

from webui.ui.locale import label


def tool_button(icon: str, key: str, elem_id: str) -> Any:  # noqa: ANN401 - a gr.Button
    """A square button that shows an icon; its words serve as tooltip and for screen readers."""
    classes = ["easel-tool", f"easel-icon-{icon}"]
    return gr.Button(label(key), elem_id=elem_id, elem_classes=classes, size="sm", scale=0)
