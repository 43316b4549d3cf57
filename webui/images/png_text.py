"""Read the text chunks of a PNG file within bounds, without decoding its pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from webui.errors import BadImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 65_536
MAX_TEXTS = 64
MAX_TEXT_BYTES = 8 * 1024 * 1024
"""All texts of a file together, unpacked."""


def read_texts(content: bytes) -> dict[str, str]:
    """Every tEXt, zTXt and iTXt chunk by its keyword; of two with the same keyword the last.

    Args:
        content: a PNG file; what follows a damaged place is not read.
    Raises: BadImage: more chunks or more text than any honest picture has.
    """
    found: dict[str, str] = {}
    count, room = 0, MAX_TEXT_BYTES
    for kind, body in _chunks(content):
        if kind not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        count += 1
        if count > MAX_TEXTS:
            raise BadImage(f"This PNG holds more than {MAX_TEXTS} texts; it is not read.")
        text = _text(kind, body, room)
        if text is None:
            continue
        keyword, value = text
        room -= len(value)
        found[keyword.decode("latin-1")] = value.decode(
            "utf-8" if kind == b"iTXt" else "latin-1", "replace"
        )
    return found


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(content):
            return
        (length,) = struct.unpack_from(">I", content, at)
        kind, end = content[at + 4 : at + 8], at + 8 + length
        if kind == b"IEND" or end + 4 > len(content):
            return
        yield kind, content[at + 8 : end] if kind.endswith(b"Xt") else b""
        at = end + 4
    raise BadImage(f"This PNG is cut into more than {MAX_CHUNKS:,} pieces; it is not read.")


def _text(kind: bytes, body: bytes, room: int) -> tuple[bytes, bytes] | None:
    """(keyword, value) of one chunk; None where it is malformed."""
    keyword, separator, rest = body.partition(b"\0")
    if not separator:
        return None
    packed = kind == b"zTXt"
    if packed:
        rest = rest[1:]
    elif kind == b"iTXt":
        packed = rest[:1] == b"\x01"
        parts = rest[2:].split(b"\0", 2)
        if len(parts) < 3:
            return None
        rest = parts[2]
    if packed:
        unpacker = zlib.decompressobj()
        try:
            rest = unpacker.decompress(rest, room + 1)
        except zlib.error:
            return None
    if len(rest) > room:
        raise BadImage(
            f"This PNG holds more than {MAX_TEXT_BYTES // 1024 // 1024} MB of text; it is not read."
        )
    return keyword, rest
