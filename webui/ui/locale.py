"""Words of the page in every language; `assets/locales/<language>.json` holds them by key.

Components get a marker that the browser replaces (`label`), so that the language can change without
a reload. Sentences that
only exist at run time (toasts, errors) are made in the language that the browser's cookie names
(`sentence`).
"""

from __future__ import annotations

import functools
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.i18n import I18nData

LANGUAGES = ("en", "ko")
COOKIE = "easel_language"
ASSETS = Path(__file__).parent / "assets"


@functools.cache
def words(language: str) -> Mapping[str, str]:
    """All words of a language by key.

    Args:
        language: one of `LANGUAGES`.
    """
    loaded: dict[str, str] = json.loads(
        (ASSETS / "locales" / f"{language}.json").read_text(encoding="utf-8")
    )
    return loaded


def translations() -> gr.I18n:
    """What Gradio needs to replace the markers of `label`."""
    return gr.I18n(**{language: dict(words(language)) for language in LANGUAGES})


def label(key: str) -> str:
    """A marker that the browser replaces by the words of `key` in its language.

    A text may hold one marker among other characters, not two.
    Raises: KeyError: no such key.
    """
    if key not in words("en"):
        raise KeyError(key)
    return str(I18nData(key))


def sentence(language: str, key: str, **values: Any) -> str:  # noqa: ANN401 - anything that has a text
    """The words of `key` in one language, `{name}` replaced.

    Raises: KeyError: no such key, or a value is missing.
    """
    return words(language)[key].format(**values)


def span(key: str, **attributes: str) -> str:
    """HTML of a `<span>` that `boot.js` fills with the words of `key`."""
    return tag("span", key, **attributes)


def tag(name: str, key: str, **attributes: str) -> str:
    """HTML of an element that `boot.js` fills with the words of `key`; English until then."""
    written = "".join(f' {k.replace("_", "-")}="{html.escape(v)}"' for k, v in attributes.items())
    return f'<{name} data-t="{key}"{written}>{html.escape(words("en")[key])}</{name}>'


def language_of(request: gr.Request | None) -> str:
    """The language of the browser that sent a request: its choice, else what it accepts first."""
    if request is None:
        return "en"
    chosen = dict(request.cookies or {}).get(COOKIE)
    if chosen in LANGUAGES:
        return str(chosen)
    for part in str((request.headers or {}).get("accept-language", "")).split(","):
        code = part.split(";")[0].strip().lower().split("-")[0]
        if code in LANGUAGES:
            return code
    return "en"
