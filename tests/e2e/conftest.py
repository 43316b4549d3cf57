"""One Easel on the bundled model and one Chromium for all browser tests.

`EASEL_URL` names a running Easel to test instead of starting one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.e2e.driver import Driver

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
]
START_SECONDS = 180
TIMEOUT_MILLISECONDS = 60_000
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

Open = Callable[..., Driver]


def browser_path() -> str:
    """The browser's executable; its absence is an error, never a reason to skip."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise RuntimeError(f"The browser tests need one of {', '.join(BROWSERS)} on the PATH.")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(f"{url}/internal/ping", timeout=2),
        ):
            return
        time.sleep(0.2)
    raise RuntimeError(f"Easel did not start:\n{log.read_text(encoding='utf-8')[-4000:]}")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("easel")


@pytest.fixture(scope="session")
def server(data_dir: Path) -> Iterator[str]:
    """The address of an Easel that runs for the whole session."""
    given = os.environ.get("EASEL_URL")
    if given:
        yield given.rstrip("/")
        return
    port = _free_port()
    log = data_dir / "server.log"
    command = [
        sys.executable,
        "app.py",
        *("--port", str(port), "--data-dir", str(data_dir), "--no-browser", "--device", "cpu"),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait_until_it_answers(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MILLISECONDS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser_path(), args=BROWSER_FLAGS)
        yield chromium
        chromium.close()


class Watch:
    """What must not happen on any page: errors, and requests to other hosts."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.problems: list[str] = []
        self.allowed: list[str] = []

    def attach(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("request", lambda request: self._request(request.url))
        page.on("dialog", self._dialog)

    def _console(self, message: ConsoleMessage) -> None:
        text = message.text
        if message.type == "error" and not any(part in text for part in self.allowed):
            self.problems.append(f"console: {text} ({message.location.get('url')})")

    def _request(self, url: str) -> None:
        if not url.startswith((self._server, "data:", "blob:")):
            self.problems.append(f"request to another host: {url}")

    def _dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture
def watch(server: str) -> Watch:
    return Watch(server)


@pytest.fixture
def open_page(browser: Browser, server: str, watch: Watch) -> Iterator[Open]:
    """Open the page as a new visitor: `open_page(viewport=..., locale=..., ...)`."""
    contexts: list[BrowserContext] = []

    def opened(**options: Any) -> Driver:
        context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-US"} | options)
        context.set_default_timeout(TIMEOUT_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        watch.attach(page)
        driver = Driver(page, server)
        driver.load()
        return driver

    yield opened
    _stop_all_jobs(contexts, server)
    for context in contexts:
        context.close()
    assert watch.problems == []


def _stop_all_jobs(contexts: list[BrowserContext], server: str) -> None:
    """Leave nothing running, so that a test that fails does not spoil the next."""
    active = f"{server}/internal/jobs?state=queued&state=loading&state=running"
    while contexts and (jobs := contexts[0].request.get(active).json()):
        for job in jobs:
            contexts[0].request.post(f"{server}/internal/jobs/{job['id']}/cancel")


@pytest.fixture
def easel(open_page: Open) -> Driver:
    """The page on a desktop, in English."""
    return open_page()
