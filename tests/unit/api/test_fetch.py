from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from webui.api.fetch import Fetcher, is_public
from webui.errors import BadImage


class _Answers(http.server.BaseHTTPRequestHandler):
    """/picture: bytes; /big: more than allowed; /to?URL: a redirect there; /loop: to itself."""

    def do_GET(self) -> None:
        path, _, target = self.path.partition("?")
        if path in ("/to", "/loop"):
            self.send_response(302)
            self.send_header("Location", target or "/loop")
            self.end_headers()
            return
        self.send_response(200 if path != "/missing" else 404)
        self.end_headers()
        self.wfile.write(b"p" * (5000 if path == "/big" else 10))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()
    thread.join()


def test_a_file_is_fetched_and_redirects_are_followed(server: str) -> None:
    fetch = Fetcher(allow_local=True, max_bytes=1000)
    assert fetch(f"{server}/picture") == b"p" * 10
    assert fetch(f"{server}/to?/picture") == b"p" * 10


@pytest.mark.parametrize("path", ["/big", "/missing", "/loop", "/to?file:///etc/passwd"])
def test_what_is_too_large_missing_or_elsewhere_is_refused(server: str, path: str) -> None:
    with pytest.raises(BadImage):
        Fetcher(allow_local=True, max_bytes=1000)(f"{server}{path}")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://0.0.0.0/",
        "http://100.64.0.1/",
        "http://user@8.8.8.8/",
        "http://8.8.8.8/a b",
        "ftp://8.8.8.8/",
        "gopher://8.8.8.8/",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://8.8.8.8:99999/",
    ],
)
def test_nothing_but_public_addresses(url: str) -> None:
    with pytest.raises(BadImage, match=r"only|reached"):
        Fetcher()(url)


def test_one_private_address_among_several_is_enough_to_refuse() -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.216.34", "127.0.0.1"]

    with pytest.raises(BadImage, match="public"):
        Fetcher(resolve=resolve)("http://two.example/")


def test_the_connected_address_is_the_one_that_was_checked(server: str) -> None:
    """A name that answers differently each time is looked up once."""
    looked_up = []

    def resolve(host: str, _port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"]

    port = server.rpartition(":")[2]
    fetch = Fetcher(allow_local=True, resolve=resolve)
    assert fetch(f"http://rebinding.example:{port}/picture") == b"p" * 10
    assert looked_up == ["rebinding.example"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("8.8.8.8", True), ("2606:4700::1111", True), ("224.0.0.1", False), ("nonsense", False)],
)
def test_is_public(address: str, expected: bool) -> None:
    assert is_public(address) is expected
