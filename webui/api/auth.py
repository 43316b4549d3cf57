"""Who asks: one identity for page and API, decided once for every route and mount.

While no passwords are set, everybody is the same owner, 'local'; whoever sits at the machine itself
owns the installation. An `Authenticator` with users replaces `SingleUser` without a change to any
route: a request without identity is refused unless its path is listed in `PUBLIC_PATHS`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from webui.api.problems import problem

PUBLIC_PATHS: frozenset[str] = frozenset({"/internal/ping"})
"""Answered without identity. Kept small on purpose; a test holds the list."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Attributes:
        owner: of the jobs, pictures and drafts that the request may see.
        is_admin: may change what concerns the whole installation.
    """

    owner: str
    is_admin: bool


class Authenticator(Protocol):
    """Tells who sent a request."""

    def identify(self, scope: Scope) -> Identity | None:
        """The identity of an HTTP or websocket request; None: unknown."""
        ...


@dataclass(frozen=True, slots=True)
class SingleUser:
    """Everybody is `owner`; administrator is who connects from this machine."""

    owner: str

    def identify(self, scope: Scope) -> Identity:
        """The one owner."""
        return Identity(self.owner, is_admin=is_from_this_machine(scope))


def is_from_this_machine(scope: Scope) -> bool:
    """Whether the connection comes over loopback."""
    client = scope.get("client")
    if not client:
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


class IdentityGuard:
    """ASGI middleware: finds out who asks, refuses strangers, tells the routes."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the identity into the request's state, or answer 401."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        identity = self._authenticator.identify(scope)
        if identity is not None:
            scope.setdefault("state", {})["identity"] = identity
        elif scope["path"] not in PUBLIC_PATHS:
            await _refuse(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await problem(401, "Unauthorized", "Log in first.")(scope, receive, send)


def identity_of(request: Request) -> Identity:
    """FastAPI dependency: who asks. Only routes outside `PUBLIC_PATHS` may use it."""
    identity = request.state.identity
    assert isinstance(identity, Identity)
    return identity
