"""Encode pictures with their infotext, and read the infotext of any picture file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from webui.image_files.exif import JPEG_MAX_BYTES, exif_with_comment, user_comment
from webui.image_files.infotext import format_infotext
from webui.images.codec import DEFAULT_LIMITS, Limits, open_checked
from webui.images.png_text import read_texts

Format = Literal["png", "jpg", "webp", "avif", "gif"]
INFOTEXT = "parameters"
"""Keyword of the PNG chunk that holds the infotext."""

NO_TEXTS: Mapping[str, str] = MappingProxyType({})
MIME_TYPES: Mapping[Format, str] = MappingProxyType(
    {
        "png": "image/png",
        "jpg": "image/jpeg",
        "webp": "image/webp",
        "avif": "image/avif",
        "gif": "image/gif",
    }
)
_MAX_SIDE: dict[Format, int] = {"jpg": 65_500, "webp": 16_383, "avif": 16_384, "gif": 65_535}
_NOVELAI_SAMPLERS = {
    "k_euler_ancestral": "Euler a",
    "k_euler": "Euler",
    "k_lms": "LMS",
    "k_heun": "Heun",
    "k_dpm_2": "DPM2",
    "k_dpm_2_ancestral": "DPM2 a",
    "k_dpm_fast": "DPM fast",
    "k_dpm_adaptive": "DPM adaptive",
    "k_dpmpp_2m": "DPM++ 2M",
    "k_dpmpp_2s_ancestral": "DPM++ 2S a",
    "k_dpmpp_sde": "DPM++ SDE",
    "k_dpmpp_2m_sde": "DPM++ 2M SDE",
    "ddim": "DDIM",
    "ddim_v3": "DDIM",
    "plms": "PLMS",
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a picture file says besides its pixels.

    Attributes:
        infotext: None if it says nothing about its making.
        items: every other text by keyword.
    """

    infotext: str | None
    items: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """How pictures are packed.

    Attributes:
        format: file format.
        quality: of JPEG, WEBP and AVIF, 1 to 100.
        lossless: WEBP without loss.
    """

    format: Format = "png"
    quality: int = 80
    lossless: bool = False


DEFAULT_OPTIONS = EncodeOptions()


def can_encode(size: tuple[int, int], kind: Format) -> bool:
    """Whether a format can hold a picture of that size."""
    return max(size) <= _MAX_SIDE.get(kind, max(size))


def can_hold(infotext: str, kind: Format) -> bool:
    """Whether a format has room for an infotext: a JPEG has 64 kB."""
    return kind != "jpg" or len(exif_with_comment(infotext)) <= JPEG_MAX_BYTES


def encode(
    image: Image.Image,
    options: EncodeOptions = DEFAULT_OPTIONS,
    infotext: str | None = None,
    texts: Mapping[str, str] = NO_TEXTS,
) -> bytes:
    """Pack a picture together with its infotext.

    Args:
        image: any mode; alpha is dropped where A1111 drops it (JPEG, WEBP), 16 bits become 8 there.
        infotext: in the chunk "parameters" (PNG), in EXIF (JPEG, WEBP, AVIF), or in the comment
            (GIF); left out where it has no room (see `can_hold`).
        texts: further chunks of a PNG.
    Returns: the file.
    """
    arguments: dict[str, Any] = {}
    match options.format:
        case "png":
            arguments = {"format": "PNG", "pnginfo": _png_info(infotext, texts)}
        case "gif":
            comment = infotext.encode("utf-8", "replace") if infotext else b""
            arguments = {"format": "GIF", "comment": comment}
        case "jpg":
            image = _eight_bit_rgb(image)
            arguments = {"format": "JPEG", "quality": options.quality}
        case "webp":
            image = _eight_bit_rgb(image)
            arguments = {
                "format": "WEBP",
                "quality": options.quality,
                "lossless": options.lossless,
            }
        case "avif":
            arguments = {"format": "AVIF", "quality": options.quality}
    if options.format in ("jpg", "webp", "avif"):
        holds = infotext is not None and can_hold(infotext, options.format)
        arguments["exif"] = exif_with_comment(infotext) if infotext and holds else b""
    out = io.BytesIO()
    image.save(out, **arguments)
    return out.getvalue()


def read_metadata(content: bytes, limits: Limits = DEFAULT_LIMITS) -> Metadata:
    """Read what a picture file says; its pixels are not decoded.

    EXIF wins over the PNG chunk, as in A1111; pictures of NovelAI are translated.

    Raises: BadImage: it is no picture, or beyond the limits.
    """
    image = open_checked(content, limits)
    if image.format == "PNG":
        items = read_texts(content)
    else:
        items = {str(key): value for key, value in image.info.items() if isinstance(value, str)}
    infotext = items.pop(INFOTEXT, None)
    exif, comment = image.info.get("exif"), image.info.get("comment")
    said = user_comment(exif) if isinstance(exif, bytes) else None
    if said:
        items["exif comment"] = infotext = said
    elif isinstance(comment, bytes) and infotext is None:
        infotext = comment.decode("utf-8", "replace") or None
    if items.get("Software") == "NovelAI":
        infotext = _from_novelai(items, image.size) or infotext
    return Metadata(infotext, items)


def _png_info(infotext: str | None, texts: Mapping[str, str]) -> PngInfo:
    info = PngInfo()
    chunks = dict(texts) if infotext is None else {**texts, INFOTEXT: infotext}
    for keyword, text in chunks.items():
        value = text.encode("utf-8", "replace").decode("utf-8")
        if value.isascii():
            info.add_text(keyword, value)
        else:
            info.add_itxt(keyword, value)
    return info


def _eight_bit_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def _from_novelai(items: Mapping[str, str], size: tuple[int, int]) -> str | None:
    """NovelAI's own notes as an infotext; None where they are damaged."""
    try:
        notes = json.loads(items["Comment"])
        sampler = _NOVELAI_SAMPLERS.get(str(notes["sampler"]), "Euler a")
        pairs = {
            "Steps": notes["steps"],
            "Sampler": sampler,
            "CFG scale": notes["scale"],
            "Seed": notes["seed"],
            "Size": f"{size[0]}x{size[1]}",
            "Clip skip": 2,
            "ENSD": 31337,
        }
        return format_infotext(items["Description"], str(notes["uc"]), pairs)
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
