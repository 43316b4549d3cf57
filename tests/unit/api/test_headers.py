from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp

from webui.api.headers import SecurityHeaders, add_headers

Asked = Callable[..., tuple[int, dict[str, str], bytes]]


def test_other_origins_get_no_permission(echo_app: ASGIApp, ask: Asked) -> None:
    _, headers, _ = ask(SecurityHeaders(echo_app), [])
    assert not [name for name in headers if name.startswith("access-control-")]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_page_may_load_from_itself_only() -> None:
    headers = MutableHeaders({"content-type": "text/html; charset=utf-8"})
    add_headers(headers, "/")
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http:" not in policy and "https:" not in policy and "*" not in policy
    assert "frame-ancestors 'none'" in policy


def test_uploads_and_answers_run_nothing() -> None:
    html = {"content-type": "text/html"}
    svg = {"content-type": "image/svg+xml"}
    for given, path in ((html, "/gradio_api/file=/tmp/x.html"), (svg, "/x.svg"), ({}, "/sdapi/v1")):
        headers = MutableHeaders(given)
        add_headers(headers, path)
        assert "sandbox" in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
