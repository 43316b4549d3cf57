"""Gradio's file cache, user by user.

Gradio keeps uploads of all users in one folder and gives a file to whoever names its path. Here a
path is a user's once it stood in an answer to them (their upload's, their page's), and only then
may they name it, whether to read the file or as an event's input.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.api.auth import Identity
from webui.api.problems import problem

MAX_KNOWN = 50_000
_PREFIX = "/gradio_api/"
_FILES = ("file=", "file/", "stream/")


def cache_folder() -> Path:
    """Where Gradio keeps files."""
    default = Path(tempfile.gettempdir()) / "gradio"
    return Path(os.environ.get("GRADIO_TEMP_DIR") or default).resolve()


class OwnFiles:
    """ASGI middleware that refuses Gradio's cached files to those who did not put them there."""

    def __init__(self, app: ASGIApp, folder: Path | None = None) -> None:
        self._app = app
        self._folder = str(folder or cache_folder())
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        text = re.escape(json.dumps(self._folder)[1:-1])
        self._path = re.compile(rf'{text}[^"\\]+'.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check what is named, remember what is answered."""
        identity = scope.get("state", {}).get("identity") if scope["type"] == "http" else None
        path = scope.get("path", "")
        if not isinstance(identity, Identity) or not (
            path.startswith(_PREFIX) or path in ("/", "/config", "/config/")
        ):
            await self._app(scope, receive, send)
            return
        owner = identity.owner
        if any(not self._may(owner, name) for name in _named_by(path)):
            await problem(404, "NotFound", "There is no such file.")(scope, receive, send)
            return
        is_event = scope["method"] == "POST" and not path.startswith(f"{_PREFIX}upload")
        if is_event:
            body = await _whole(receive)
            if any(not self._may(owner, text) for text in _texts(body)):
                await problem(403, "Forbidden", "This file is not yours.")(scope, receive, send)
                return
            receive = _again(body, receive)

        async def remember(message: Message) -> None:
            if message["type"] == "http.response.body":
                self._learn(owner, message.get("body", b""))
            await send(message)

        await self._app(scope, receive, remember)

    def _may(self, owner: str, named: str) -> bool:
        for text in {named, unquote(named), named.rpartition("file=")[2]}:
            if "\0" in text or len(text) > 4096:
                continue
            real = os.path.realpath(text)
            inside = real == self._folder or real.startswith(self._folder + os.sep)
            if inside and (owner, real) not in self._known:
                return False
        return True

    def _learn(self, owner: str, body: bytes) -> None:
        if self._folder.encode() not in body:
            return
        with self._lock:
            for match in self._path.findall(body):
                self._known[owner, os.path.realpath(match.decode(errors="replace"))] = None
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)


def _named_by(path: str) -> Iterator[str]:
    rest = path.removeprefix(_PREFIX)
    for head in _FILES:
        if rest.startswith(head):
            yield rest.removeprefix(head)


async def _whole(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def receive_again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _texts(body: bytes) -> Iterator[str]:
    """All short texts of a JSON body: any of them could be taken for a path."""
    try:
        waiting: list[Any] = [json.loads(body)] if body else []
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if len(value) <= 4096 and ("/" in value or "\\" in value):
                yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
