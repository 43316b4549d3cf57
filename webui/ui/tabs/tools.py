"""The buttons around a generation tab's controls: paste, clear, styles, sizes, copying pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import WebUIError
from webui.ui.commands import answer, fill
from webui.ui.drafts import remember_pictures
from webui.ui.events import BROWSER, QUIET, edited
from webui.ui.forms.generation import Tab
from webui.ui.forms.pictures import MissingPicture, Source, put_image
from webui.ui.messages import owner_of
from webui.ui.pasting import paste
from webui.ui.tabs.generation import GenerationTab, after
from webui.ui.widgets.init import wire_resize
from webui.ui.widgets.size import preset
from webui.ui.widgets.sources import TAB_OF, Picture, picture_of
from webui.ui.widgets.styles import StyleEvents, StylesDialog

if TYPE_CHECKING:
    from webui.services import Services

CLEAR = (
    "(prompt, negative) => window.easel.v1.confirm(window.EASEL.t('prompt.clear.question')) "
    "? ['', ''] : [prompt, negative]"
)


def wire_tools(
    services: Services, tab: GenerationTab, dialog: StylesDialog, dropdowns: list[Any]
) -> None:
    """Connect one tab's tools; `dropdowns`: the styles dropdowns of all tabs."""
    remembered = partial(after, services, tab)
    controls = tab.form.controls
    sides = [controls["width"], controls["height"]]
    remembered(tab.size.swap.click(js="(w, h) => [h, w]", inputs=sides, outputs=sides, **BROWSER))
    for ratio, button in tab.size.presets.items():
        chosen = preset(tab.form.native, ratio)
        remembered(button.click(chosen, outputs=sides, **QUIET))
    remembered(StyleEvents(services, tab, dialog).wire(dropdowns))
    _wire_clear(tab, remembered)
    _wire_paste(services, tab)
    if tab.pictures.sources is not None and tab.pictures.resize is not None:
        measured = wire_resize(
            tab.pictures.sources, controls, tab.pictures.resize, tab.wires.toasts
        )
        remembered(measured)


def _wire_clear(tab: GenerationTab, remembered: Callable[[Any], None]) -> None:
    controls = tab.form.controls
    prompts = [controls["prompt"], controls["negative_prompt"]]
    clear = tab.prompts.clear.click(
        js=CLEAR,
        inputs=prompts,
        outputs=prompts,
        **BROWSER,
    )
    remembered(clear)


def _wire_paste(services: Services, tab: GenerationTab) -> None:
    controls, wires = tab.controls, tab.wires

    def pasted(given: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        values = tab.form.values(given)
        try:
            filled = paste(services, values.get("prompt") or "", tab.form.tab, values)
        except WebUIError as error:
            return wires.toasts.error(error, request)
        notes = wires.toasts.notes(filled.problems)
        return fill(services, tab, filled.values, request) | notes

    outputs, sources = [*controls, wires.toasts.field], tab.pictures.sources
    after(services, tab, tab.prompts.paste.click(pasted, set(controls), list(outputs), **QUIET))
    if sources is not None:
        outputs += [sources.pictures[sources.first].component, sources.tabs, sources.mode]
    command = edited(wires.command)(
        answer(services, tab), {wires.command, *controls}, outputs, **QUIET
    )
    after(services, tab, command)


def wire_copies(services: Services, tabs: Mapping[Tab, GenerationTab]) -> None:
    """Connect the buttons that copy a picture from one field to another."""
    found = {
        name: (tab, picture)
        for tab in tabs.values()
        if tab.pictures.sources is not None
        for name, picture in tab.pictures.sources.pictures.items()
    }
    for _, picture in found.values():
        for target, button in picture.copies.items():
            tab, receiver = found[target]
            sources = tab.pictures.sources
            assert sources is not None
            button.click(
                _copier(services, picture, target, tab),
                picture.component,
                [receiver.component, sources.tabs, sources.mode, tab.wires.toasts.field],
                **QUIET,
            ).then(
                js=f"() => window.easel.v1.show('{TAB_OF[target]}')",
                **BROWSER,
            )


def _copier(services: Services, picture: Picture, target: Source, tab: GenerationTab) -> Any:  # noqa: ANN401
    sources = tab.pictures.sources
    assert sources is not None
    receiver = sources.pictures[target]

    def copy(value: Any, request: gr.Request) -> dict[Any, Any]:  # noqa: ANN401
        try:
            image = picture_of(picture.kind, value)
            if image is None:
                raise MissingPicture("init.images", "error.picture")
            copied: dict[str, str | None] = {target: put_image(services, image)}
        except WebUIError as error:
            return tab.wires.toasts.error(error, request)
        remember_pictures(services, owner_of(request), sources.tab, copied)
        shown = {receiver.component: receiver.shown(image)}
        return shown | {sources.tabs: gr.update(selected=target), sources.mode: target}

    return copy
