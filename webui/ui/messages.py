"""Sentences for the user: toasts in the browser's language, and whose browser it is."""

from __future__ import annotations

import html
from collections.abc import Iterable

import gradio as gr

from webui.errors import InvalidRequest, WebUIError
from webui.ui.forms.pictures import MissingPicture
from webui.ui.locale import language_of, sentence

OWNER_LOCAL = "local"


def owner_of(request: gr.Request) -> str:
    """Whose jobs and drafts a browser sees."""
    return str(request.username or OWNER_LOCAL)


def explain(error: WebUIError, request: gr.Request) -> str:
    """The sentence of an error."""
    if isinstance(error, MissingPicture):
        return sentence(language_of(request), error.key)
    return str(error)


def toast_error(error: WebUIError, request: gr.Request) -> str:
    """Show an error as a toast; returns its sentence."""
    text = explain(error, request)
    gr.Warning(html.escape(text), title=sentence(language_of(request), "toast.error"), duration=8)
    return text


def toast_warnings(texts: Iterable[str], request: gr.Request) -> None:
    """Show what was changed or left out, one toast for all."""
    joined = "<br>".join(html.escape(text) for text in texts)
    if joined:
        gr.Info(joined, title=sentence(language_of(request), "toast.note"), duration=8)


def toast(key: str, request: gr.Request, **values: object) -> None:
    """Say that something was done."""
    escaped = {name: html.escape(str(value)) for name, value in values.items()}
    title = sentence(language_of(request), "toast.note")
    gr.Info(sentence(language_of(request), key, **escaped), title=title, duration=3)


def field_of(error: WebUIError) -> str:
    """Name of the request's field that an error is about; '' if it is about none."""
    return error.field if isinstance(error, InvalidRequest) else ""
