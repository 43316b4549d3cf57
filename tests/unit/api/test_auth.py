from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import ASGIApp, Scope

from webui.api.auth import (
    PUBLIC_PATHS,
    Identity,
    IdentityGuard,
    SingleUser,
    is_from_this_machine,
)

Asked = Callable[..., tuple[int, dict[str, str], bytes]]


class Nobody:
    """Knows no one."""

    async def identify(self, scope: Scope) -> Identity | None:
        del scope
        return None


@pytest.mark.parametrize("path", ["/", "/sdapi/v1/options", "/gradio_api/info", "/internal/pingx"])
def test_strangers_are_refused_everywhere(echo_app: ASGIApp, ask: Asked, path: str) -> None:
    assert ask(IdentityGuard(echo_app, Nobody()), [], path=path)[0] == 401


def test_public_paths_are_these() -> None:
    assert {"/internal/ping", "/login"} == PUBLIC_PATHS


def test_public_path_needs_no_identity(echo_app: ASGIApp, ask: Asked) -> None:
    assert ask(IdentityGuard(echo_app, Nobody()), [], path="/internal/ping")[0] == 200


def test_single_user_is_admin_on_the_machine_itself() -> None:
    here = {"type": "http", "client": ("127.0.0.1", 1)}
    there = {"type": "http", "client": ("192.168.1.7", 1)}
    assert asyncio.run(SingleUser("local").identify(here)) == Identity("local", is_admin=True)
    assert asyncio.run(SingleUser("local").identify(there)) == Identity("local", is_admin=False)


@pytest.mark.parametrize(
    ("client", "expected"),
    [(("::1", 1), True), (None, False), (("unix", 0), False), (("10.0.0.1", 1), False)],
)
def test_is_from_this_machine(client: tuple[str, int] | None, expected: bool) -> None:
    assert is_from_this_machine({"type": "http", "client": client}) is expected
