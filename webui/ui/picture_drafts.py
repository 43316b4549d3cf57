"""The pictures of the img2img and inpaint tabs survive a reload; what was painted does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import WebUIError
from webui.ui.drafts import recall_pictures, remember_pictures
from webui.ui.events import QUIET, nothing
from webui.ui.forms.generation import Tab
from webui.ui.forms.pictures import Source, background, put_image
from webui.ui.messages import owner_of
from webui.ui.widgets.sources import Kind, Picture

if TYPE_CHECKING:
    from webui.services import Services
    from webui.ui.tabs.generation import GenerationTab


def wire_pictures(services: Services, tab: GenerationTab, blocks: Any) -> None:  # noqa: ANN401
    """Keep what is loaded into a tab's picture fields; bring it back when the page is opened."""
    sources = tab.pictures.sources
    if sources is None:
        return
    said = [tab.wires.toasts.field]
    for name, picture in sources.pictures.items():
        keep = _keeper(services, tab, name, picture.kind)
        component = picture.component
        if picture.kind == "file":
            component.change(keep, component, said, **QUIET)
        else:
            gr.on([component.upload, component.clear], keep, component, said, **QUIET)
    outputs = [picture.component for picture in sources.pictures.values()]
    blocks.load(_restorer(services, tab.form.tab, sources.pictures), outputs=outputs, **QUIET)


def _keeper(
    services: Services, tab: GenerationTab, name: Source, kind: Kind
) -> Callable[..., dict[Any, Any]]:
    def keep(value: Any, request: gr.Request) -> dict[Any, Any]:  # noqa: ANN401
        picture = None
        try:
            if kind == "file" and value:
                picture = services.pictures.put(Path(value).read_bytes())
            elif kind == "editor" and value and value.get("background") is not None:
                picture = put_image(services, background(value))
        except WebUIError as error:
            return tab.wires.toasts.error(error, request)
        remember_pictures(services, owner_of(request), tab.form.tab, {name: picture})
        return nothing()

    return keep


def _restorer(services: Services, tab: Tab, fields: Mapping[Source, Picture]) -> Callable[..., Any]:
    def restore(request: gr.Request) -> Any:  # noqa: ANN401 - updates
        kept = recall_pictures(services, owner_of(request), tab)
        updates = {}
        for name, picture in fields.items():
            if name not in kept:
                continue
            try:
                updates[picture.component] = picture.shown(services.pictures.open(kept[name]))
            except WebUIError:
                continue
        return updates or nothing()

    return restore
