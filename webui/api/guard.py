"""Which requests are let in: Host and Origin checks that refuse, on every route and mount.

A page of another site can make a visitor's browser send requests here, and a name server that the
other site controls can point its own name at this machine (DNS rebinding). Both are told by
headers that a page cannot forge: `Host` must be a name or address of this server, `Origin` (where
there is one) must be that same host and port, and `Sec-Fetch-Site` may be foreign only for a plain
link. Programs send none of the latter and are let in.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from webui.api.problems import problem
from webui.flags import Flags

_HOST = re.compile(
    r"(\[[0-9a-f:.%]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)(?::([0-9]{1,5}))?", re.A
)
_ORIGIN = re.compile(r"(https?)://([^/@?#\\]+)", re.A)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HostPort:
    """What a Host header or an Origin names.

    Attributes:
        name: lower case; an IPv6 address without brackets.
        port: None: the scheme's default.
    """

    name: str
    port: int | None


def parse_host(value: str) -> HostPort | None:
    """Read a Host header; None if it is not a plain host with an optional port.

    A trailing dot, user information and anything else that two programs could read differently is
    no plain host.
    """
    match = _HOST.fullmatch(value.lower())
    if match is None:
        return None
    port = int(match[2]) if match[2] else None
    return None if port is not None and port > 65535 else HostPort(match[1].strip("[]"), port)


def is_same_origin(origin: str, host: HostPort) -> bool:
    """Whether an Origin header names the host and port that the request was sent to."""
    match = _ORIGIN.fullmatch(origin.lower())
    named = parse_host(match[2]) if match else None
    if match is None or named is None:
        return False
    default = _DEFAULT_PORTS[match[1]]
    return named.name == host.name and (named.port or default) == (host.port or default)


def own_names(flags: Flags) -> frozenset[str]:
    """Names under which this server may be asked for, besides loopback and its own addresses."""
    names = {"localhost", *flags.allow_hosts}
    if flags.listen:
        machine = socket.gethostname().lower()
        names |= {machine, f"{machine}.local"}
        if parse_host(flags.host) is not None:
            names.add(flags.host.lower())
    return frozenset(names)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


class OriginGuard:
    """ASGI middleware that answers 403 to what did not come from this server's own page, from a
    program, or by a plain link.

    Args:
        names: host names that are this server's, lower case.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or refuse it."""
        reason = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason[:120]})
        else:
            await problem(403, "Forbidden", reason)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = parse_host(hosts[0]) if len(hosts) == 1 else None
        if host is None or not self._is_own(host, scope):
            return (
                "This address is not one of this server's. Open the address that was printed when "
                "Easel started, for example http://127.0.0.1:7860."
            )
        origins = headers.getlist("origin")
        if origins and not (len(origins) == 1 and is_same_origin(origins[0], host)):
            return "Pages of another site may not use this server."
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not _is_link(
            scope, headers
        ):
            return "Pages of another site may not use this server."
        return None

    def _is_own(self, host: HostPort, scope: Scope) -> bool:
        if host.name in self._names:
            return True
        address = _address(host.name)
        if address is None:
            return False
        server = scope.get("server")
        return address.is_loopback or (server is not None and address == _address(server[0]))


def _is_link(scope: Scope, headers: Headers) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
