"""How much one request may send."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.api.problems import problem

MAX_BODY_BYTES = 256 * 1024 * 1024
"""A picture of the largest size as base64, a mask beside it, and room."""


class BodyLimit:
    """ASGI middleware that answers 413 as soon as a body exceeds its limit, whatever its announced
    length.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count while the body comes in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        counted = _Counted(self._max_bytes, scope, receive, send)
        await self._app(scope, counted.receive, counted.send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await refusal(self._max_bytes)(scope, receive, send)


def refusal(max_bytes: int) -> JSONResponse:
    """The answer to a body that is too large."""
    reason = f"A request may have at most {max_bytes // 1024 // 1024} MiB."
    response = problem(413, "TooLarge", reason)
    response.headers["Connection"] = "close"
    return response


class _Counted:
    """One request's channels: after the limit the application sees a closed connection, the client
    the refusal.
    """

    def __init__(self, max_bytes: int, scope: Scope, receive: Receive, send: Send) -> None:
        self._left = self._max_bytes = max_bytes
        self._scope, self._receive, self._send = scope, receive, send
        self._has_started = self._is_refused = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left >= 0:
            return message
        if not self._is_refused and not self._has_started:
            self._is_refused = True
            await refusal(self._max_bytes)(self._scope, self._receive, self._send)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if not self._is_refused:
            self._has_started = True
            await self._send(message)
