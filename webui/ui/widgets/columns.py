"""The two columns of a generation tab: controls left, results right."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from webui.ui.forms.generation import Tab
from webui.ui.locale import span, tag, words

EXAMPLES = {
    "bundled": (
        "a red apple on a blue background",
        "a yellow star on a black background",
        "a green tree on a white background",
    ),
    "general": (
        "a lighthouse on a cliff at dawn, soft light, oil painting",
        "portrait of an old sailor, 85mm photograph, natural light",
        "a cosy kitchen in a tiny house, isometric illustration",
    ),
}
"""Prompts to begin with; models read English, so they are the same in every language."""


@contextmanager
def columns(tab: Tab) -> Iterator[None]:
    """Draw the left column in the `with` block; the results follow."""
    with gr.Row(elem_id=f"{tab}_columns", elem_classes=["easel-columns"]):
        with gr.Column(elem_id=f"{tab}_form", elem_classes=["easel-form"], min_width=0):
            yield
        gr.HTML(_splitter(tab), elem_classes=["easel-splitter-box"], padding=False)
        gr.HTML(
            _results(tab),
            elem_id=f"{tab}_results",
            elem_classes=["easel-results-box"],
            min_width=0,
            padding=False,
        )


def _splitter(tab: Tab) -> str:
    text = html.escape(words("en")["splitter"])
    return (
        f'<div id="{tab}_splitter" class="easel-splitter" role="separator" tabindex="0" '
        f'aria-orientation="vertical" data-t-label="splitter" aria-label="{text}"></div>'
    )


def _results(tab: Tab) -> str:
    hint = tag("p", f"empty.{tab}", **{"class": "er-empty-hint"})
    demo = tag("p", "empty.bundled", **{"class": "er-empty-demo"})
    rows = "".join(_examples(kind) for kind in EXAMPLES)
    examples = f'<div class="er-empty-examples">{span("empty.examples")}{rows}</div>'
    template = f'<template data-easel-empty="{tab}">{hint}{demo}{examples}</template>'
    return f'{template}<easel-results data-tab="{tab}"></easel-results>'


def _examples(kind: str) -> str:
    buttons = "".join(
        f'<button type="button" class="er-example" data-prompt="{html.escape(prompt)}">'
        f"{html.escape(prompt)}</button>"
        for prompt in EXAMPLES[kind]
    )
    return f'<div data-examples="{kind}">{buttons}</div>'
