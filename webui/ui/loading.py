"""What happens when the page is opened, and when another checkpoint is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import WebUIError
from webui.ui.drafts import recall
from webui.ui.events import BROWSER, QUIET
from webui.ui.forms.generation import Tab, Values
from webui.ui.header import Header, badge_html, checkpoint_choices
from webui.ui.messages import Toasts, owner_of
from webui.ui.tabs.generation import GenerationTab, after
from webui.ui.tabs.settings import for_browser

if TYPE_CHECKING:
    from webui.services import Services

CHECKPOINT_LISTS = ("hires.checkpoint", "refiner.checkpoint")


class PageEvents:
    """Loading the page and choosing a checkpoint: events that concern all tabs."""

    def __init__(
        self,
        services: Services,
        header: Header,
        tabs: Mapping[Tab, GenerationTab],
        browser: Any,  # noqa: ANN401 - a gr.Textbox
        toasts: Toasts,
    ) -> None:
        self.services, self.header, self.tabs = services, header, tabs
        self.browser, self.toasts = browser, toasts

    def wire(self, blocks: Any) -> None:  # noqa: ANN401 - a gr.Blocks
        """Connect the events."""
        controls = [control for tab in self.tabs.values() for control in tab.controls]
        header = self.header
        loaded = blocks.load(
            self.load,
            outputs=[*controls, header.checkpoint, header.badge, self.browser],
            **QUIET,
        )
        loaded.then(
            inputs=self.browser,
            js="(text) => window.EASEL.apply(JSON.parse(text))",
            **BROWSER,
        )
        sides = [
            tab.form.controls[side] for tab in self.tabs.values() for side in ("width", "height")
        ]
        chosen = header.checkpoint.input(
            self.choose,
            inputs={header.checkpoint, *sides},
            outputs=[header.checkpoint, header.badge, self.toasts.field, *sides],
            **QUIET,
        )
        for tab in self.tabs.values():
            after(self.services, tab, chosen)
        lists = [
            tab.form.controls[name]
            for tab in self.tabs.values()
            for name in CHECKPOINT_LISTS
            if name in tab.form.controls
        ]
        header.refresh.click(
            self.refresh, outputs=[header.checkpoint, header.badge, *lists], **QUIET
        )

    def load(self, request: gr.Request) -> dict[Any, Any]:
        """Everything as it was left: drafts, checkpoint, settings."""
        updates: dict[Any, Any] = {}
        width, height = self.services.model_status().native
        for name, tab in self.tabs.items():
            values = {
                "width": width,
                "height": height,
                **recall(self.services, owner_of(request), name),
            }
            updates |= tab.form.updates(values)
            styles = tab.form.controls["styles"]
            names = self.services.styles.names()
            updates[styles] = gr.update(choices=names, value=values.get("styles", []))
        updates |= self._header()
        updates[self.browser] = for_browser(self.services.settings.current)
        return updates

    def refresh(self) -> dict[Any, Any]:
        """Look for new model files."""
        self.services.refresh_models()
        titles = [choice.title for choice in self.services.checkpoints()]
        updates = self._header()
        for tab in self.tabs.values():
            for name in CHECKPOINT_LISTS:
                control = tab.form.controls.get(name)
                if control is not None:
                    none = control.choices[0]
                    updates[control] = gr.update(choices=[none, *titles])
        return updates

    def choose(self, given: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        """Change to another checkpoint; sizes follow where they were left at the default."""
        title = given[self.header.checkpoint]
        before = self.services.model_status().native
        try:
            self.services.select_checkpoint(title)
        except WebUIError as error:
            return self._header() | self.toasts.error(error, request)
        native = self._native(title)
        updates: dict[Any, Any] = {self.header.badge: badge_html(self.services, title)}
        if native is None:
            return updates
        for tab in self.tabs.values():
            values: Values = tab.form.values(given)
            if (values["width"], values["height"]) == before:
                updates |= tab.form.updates({"width": native[0], "height": native[1]})
        return updates

    def _native(self, title: str) -> tuple[int, int] | None:
        for choice in self.services.checkpoints():
            if choice.title == title:
                return choice.width, choice.height
        return None

    def _header(self) -> dict[Any, Any]:
        current = self.services.settings.current.sd_model_checkpoint
        title = self.services.model_status().title or current
        choices = gr.update(choices=checkpoint_choices(self.services), value=title or None)
        return {
            self.header.checkpoint: choices,
            self.header.badge: badge_html(self.services, title),
        }
