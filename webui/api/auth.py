"""Who asks: one identity for page and API, decided once for every route and mount.

While no passwords are set, everybody is the same owner, 'local'; whoever sits at the machine itself
owns the installation (`SingleUser`). With users it is `Passwords`. No route knows the difference: a
request without identity is refused unless its path is listed in `PUBLIC_PATHS`.
"""

from __future__ import annotations

import base64
import ipaddress
import math
import threading
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from webui.accounts import Accounts, User
from webui.api.problems import problem
from webui.api.throttle import Throttle

PUBLIC_PATHS: frozenset[str] = frozenset({"/internal/ping", "/login"})
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

    async def identify(self, scope: Scope) -> Identity | None:
        """The identity of an HTTP or websocket request; None: unknown. Raises: TooManyTries."""
        ...


@dataclass(frozen=True, slots=True)
class SingleUser:
    """Everybody is `owner`; administrator is who connects from this machine."""

    owner: str

    async def identify(self, scope: Scope) -> Identity:
        """The one owner."""
        return Identity(self.owner, is_admin=is_from_this_machine(scope))


class TooManyTries(Exception):
    """Wrong passwords: the next try has to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = math.ceil(seconds)


class Passwords:
    """Users with sessions (cookie), passwords (HTTP Basic) and API keys (bearer tokens)."""

    def __init__(self, accounts: Accounts, throttle: Throttle | None = None) -> None:
        self._accounts = accounts
        self._throttle = throttle or Throttle()
        self._turn = threading.Lock()

    async def identify(self, scope: Scope) -> Identity | None:
        """By the Authorization header where there is one, else by the session's cookie."""
        connection = HTTPConnection(scope)
        kind, _, value = connection.headers.get("authorization", "").partition(" ")
        user: User | None = None
        if kind.lower() == "bearer":
            user = self._accounts.key(value.strip())
        elif kind.lower() == "basic":
            name, password = _basic(value.strip())
            user = await self.check(scope, name, password)
        else:
            token = connection.cookies.get(cookie_name(scope), "")
            user = self._accounts.session(token) if token else None
        return Identity(user.name, user.is_admin) if user else None

    async def check(self, scope: Scope, name: str, password: str) -> User | None:
        """The user, if the password is right. Raises: TooManyTries."""
        if self._accounts.is_remembered(name, password):
            return self._accounts.check(name, password)
        address = str((scope.get("client") or ("",))[0])
        wait = self._throttle.wait_seconds(address, name[:200])
        if wait > 0:
            raise TooManyTries(wait)
        return await run_in_threadpool(self._check_in_turn, address, name, password)

    def _check_in_turn(self, address: str, name: str, password: str) -> User | None:
        """One try at a time: guesses at the same time do not get past the limit, and programs that
        begin together with the right password wait for the first one's answer.
        """
        with self._turn:
            if not self._accounts.is_remembered(name, password):
                wait = self._throttle.wait_seconds(address, name[:200])
                if wait > 0:
                    raise TooManyTries(wait)
            user = self._accounts.check(name, password)
            if user is None:
                self._throttle.failed(address, name[:200])
            else:
                self._throttle.succeeded(address, name[:200])
            return user


def _basic(value: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return name, password


def cookie_name(scope: Scope) -> str:
    """The session cookie's name: cookies do not know ports, two Easels on a machine do."""
    port = (scope.get("server") or ("", 0))[1]
    return f"easel_session_{port}"


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
        try:
            identity = await self._authenticator.identify(scope)
        except TooManyTries as error:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await too_many_tries(error)(scope, receive, send)
            return
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
    headers = Headers(scope=scope)
    is_page = scope["method"] == "GET" and headers.get("accept", "").startswith("text/html")
    if is_page and not scope["path"].startswith(("/sdapi/", "/api/", "/internal/")):
        response: Response = RedirectResponse(f"/login?next={quote(scope['path'])}", 303)
    else:
        response = problem(401, "Unauthorized", "Log in first.")
        if "sec-fetch-mode" not in headers:  # a browser would ask in a window of its own
            response.headers["WWW-Authenticate"] = 'Basic realm="Easel", charset="UTF-8"'
    response.headers["Cache-Control"] = "no-store"
    await response(scope, receive, send)


def too_many_tries(error: TooManyTries) -> Response:
    """429 with the time to wait."""
    sentence = f"Too many wrong passwords: try again in {error.seconds} seconds."
    response = problem(429, "TooManyTries", sentence)
    response.headers["Retry-After"] = str(error.seconds)
    return response


def name_of(request: Request) -> str | None:
    """Who asks, for Gradio; None: nobody."""
    identity = getattr(request.state, "identity", None)
    return identity.owner if isinstance(identity, Identity) else None


def identity_of(request: Request) -> Identity:
    """FastAPI dependency: who asks. Only routes outside `PUBLIC_PATHS` may use it."""
    identity = request.state.identity
    assert isinstance(identity, Identity)
    return identity
