"""Styles: writing the chosen ones into the prompts, and the dialog that edits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import WebUIError
from webui.prompt.styles import Style, apply_styles
from webui.ui.events import QUIET, nothing
from webui.ui.locale import label, tag
from webui.ui.widgets.buttons import tool_button

if TYPE_CHECKING:
    from webui.services import Services
    from webui.ui.tabs.generation import GenerationTab


@dataclass(frozen=True)
class StylesDialog:
    """The dialog's components."""

    box: Any
    name: Any
    prompt: Any
    negative: Any
    copy: Any
    save: Any
    delete: Any
    close: Any


def draw_dialog(tab: str) -> StylesDialog:
    """Draw the dialog of a tab, closed."""
    classes = ["easel-dialog"]
    with (
        gr.Column(visible=False, elem_id=f"{tab}_styles_dialog", elem_classes=classes) as box,
        gr.Column(elem_classes=["easel-dialog-body"]),
    ):
        with gr.Row(elem_classes=["easel-dialog-head"]):
            gr.HTML(tag("h2", "styles.title"), padding=False)
            close = tool_button("close", "close", f"{tab}_styles_close")
        name = gr.Dropdown(
            choices=[],
            allow_custom_value=True,
            label=label("styles.name"),
            info=label("styles.name.info"),
            elem_id=f"{tab}_styles_edit_select",
            interactive=True,
        )
        prompt, negative = (
            _template(f"{tab}_edit_style_{part}", f"styles.{part}") for part in PARTS
        )
        with gr.Row(elem_classes=["easel-dialog-actions"]):
            save = gr.Button(label("styles.save"), variant="primary", elem_id=f"{tab}_styles_save")
            copy = gr.Button(label("styles.copy"), elem_id=f"{tab}_styles_copy")
            delete = gr.Button(label("styles.delete"), elem_id=f"{tab}_styles_delete")
    return StylesDialog(box, name, prompt, negative, copy, save, delete, close)


PARTS = ("prompt", "neg_prompt")


def _template(elem_id: str, key: str) -> Any:  # noqa: ANN401 - a gr.Textbox
    return gr.Textbox(lines=3, max_lines=8, label=label(key), elem_id=elem_id, interactive=True)


class StyleEvents:
    """What the dialog and the 'write into the prompts' button of a tab do."""

    def __init__(self, services: Services, tab: GenerationTab, dialog: StylesDialog) -> None:
        self.services, self.tab, self.dialog = services, tab, dialog
        self.toasts = tab.wires.toasts

    def wire(self, dropdowns: Sequence[Any]) -> Any:  # noqa: ANN401 - Gradio's event
        """Connect the events; returns the one that writes into the prompts.

        Args:
            dropdowns: the styles dropdowns of all tabs; their choices follow every change.
        """
        dialog, controls = self.dialog, self.tab.form.controls
        prompts = [controls["prompt"], controls["negative_prompt"]]
        fields = [dialog.name, dialog.prompt, dialog.negative]
        offered = [dialog.name, *dropdowns]
        self.tab.prompts.edit_styles.click(
            self.open, controls["styles"], [dialog.box, *fields], **QUIET
        )
        dialog.close.click(lambda: gr.update(visible=False), outputs=dialog.box, **QUIET)
        dialog.name.input(self.pick, dialog.name, fields[1:], **QUIET)
        dialog.copy.click(lambda *texts: texts, prompts, fields[1:], **QUIET)
        said = [*offered, self.toasts.field]
        dialog.save.click(self.saver(offered), fields, said, **QUIET)
        dialog.delete.click(self.deleter(offered), dialog.name, said, **QUIET)
        chosen = [*prompts, controls["styles"]]
        return self.tab.prompts.apply_styles.click(self.write, chosen, chosen, **QUIET)

    def open(self, chosen: list[str]) -> tuple[Any, ...]:
        """Show the dialog with the first chosen style."""
        name = chosen[0] if chosen else None
        names = gr.update(choices=self.services.styles.names(), value=name)
        return gr.update(visible=True), names, *self.pick(name)

    def pick(self, name: str | None) -> tuple[str, str]:
        """The templates of a style; empty for a new name."""
        found = self._chosen([name] if name else [])
        return (found[0].prompt, found[0].negative_prompt) if found else ("", "")

    def write(self, prompt: str, negative: str, chosen: list[str]) -> tuple[str, str, list[str]]:
        """The prompts with the chosen styles in them, and no style chosen any more."""
        return *apply_styles(prompt, negative, self._chosen(chosen)), []

    def saver(self, offered: Sequence[Any]) -> Any:  # noqa: ANN401 - a handler
        """The handler that stores the style; every dropdown offers it."""

        def save(name: str | None, prompt: str, negative: str, request: gr.Request) -> Any:  # noqa: ANN401
            try:
                self.services.styles.save(name or "", prompt, negative)
            except WebUIError as error:
                return self.toasts.error(error, request)
            return self._choices(offered) | self.toasts.done("styles.saved", request, name=name)

        return save

    def deleter(self, offered: Sequence[Any]) -> Any:  # noqa: ANN401 - a handler
        """The handler that deletes the style; its text stays in the fields until they change."""

        def delete(name: str | None, request: gr.Request) -> Any:  # noqa: ANN401
            if name not in self.services.styles.names():
                return nothing()
            try:
                self.services.styles.delete(name)
            except WebUIError as error:
                return self.toasts.error(error, request)
            return self._choices(offered) | self.toasts.done("styles.deleted", request, name=name)

        return delete

    def _chosen(self, names: Sequence[str]) -> list[Style]:
        found = (self.services.styles.get(name) for name in names)
        return [style for style in found if style is not None]

    def _choices(self, offered: Sequence[Any]) -> dict[Any, Any]:
        names = self.services.styles.names()
        return {dropdown: gr.update(choices=names) for dropdown in offered}
