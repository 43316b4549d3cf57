"""``# note to self``: comments in prompts."""

from __future__ import annotations

import re

_WHOLE_LINE = re.compile(r"(?:\A|\n)#[^\n]*(?:\n|\Z)")
_REST_OF_LINE = re.compile(r"#[^\n]*(?:\n|\Z)")


def strip_comments(text: str) -> str:
    """Remove everything from ``#`` to the end of its line; there is no escape for ``#``.

    A line that is only a comment takes one of its two line ends with it. A comment at the very end
    of the text, or a text that is only a comment, leaves a line end behind, as in A1111: it shows
    in the infotext, and keeps a negative prompt from counting as empty.
    """
    if "#" not in text:
        return text
    return _REST_OF_LINE.sub("\n", _WHOLE_LINE.sub("\n", text))
