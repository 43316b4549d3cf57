"""Embeddings in pictures: in a PNG's text, or in the low bits of a border at either side.

A1111's format: JSON, a tensor being ``{"TORCHTENSOR": [[...]]}``. In the text ``sd-ti-embedding``
it is base64; in the borders it is zlib's, its low halves of bytes left and its high halves right of
the picture, both behind a black column and masked by a fixed row of numbers.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from webui.errors import UnsupportedModel

TEXT_KEY = "sd-ti-embedding"
MAX_JSON_BYTES = 32 * 1024 * 1024
MAX_PIXELS = 16 * 1024 * 1024
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def read_embedding_image(path: Path) -> object | None:
    """Return what a picture's embedding consists of, or None if it has none.

    Raises:
        UnsupportedModel: if the picture cannot be read, or its embedding is damaged.
    """
    if path.stem.lower().endswith(".preview"):
        return None
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            image.load()
            text = getattr(image, "text", {}).get(TEXT_KEY)
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise UnsupportedModel(f"{path.name} is no picture that can be read.") from error
    try:
        payload = base64.b64decode(text) if text else border_payload(pixels)
        if payload is None:
            return None
        data: object = json.loads(payload, object_hook=_tensor)
    except (binascii.Error, zlib.error, ValueError, TypeError, RecursionError) as error:
        if not text:
            return None  # a picture with black columns of its own
        raise UnsupportedModel(f"The embedding in {path.name} is damaged.") from error
    return data


def border_payload(pixels: Bytes) -> bytes | None:
    """Return the bytes in a picture's borders, or None if it has no borders of data.

    Args:
        pixels: [H, W, 3], 0 to 255.
    Raises: zlib.error, ValueError: what looks like data is none.
    """
    nibbles = _without_frame(pixels) & 0x0F
    (black,) = np.nonzero(nibbles.sum(axis=(0, 2)) == 0)
    if len(black) < 2:
        return None
    low, high = nibbles[:, : black.min()], nibbles[:, black.max() + 1 :]
    if low.shape != high.shape:
        return None
    mask = masking_row(low.size).reshape(low.shape)
    packed = ((high ^ mask) << 4) | (low ^ mask)
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(packed.tobytes(), MAX_JSON_BYTES)
    if not unpacker.eof:
        raise ValueError("more than an embedding can hold")
    return unpacked


def masking_row(count: int) -> Bytes:
    """Return the numbers that data is masked with, [count], 0 to 15.

    They are those of a linear congruential generator (Numerical Recipes', from 0).
    """
    powers = np.full(count, 1664525, dtype=np.uint32)
    powers[:1] = 1
    sums = np.cumsum(np.multiply.accumulate(powers, dtype=np.uint32), dtype=np.uint32)
    states = sums * np.uint32(1013904223)
    return np.bitwise_and((states % 255).astype(np.uint8), np.uint8(0x0F))


def _without_frame(pixels: Bytes) -> Bytes:
    """Cut off the rows and columns around a picture in which every pixel has a channel at 0."""
    bright = np.asarray((pixels > 0).all(axis=2))
    (rows,), (columns,) = np.nonzero(bright.any(axis=1)), np.nonzero(bright.any(axis=0))
    if not len(rows):
        return pixels[:0]
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _tensor(entry: dict[str, Any]) -> object:
    if "TORCHTENSOR" in entry:
        return torch.tensor(entry["TORCHTENSOR"], dtype=torch.float32)
    return entry
