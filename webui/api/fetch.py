"""Pictures by address: fetched from public hosts only, within bounds of size and time.

A name can have several addresses, can change them between two look-ups, and an answer can lead
elsewhere. So the socket is connected to an address that was checked, its peer is checked again, and
every redirect starts anew (security: server-side request forgery).
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from webui import __version__
from webui.errors import BadImage
from webui.images.codec import DEFAULT_LIMITS

MAX_REDIRECTS = 3
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 20.0
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)

Resolve = Callable[[str, int], list[str]]
"""Addresses of a host name. Raises: OSError."""


def addresses_of(host: str, port: int) -> list[str]:
    """Ask the system's resolver. Raises: OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: str) -> bool:
    """Whether an IP address belongs to no private, local or reserved network, in any notation."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is None and parsed.teredo is not None:
            inner = parsed.teredo[1]
        if inner is None and parsed in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return parsed.is_global and not parsed.is_multicast


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches pictures.

    Attributes:
        allow_local: addresses of the own network too.
        resolve: looks names up.
        max_bytes: of a file.
    """

    allow_local: bool = False
    resolve: Resolve = addresses_of
    max_bytes: int = DEFAULT_LIMITS.bytes

    def __call__(self, url: str) -> bytes:
        """The file at an http or https address.

        Raises: BadImage: it may not, or could not, be fetched.
        """
        deadline = time.monotonic() + TOTAL_SECONDS
        for _ in range(MAX_REDIRECTS + 1):
            found = self._get(url, deadline)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise BadImage("The picture's address leads from one place to the next without end.")

    def _get(self, url: str, deadline: float) -> bytes | str:
        """The file, or where it is instead."""
        parts = _parts(url)
        connection = self._connected(parts)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"User-Agent": f"Easel/{__version__}", "Accept": "image/*"}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            location = answer.getheader("Location")
            if answer.status in _REDIRECTS and location:
                return location
            if answer.status != 200:
                raise BadImage(f"The picture's server answered {answer.status}.")
            return self._read(answer, connection, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BadImage("The picture could not be fetched from its address.") from error
        finally:
            connection.close()

    def _read(
        self,
        answer: http.client.HTTPResponse,
        connection: http.client.HTTPConnection,
        deadline: float,
    ) -> bytes:
        content = bytearray()
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BadImage(f"The picture took longer than {TOTAL_SECONDS:.0f} seconds.")
            if connection.sock is not None:
                connection.sock.settimeout(left)
            chunk = answer.read1(_CHUNK_BYTES)
            if not chunk:
                return bytes(content)
            content += chunk
            if len(content) > self.max_bytes:
                raise BadImage(f"The picture is larger than {self.max_bytes // 1024 // 1024} MB.")

    def _connected(self, parts: SplitResult) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        is_secure = parts.scheme == "https"
        port = parts.port or (443 if is_secure else 80)
        connection = http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        try:
            opened = self._socket(host, port)
            if is_secure:
                opened = ssl.create_default_context().wrap_socket(opened, server_hostname=host)
        except (OSError, UnicodeError) as error:
            raise BadImage("The picture's server cannot be reached.") from error
        connection.sock = opened
        return connection

    def _socket(self, host: str, port: int) -> socket.socket:
        addresses = self.resolve(host, port)
        if not addresses or not all(self._may_ask(address) for address in addresses):
            raise BadImage("Pictures are fetched from public addresses only: send the picture.")
        opened = socket.create_connection((addresses[0], port), CONNECT_SECONDS)
        if not self._may_ask(str(opened.getpeername()[0])):
            opened.close()
            raise BadImage("Pictures are fetched from public addresses only: send the picture.")
        return opened

    def _may_ask(self, address: str) -> bool:
        return self.allow_local or is_public(address)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right or parts.username is not None or not url.isprintable() or " " in url:
        raise BadImage("Pictures are fetched from plain http and https addresses only.")
    return parts


def is_address(text: str) -> bool:
    """Whether a picture field holds an address instead of base64."""
    return text[:8].lower().startswith(("http://", "https://"))
