from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from webui.api.guard import HostPort, OriginGuard, is_same_origin, own_names, parse_host
from webui.flags import Flags

Asked = Callable[..., tuple[int, dict[str, str], bytes]]
OWN = ["127.0.0.1:7860", "localhost:7860", "LOCALHOST:7860", "[::1]:7860", "127.0.0.2:7860"]
FOREIGN_HOSTS = [
    "rebind.example",
    "rebind.example:7860",
    "localhost.:7860",
    "localhost.evil.example:7860",
    "evil@localhost:7860",
    "2130706433:7860",
    "0x7f.1:7860",
    "192.168.1.9:7860",
    "0.0.0.0:7860",
    "localhost:7860:7860",
    "localhost:99999",
    "",
    " localhost",
    "[::1",
]
FOREIGN_ORIGINS = [
    "null",
    "http://evil.example",
    "http://127.0.0.1:8000",
    "http://127.0.0.1",
    "http://localhost:7860",
    "http://[::1]:7860",
    "http://127.0.0.1.:7860",
    "http://evil@127.0.0.1:7860",
    "http://127.0.0.1:7860/",
    "http://127.0.0.1:7860#",
    "file://",
    "127.0.0.1:7860",
    "",
]


@pytest.fixture
def guarded(echo_app: ASGIApp) -> OriginGuard:
    return OriginGuard(echo_app, own_names(Flags()))


@pytest.mark.parametrize("host", OWN)
def test_own_host_is_let_in(guarded: OriginGuard, ask: Asked, host: str) -> None:
    assert ask(guarded, [("host", host)])[0] == 200


@pytest.mark.parametrize("host", OWN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_own_page_is_let_in(guarded: OriginGuard, ask: Asked, host: str, method: str) -> None:
    headers = [("host", host), ("origin", f"http://{host}"), ("sec-fetch-site", "same-origin")]
    assert ask(guarded, headers, method=method)[0] == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_foreign_host_is_refused(guarded: OriginGuard, ask: Asked, host: str) -> None:
    status, _, body = ask(guarded, [("host", host)])
    assert status == 403
    assert b"http://127.0.0.1:7860" in body


def test_missing_or_double_host_is_refused(guarded: OriginGuard, ask: Asked) -> None:
    assert ask(guarded, [])[0] == 403
    assert ask(guarded, [("host", "localhost:7860"), ("host", "evil.example")])[0] == 403


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_foreign_origin_is_refused(
    guarded: OriginGuard, ask: Asked, origin: str, method: str
) -> None:
    headers = [("host", "127.0.0.1:7860"), ("origin", origin)]
    assert ask(guarded, headers, method=method)[0] == 403


def test_one_of_two_origins_being_own_does_not_help(guarded: OriginGuard, ask: Asked) -> None:
    own = "http://127.0.0.1:7860"
    headers = [("host", "127.0.0.1:7860"), ("origin", own), ("origin", "http://evil.example")]
    assert ask(guarded, headers)[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_foreign_page_without_origin(guarded: OriginGuard, ask: Asked, site: str) -> None:
    """An <img> or a form's GET of another site carries no Origin; a link to the page may."""
    base = [("host", "127.0.0.1:7860"), ("sec-fetch-site", site)]
    link = [*base, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
    frame = [*base, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]
    image = [*base, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]
    assert ask(guarded, link)[0] == 200
    assert ask(guarded, link, method="POST")[0] == 403
    assert ask(guarded, frame)[0] == 403
    assert ask(guarded, image)[0] == 403


def test_own_address_is_the_one_that_was_connected_to(echo_app: ASGIApp, ask: Asked) -> None:
    guarded = OriginGuard(echo_app, own_names(Flags(host="0.0.0.0", listen=True)))
    server = ("192.168.1.5", 7860)
    assert ask(guarded, [("host", "192.168.1.5:7860")], server=server)[0] == 200
    assert ask(guarded, [("host", "192.168.1.6:7860")], server=server)[0] == 403
    assert ask(guarded, [("host", "192.168.1.5:7860")], server=None)[0] == 403
    origin = [("host", "192.168.1.5:7860"), ("origin", "http://192.168.1.6:7860")]
    assert ask(guarded, origin, server=server)[0] == 403


def test_machine_name_only_when_listening(echo_app: ASGIApp, ask: Asked) -> None:
    listening = own_names(Flags(host="easel-box", listen=True))
    assert "easel-box" in listening
    assert ask(OriginGuard(echo_app, listening), [("host", "easel-box:7860")])[0] == 200
    assert own_names(Flags()) == {"localhost"}


def test_websocket_of_foreign_page_is_closed(guarded: OriginGuard) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:7860"), (b"origin", b"http://evil.example")]
    scope: dict[str, Any] = {"type": "websocket", "path": "/", "headers": headers}
    scope["server"] = ("127.0.0.1", 7860)
    asyncio.run(guarded(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_parse_host() -> None:
    assert parse_host("LocalHost:80") == HostPort("localhost", 80)
    assert parse_host("[::1]") == HostPort("::1", None)
    assert parse_host("a b") is None


def test_default_ports_are_the_schemes() -> None:
    assert is_same_origin("https://easel.example", HostPort("easel.example", None))
    assert is_same_origin("https://easel.example", HostPort("easel.example", 443))
    assert not is_same_origin("https://easel.example", HostPort("easel.example", 80))
    assert is_same_origin("http://easel.example:80", HostPort("easel.example", None))
