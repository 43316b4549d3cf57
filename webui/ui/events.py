"""How Gradio's events of this page are set up: no progress veil, no public API."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import gradio as gr

BROWSER: Mapping[str, Any] = MappingProxyType({"fn": None, "api_visibility": "private"})
"""Runs in the browser alone."""

QUIET: Mapping[str, Any] = MappingProxyType(
    {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
)
"""Answers at once and shows nothing by itself."""


def edited(control: Any) -> Any:  # noqa: ANN401 - a Gradio trigger
    """The event that says that the user edited a control.

    Gradio's text field tells of its `input` at key presses alone: not when text is pasted, deleted
    or composed (Korean); its `change` tells of all of these, and of Python's own updates.
    """
    return control.change if isinstance(control, gr.Textbox) else control.input


def nothing() -> dict[Any, Any]:
    """What a handler with several outputs returns to change none of them; {} would be refused."""
    skipped: dict[Any, Any] = gr.skip()
    return skipped
