"""Fields that carry something between the browser's JavaScript and Python (assets/README.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.ui.forms.generation import Tab

if TYPE_CHECKING:
    from webui.ui.messages import Toasts


def hidden(elem_id: str, value: str = "") -> Any:  # noqa: ANN401 - a gr.Textbox
    """A text field that is in the document but takes no room and is not read out."""
    return gr.Textbox(value=value, visible="hidden", elem_id=elem_id, interactive=True)


@dataclass(frozen=True)
class Wires:
    """A tab's hidden fields, and where it says what is to be said.

    Attributes:
        job: ids of the jobs that the last click on Generate made, a JSON list.
        problem: why it made none, a JSON object with field and text; '' if it did.
        command: what the browser's JavaScript asks for, a JSON object.
    """

    job: Any
    problem: Any
    command: Any
    toasts: Toasts

    @classmethod
    def draw(cls, tab: Tab, toasts: Toasts) -> Wires:
        """Draw them; outside the tabs, since the browser builds a tab only when it is opened."""
        job, problem, command = (hidden(f"{tab}_{n}") for n in ("job", "problem", "command"))
        return cls(job, problem, command, toasts)
