"""Turn bytes from outside into pictures, within bounds, and pictures into base64."""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
import zlib
from dataclasses import dataclass

from PIL import Image

from webui.errors import BadImage
from webui.images.color import upright
from webui.images.png_text import SIGNATURE, read_texts

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
"""What is decoded at all; SVG, PSD, EPS, PDF and other programs are not."""

_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    AttributeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    UserWarning,
)
"""What Pillow's decoders raise at broken files (the warnings where they are made errors)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a picture from outside may ask of us.

    Attributes:
        pixels: width times height.
        bytes: of the file.
        frames: of an animation; the first is used.
        scans: passes of a progressive JPEG, each of which costs a full decoding.
        side: the longer side, pixels.
    """

    pixels: int = 64 * 1024 * 1024
    bytes: int = 64 * 1024 * 1024
    frames: int = 100
    scans: int = 64
    side: int = 65_535


DEFAULT_LIMITS = Limits()
_DAMAGED = "This picture is damaged: its pixels cannot be decoded. Save it anew, or choose another."


def decode(content: bytes, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Decode a picture file, turned upright.

    Returns: the first frame, in the file's mode; metadata in `info`.
    Raises: BadImage: of an unknown kind, broken, or beyond the limits; pixels are decoded only
        after all bounds were checked.
    """
    image = open_checked(content, limits)
    try:
        image.load()
        return upright(image)
    except _DECODER_ERRORS as error:
        raise BadImage(_DAMAGED) from error


def upright_size(content: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[int, int]:
    """(width, height) that `decode` would give, from the header where that suffices.

    Raises: BadImage: as `decode`.
    """
    image = open_checked(content, limits)
    try:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except _DECODER_ERRORS as error:  # a PNG's exif may lie behind its pixels
        raise BadImage(_DAMAGED) from error
    return (image.height, image.width) if turned else image.size


def open_checked(content: bytes, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Read a picture's header and check every bound; no pixels are decoded.

    Raises: BadImage: of an unknown kind, broken, or beyond the limits.
    """
    if not content:
        raise BadImage("This picture is empty.")
    if len(content) > limits.bytes:
        raise BadImage(
            f"This picture has {len(content) // 1024 // 1024} MB; at most"
            f" {limits.bytes // 1024 // 1024} MB are read."
        )
    if content.startswith(SIGNATURE):
        _check_png(content, limits)
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except _DECODER_ERRORS as error:
        kinds = ", ".join(FORMATS)
        raise BadImage(f"This is no picture that can be read ({kinds}).") from error
    _check_size(image.size, limits)
    _check_frames(image, content, limits)
    return image


def decode_base64(text: str, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Decode a picture from base64 or from a data URL.

    Raises: BadImage: as `decode`, or the text is no base64.
    """
    return decode(bytes_of_base64(text, limits), limits)


def bytes_of_base64(text: str, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The file inside base64 text or a `data:...;base64,` URL.

    Raises: BadImage: no base64, or larger than the limit.
    """
    if text[:5].lower() == "data:":
        header, comma, text = text.partition(",")
        if not comma or not header[:200].lower().endswith(";base64"):
            raise BadImage("This data URL holds no base64 picture.")
    if len(text) > limits.bytes // 3 * 4 + 1024:
        raise BadImage(
            f"This picture is larger than the {limits.bytes // 1024 // 1024} MB that are read."
        )
    compact = re.sub(r"\s+", "", text)
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadImage("This is no picture: the text is not base64.") from error


def to_base64(content: bytes) -> str:
    """Base64 without line breaks."""
    return base64.b64encode(content).decode("ascii")


def png_bytes(image: Image.Image) -> bytes:
    """A PNG file without any metadata, packed fast rather than tightly."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1, icc_profile=None)
    return out.getvalue()


def to_data_url(content: bytes, mime_type: str = "image/png") -> str:
    """A `data:` URL of a picture file."""
    return f"data:{mime_type};base64,{to_base64(content)}"


def _check_png(content: bytes, limits: Limits) -> None:
    if len(content) >= 24:
        _check_size(struct.unpack_from(">II", content, 16), limits)
    read_texts(content)


def _check_size(size: tuple[int, ...], limits: Limits) -> None:
    width, height = size
    if width * height > limits.pixels or max(width, height) > limits.side:
        raise BadImage(
            f"This picture has {width} x {height} pixels; at most"
            f" {limits.pixels / 1e6:.0f} million, {limits.side} a side, are read. Make it smaller."
        )


def _check_frames(image: Image.Image, content: bytes, limits: Limits) -> None:
    match image.format:
        case "GIF":
            frames = _gif_frames(content, limits.frames)
        case "TIFF":
            frames = _tiff_pages(content, limits.frames)
        case "JPEG" | "MPO":
            if content.count(b"\xff\xda") > limits.scans:
                raise BadImage(f"This JPEG has more than {limits.scans} passes; it is not read.")
            return
        case _:
            frames = getattr(image, "n_frames", 1)
    if frames > limits.frames:
        raise BadImage(f"This is an animation of more than {limits.frames} frames; use a picture.")


def _gif_frames(content: bytes, limit: int) -> int:
    """Count a GIF's frames by walking over its blocks; stops one after `limit`."""
    at = 13 + _palette_bytes(content[10:11])
    frames = 0
    while at < len(content) and frames <= limit:
        if content[at] == 0x2C:
            frames += 1
            at += 10 + _palette_bytes(content[at + 9 : at + 10]) + 1
        elif content[at] == 0x21:
            at += 2
        else:
            break
        while at < len(content) and content[at]:
            at += content[at] + 1
        at += 1
    return frames


def _palette_bytes(flags: bytes) -> int:
    return 3 * 2 ** ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _tiff_pages(content: bytes, limit: int) -> int:
    """Count a TIFF's pages by following their chain; stops one after `limit`."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    offset_format, count_format, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    pages = 0
    try:
        (at,) = struct.unpack_from(order + offset_format, content, 8 if big else 4)
        while at and pages <= limit:
            pages += 1
            (count,) = struct.unpack_from(order + count_format, content, at)
            at += struct.calcsize(count_format) + count * entry
            (at,) = struct.unpack_from(order + offset_format, content, at)
    except (struct.error, OverflowError):
        return pages
    return pages
