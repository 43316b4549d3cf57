"""Sentences for the user in the browser's language, and whose browser it is."""

from __future__ import annotations

import ipaddress
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import InvalidRequest, WebUIError
from webui.ui.events import BROWSER
from webui.ui.forms.pictures import MissingPicture
from webui.ui.locale import language_of, sentence
from webui.ui.widgets.hidden import hidden

if TYPE_CHECKING:
    from webui.services import Services

OWNER_LOCAL = "local"


def owner_of(request: gr.Request) -> str:
    """Whose jobs and drafts a browser sees."""
    return str(request.username or OWNER_LOCAL)


def is_admin(services: Services, request: gr.Request) -> bool:
    """Whether a browser's user may change what concerns the whole installation.

    Where there are no passwords, that is whoever sits at the machine itself.
    """
    if services.accounts.has_users:
        user = services.accounts.user(owner_of(request))
        return user is not None and user.is_admin
    if not services.flags.listen:
        return True
    try:
        return ipaddress.ip_address(str(request.client.host)).is_loopback
    except (AttributeError, ValueError):
        return False


def explain(error: WebUIError, request: gr.Request) -> str:
    """The sentence of an error."""
    if isinstance(error, MissingPicture):
        return sentence(language_of(request), error.key)
    return str(error)


def field_of(error: WebUIError) -> str:
    """Name of the request's field that an error is about; '' if it is about none."""
    return error.field if isinstance(error, InvalidRequest) else ""


@dataclass(frozen=True)
class Toasts:
    """Short notes at the page's edge.

    Gradio's own go along its queue alone, which answers late; these are the value of a hidden field
    that an event names among its outputs.
    """

    field: Any

    @classmethod
    def draw(cls) -> Toasts:
        """Draw the hidden field."""
        field = hidden("easel_toast")
        field.change(inputs=field, js="(text) => window.EASEL.say(text)", **BROWSER)
        return cls(field)

    def error(self, error: WebUIError, request: gr.Request) -> dict[Any, Any]:
        """The update that tells of an error."""
        return self._say(explain(error, request))

    def notes(self, texts: Iterable[str]) -> dict[Any, Any]:
        """The update that tells what was changed or left out; {} if nothing was."""
        joined = "\n".join(texts)
        return self._say(joined) if joined else {}

    def done(self, key: str, request: gr.Request, **values: object) -> dict[Any, Any]:
        """The update that says that something was done."""
        return self._say(sentence(language_of(request), key, **values))

    def _say(self, text: str) -> dict[Any, Any]:
        return {self.field: json.dumps({"text": text, "nonce": uuid.uuid4().hex})}
