"""The tab PNG Info: what a picture file says about how it was made."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import WebUIError
from webui.image_files.infotext import split_infotext
from webui.ui.commands import fill
from webui.ui.drafts import remember_pictures
from webui.ui.events import BROWSER, QUIET, nothing
from webui.ui.forms.generation import TABS, Tab
from webui.ui.forms.pictures import MissingPicture
from webui.ui.locale import label, span, tag
from webui.ui.messages import owner_of
from webui.ui.pasting import paste
from webui.ui.widgets.hidden import hidden
from webui.ui.widgets.sources import upload

if TYPE_CHECKING:
    from webui.image_files.metadata import Metadata
    from webui.services import Services
    from webui.ui.tabs.generation import GenerationTab


@dataclass(frozen=True)
class PngInfo:
    """The tab's components.

    Attributes:
        infotext: hidden; what the picture says.
    """

    image: Any
    table: Any
    infotext: Any
    send: Mapping[Tab, Any]


def draw() -> PngInfo:
    """Draw the tab."""
    with gr.Row(elem_id="pnginfo_columns", elem_classes=["easel-columns", "easel-pnginfo"]):
        with gr.Column(elem_classes=["easel-form"], min_width=0):
            image = upload("pnginfo_image", "picture")
            infotext = hidden("pnginfo_generation_info")
            with gr.Row(elem_classes=["easel-chips"]):
                gr.HTML(label("send.to"), elem_classes=["easel-copy-label"], padding=False)
                send = {
                    tab: gr.Button(
                        label(f"tab.{tab}"),
                        size="sm",
                        min_width=0,
                        elem_id=f"pnginfo_send_to_{tab}",
                        elem_classes=["easel-chip"],
                    )
                    for tab in TABS
                }
        with gr.Column(elem_classes=["easel-info-column"], min_width=0):
            table = gr.HTML(_empty("pnginfo.empty"), elem_id="pnginfo_html_info", padding=False)
    return PngInfo(image, table, infotext, send)


def wire(services: Services, info: PngInfo, tabs: Mapping[Tab, GenerationTab]) -> None:
    """Connect the tab's events."""

    def read(path: str | None, request: gr.Request) -> dict[Any, Any]:
        empty = {info.table: _empty("pnginfo.empty"), info.infotext: ""}
        if not path:
            return empty
        try:
            found = services.picture_info(Path(path).read_bytes())
        except WebUIError as error:
            return empty | toasts.error(error, request)
        return {info.table: table_html(found), info.infotext: found.infotext or ""}

    toasts = tabs["txt2img"].wires.toasts
    info.image.change(read, info.image, [info.table, info.infotext, toasts.field], **QUIET)
    for name, tab in tabs.items():
        _wire_send(services, info, name, tab)


def _wire_send(services: Services, info: PngInfo, name: Tab, tab: GenerationTab) -> None:
    sources, toasts = tab.pictures.sources, tab.wires.toasts

    def send(given: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        updates: dict[Any, Any] = {}
        path, infotext = given[info.image], given[info.infotext]
        try:
            if not path:
                raise MissingPicture("init.images", "error.picture")
            if infotext:
                filled = paste(services, infotext, name, tab.form.values(given))
                updates |= fill(services, tab, filled.values, request)
                updates |= toasts.notes(filled.problems)
            if sources is not None:
                picture = services.pictures.put(Path(path).read_bytes())
                target = sources.pictures[sources.first]
                received: dict[str, str | None] = {sources.first: picture}
                remember_pictures(services, owner_of(request), name, received)
                updates[target.component] = target.shown(services.pictures.open(picture))
                updates |= {sources.tabs: gr.update(selected=sources.first)}
                updates[sources.mode] = sources.first
        except WebUIError as error:
            return toasts.error(error, request)
        return updates or nothing()

    outputs = [*tab.controls, toasts.field]
    if sources is not None:
        outputs += [sources.pictures[sources.first].component, sources.tabs, sources.mode]
    info.send[name].click(send, {info.image, info.infotext, *tab.controls}, outputs, **QUIET).then(
        js=f"() => window.easel.v1.show('{name}')", **BROWSER
    )


def _empty(key: str) -> str:
    return tag("p", key, **{"class": "easel-empty"})


def _rows(found: Metadata) -> list[tuple[str, str]]:
    """(heading as HTML, text) for everything that the picture says."""
    rows: list[tuple[str, str]] = []
    if found.infotext:
        split = split_infotext(found.infotext)
        rows.append((span("field.prompt"), split.prompt))
        if split.negative_prompt:
            rows.append((span("field.negative_prompt"), split.negative_prompt))
        rows += [(html.escape(key), str(value)) for key, value in split.pairs.items()]
    return rows + [(html.escape(key), value) for key, value in found.items.items()]


def table_html(found: Metadata) -> str:
    """All that a picture says, as an HTML table; a sentence if it says nothing."""
    rows = _rows(found)
    if not rows:
        return _empty("pnginfo.nothing")
    body = "".join(
        f'<tr><th scope="row">{heading}</th><td>{html.escape(text)}</td></tr>'
        for heading, text in rows
    )
    return f'<table class="easel-metadata"><tbody>{body}</tbody></table>'
