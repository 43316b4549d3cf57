from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp

from webui.api.limits import BodyLimit

Asked = Callable[..., tuple[int, dict[str, str], bytes]]


def test_announced_length_above_limit_is_refused(echo_app: ASGIApp, ask: Asked) -> None:
    app = BodyLimit(echo_app, 10)
    status, _, body = ask(app, [("content-length", "11")], method="POST", chunks=[b"x" * 11])
    assert status == 413
    assert b"at most" in body


def test_length_is_counted_whatever_was_announced(echo_app: ASGIApp, ask: Asked) -> None:
    app = BodyLimit(echo_app, 10)
    chunks = [b"x" * 6, b"x" * 5, b"x" * 5]
    assert ask(app, [], method="POST", chunks=chunks)[0] == 413
    assert ask(app, [("content-length", "3")], method="POST", chunks=chunks)[0] == 413


def test_body_at_limit_passes(echo_app: ASGIApp, ask: Asked) -> None:
    app = BodyLimit(echo_app, 10)
    assert ask(app, [], method="POST", chunks=[b"x" * 6, b"x" * 4])[2] == b"10"


def test_nonsense_length_is_refused(echo_app: ASGIApp, ask: Asked) -> None:
    for text in ("-1", "1e3", "abc", "²"):
        assert ask(BodyLimit(echo_app, 10), [("content-length", text)], method="POST")[0] == 413
