"""What the browser's JavaScript asks of a tab (assets/README.md, 'commands')."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import BadImage, WebUIError
from webui.ui.drafts import remember, remember_pictures
from webui.ui.events import nothing
from webui.ui.forms.generation import Values
from webui.ui.messages import owner_of
from webui.ui.pasting import paste, sent
from webui.ui.results import Result, finished

if TYPE_CHECKING:
    from webui.services import Services
    from webui.ui.tabs.generation import GenerationTab

Updates = dict[Any, Any]
"""By component."""


def answer(services: Services, tab: GenerationTab) -> Callable[..., Any]:
    """The handler of a tab's command field."""

    def answered(given: dict[Any, Any], request: gr.Request) -> Updates:
        try:
            command = json.loads(given[tab.wires.command] or "{}")
        except ValueError:
            command = None
        if not isinstance(command, dict):
            return nothing()
        values = tab.form.values(given)
        try:
            return _act(services, tab, command, values, request)
        except WebUIError as error:
            return tab.wires.toasts.error(error, request)

    return answered


def _act(
    services: Services,
    tab: GenerationTab,
    command: dict[str, Any],
    values: Values,
    request: gr.Request,
) -> Updates:
    match command.get("do"):
        case "paste":
            filled = paste(services, str(command.get("text", "")), tab.form.tab, values)
            notes = tab.wires.toasts.notes(filled.problems)
            return fill(services, tab, filled.values, request) | notes
        case "receive":
            return _receive(services, tab, command, values, request)
        case "seed" | "subseed" as name:
            number = int(command.get("seed", -1))
            return fill(services, tab, {f"seed.{name}": number}, request)
        case _:
            return nothing()


def fill(services: Services, tab: GenerationTab, values: Values, request: gr.Request) -> Updates:
    """Updates that show values in a tab's controls; they are kept as its draft too."""
    remember(services, owner_of(request), tab.form.tab, values)
    return tab.form.updates(values)


def _receive(
    services: Services,
    tab: GenerationTab,
    command: dict[str, Any],
    values: Values,
    request: gr.Request,
) -> Updates:
    sources = tab.pictures.sources
    if sources is None:
        return nothing()
    result = _asked(services, command, request)
    image = services.pictures.open(result.picture)
    first = sources.first
    received: dict[str, str | None] = {first: result.picture}
    remember_pictures(services, owner_of(request), tab.form.tab, received)
    updates = {sources.pictures[first].component: sources.pictures[first].shown(image)}
    updates |= {sources.tabs: gr.update(selected=first), sources.mode: first}
    new: Values = {}
    if command.get("from") == "txt2img" and result.infotext:
        new |= sent(services, result.infotext, tab.form.tab, values)
    if services.settings.current.send_size and tab.form.tab == "img2img":
        new |= {"width": image.width // 8 * 8, "height": image.height // 8 * 8}
    return updates | fill(services, tab, new, request)


def _asked(services: Services, command: dict[str, Any], request: gr.Request) -> Result:
    if "picture" in command:
        return Result(str(command["picture"]), "")
    index = command.get("index")
    if not isinstance(index, int):
        raise BadImage("There is no such picture (any more).")
    return finished(services, str(command.get("job")), index, owner_of(request))
