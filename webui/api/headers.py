"""Headers that every answer carries, the page's and the mounted Gradio's included."""

from __future__ import annotations

import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_NO_PAGE = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
)
"""For JSON, pictures and whatever somebody uploaded: nothing in them is ever run."""
_PAGE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
"""For the page: Gradio starts itself by an inline script and compiles its event handlers, but
nothing may come from, or go to, another host."""


class SecurityHeaders:
    """ASGI middleware that adds the headers above and takes away permissions for other origins."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, with these headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        began = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                add_headers(headers, scope["path"])
                headers["X-Process-Time"] = f"{time.perf_counter() - began:.4f}"
            await send(message)

        await self._app(scope, receive, send_with_headers)


def add_headers(headers: MutableHeaders, path: str) -> None:
    """Complete an answer's headers in place."""
    for name in [name for name in headers if name.startswith("access-control-")]:
        del headers[name]
    for name, value in _ALWAYS.items():
        headers[name] = value
    is_page = headers.get("content-type", "").startswith("text/html") and not path.startswith(
        ("/gradio_api/", "/internal/", "/sdapi/")
    )
    headers["Content-Security-Policy"] = _PAGE if is_page else _NO_PAGE
