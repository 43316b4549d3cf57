"""The page over real services in a folder of their own; nothing is started, nothing is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from webui.flags import Flags
from webui.paths import make_paths
from webui.services import Services, build
from webui.ui.app import Page
from webui.ui.app import build as build_page

Drawn = TypeVar("Drawn")


def close(services: Services) -> None:
    """Let go of the files; there are no threads to stop."""
    services.queue.close()
    services._index.close()


def in_loop(draw: Callable[[], Drawn]) -> Drawn:
    """Draw inside a running event loop: elsewhere Gradio makes loops that it never closes."""

    async def drawing() -> Drawn:
        return draw()

    return asyncio.run(drawing())


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Services with the shipped checkpoint in their list."""
    made = build(Flags(), make_paths(tmp_path))
    yield made
    close(made)


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, built once."""
    made = build(Flags(), make_paths(tmp_path_factory.mktemp("page")))
    yield in_loop(lambda: build_page(made))
    close(made)
