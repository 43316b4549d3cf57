"""Where the page is served: a free port, and the address to open."""

from __future__ import annotations

import socket

from webui.errors import WebUIError
from webui.flags import DEFAULT_PORT

_TRIES = 100
_ANY = ("0.0.0.0", "::")
LOOPBACK = "127.0.0.1"


def is_free(host: str, port: int) -> bool:
    """Whether nobody answers on a port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex((LOOPBACK if host in _ANY else host, port)) != 0


def choose_port(host: str, wanted: int | None) -> int:
    """The port that was asked for, else the first free one from 7860 on.

    Raises: WebUIError: it is taken, or all are.
    """
    candidates = range(DEFAULT_PORT, DEFAULT_PORT + _TRIES) if wanted is None else [wanted]
    for port in candidates:
        if is_free(host, port):
            return port
    if wanted is None:
        raise WebUIError("All ports from 7860 to 7959 are taken: choose one with --port.")
    raise WebUIError(f"Port {wanted} is taken: is Easel running already? Else choose another.")


def url_of(host: str, port: int) -> str:
    """The address to open on this computer."""
    name = LOOPBACK if host in _ANY else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
