"""A tiny ASGI application and a way to ask it anything, also what no HTTP client would send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Asked = Callable[..., tuple[int, dict[str, str], bytes]]


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body, answer its length as text."""
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    headers = [(b"content-type", b"text/html"), (b"access-control-allow-origin", b"*")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": str(length).encode()})


async def _ask(app: ASGIApp, scope: Scope, chunks: list[bytes]) -> list[Message]:
    sent: list[Message] = []
    waiting = list(chunks)

    async def receive() -> Message:
        if not waiting:
            return {"type": "http.disconnect"}
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.fixture
def ask() -> Asked:
    """Send one request: `ask(app, headers, method=, path=, server=, client=, chunks=)`.

    Returns: status, headers, body.
    """

    def asked(
        app: ASGIApp,
        headers: list[tuple[str, str]],
        *,
        method: str = "GET",
        path: str = "/",
        server: tuple[str, int] | None = ("127.0.0.1", 7860),
        client: tuple[str, int] | None = ("127.0.0.1", 50000),
        chunks: list[bytes] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "server": server,
            "client": client,
        }
        start, *rest = asyncio.run(_ask(app, scope, chunks or [b""]))
        got = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return start["status"], got, b"".join(message.get("body", b"") for message in rest)

    return asked


@pytest.fixture
def echo_app() -> ASGIApp:
    return echo
