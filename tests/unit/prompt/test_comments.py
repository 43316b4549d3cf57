from __future__ import annotations

import pytest

from webui.prompt.comments import strip_comments


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("a red cat # a comment here\n# whole line\non a table", "a red cat \non a table"),
        ("# nothing", "\n"),
        ("a\n# b\nc", "a\nc"),
        ("a\n# b\n# c\nd", "a\n\nd"),
        ("# a\nb", "\nb"),
        ("a # b", "a \n"),
        ("a\n#", "a\n"),
        ("a\n  # b\nc", "a\n  \nc"),
        ("a#1, b#2", "a\n"),
        ("a\nb", "a\nb"),
        ("", ""),
    ],
)
def test_comments_are_removed(text: str, stripped: str) -> None:
    assert strip_comments(text) == stripped


def test_many_comments() -> None:
    assert strip_comments("a # b\n" * 100_000) == "a \n" * 100_000
