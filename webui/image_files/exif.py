"""The one EXIF field that holds an infotext: Exif.UserComment, written and read within bounds."""

from __future__ import annotations

import struct

MAX_BYTES = 8 * 1024 * 1024
JPEG_MAX_BYTES = 65_533
"""What a JPEG's EXIF segment can hold."""

_EXIF_POINTER, _USER_COMMENT = 0x8769, 0x9286
_LONG, _UNDEFINED = 4, 7
_UNICODE, _ASCII, _JIS, _UNDEFINED_CODE = (
    b"UNICODE\0",
    b"ASCII\0\0\0",
    b"JIS\0\0\0\0\0",
    b"\0" * 8,
)


def exif_with_comment(text: str) -> bytes:
    """An EXIF block that holds a text and nothing else.

    The text is UTF-16, high byte first, as A1111 (piexif) writes it.
    """
    comment = _UNICODE + text.encode("utf-16-be", "replace")
    header = b"MM\0*" + struct.pack(">I", 8)
    first = struct.pack(">HHHIII", 1, _EXIF_POINTER, _LONG, 1, 26, 0)
    inner = struct.pack(">HHHIII", 1, _USER_COMMENT, _UNDEFINED, len(comment), 44, 0)
    return b"Exif\0\0" + header + first + inner + comment


def user_comment(exif: bytes) -> str | None:
    """The text of Exif.UserComment; None where there is none or the block is damaged.

    Args:
        exif: with or without the leading ``Exif\\0\\0``.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(order + "I", block, 4)
        pointer = _entry(block, order, first, _EXIF_POINTER)
        if pointer is None:
            return None
        found = _entry(block, order, pointer[1], _USER_COMMENT)
    except struct.error:
        return None
    if found is None or found[0] > MAX_BYTES:
        return None
    count, start = found
    return _decoded(block[start : start + count], little=order == "<") or None


def _entry(block: bytes, order: str, directory: int, wanted: int) -> tuple[int, int] | None:
    """(count, value or offset) of a tag in a directory."""
    (entries,) = struct.unpack_from(order + "H", block, directory)
    for index in range(entries):
        at = directory + 2 + 12 * index
        tag, _, count, value = struct.unpack_from(order + "HHII", block, at)
        if tag == wanted:
            return count, value
    return None


def _decoded(comment: bytes, *, little: bool) -> str:
    code, body = comment[:8], comment[8:]
    if code == _UNICODE:
        return body.decode(_utf16(body, little=little), "replace").strip("\0")
    if code == _JIS:
        return body.decode("shift_jis", "replace").strip("\0")
    if code in (_ASCII, _UNDEFINED_CODE):
        return body.decode("utf-8", "replace").strip("\0")
    return comment.decode("utf-8", "replace").strip("\0")


def _utf16(body: bytes, *, little: bool) -> str:
    """Which byte comes first: A1111 always writes the high one, others obey the header."""
    sample = body[:2000]
    high_first = sample[0::2].count(0) - sample[1::2].count(0)
    if high_first == 0:
        return "utf-16-le" if little else "utf-16-be"
    return "utf-16-be" if high_first > 0 else "utf-16-le"
