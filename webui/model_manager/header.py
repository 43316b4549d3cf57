"""The header of a safetensors file, believed only after it has been checked.

Layout: 8 bytes little-endian length n, n bytes of JSON ``{name: {dtype, shape, data_offsets}}``
with an optional ``__metadata__`` of strings, then the tensors' bytes, end to end.
Source: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from webui.errors import UnsupportedModel
from webui.families.base import TensorInfo

MAX_HEADER_BYTES = 5 * 1024 * 1024
"""Large checkpoints have half a megabyte, LoRA files with all their training notes one or two."""
MAX_TENSORS = 30_000
MAX_BRACKETS = 300_000
"""A tensor takes three; what notes hold besides are strings with some of their own."""
MAX_DIMENSIONS = 8

DTYPE_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What a safetensors file holds, and where.

    Args:
        tensors: by name.
        offsets: by name: first byte in the file, and number of bytes.
        metadata: free text by name, e.g. ``modelspec.title``.
    """

    tensors: Mapping[str, TensorInfo]
    offsets: Mapping[str, tuple[int, int]]
    metadata: Mapping[str, str]


def read_header(path: Path) -> SafetensorsHeader:
    """Read and check a file's header; nothing is allocated for its tensors.

    Raises:
        UnsupportedModel: if the file is damaged or built to do harm.
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        file_bytes = path.stat().st_size
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or length < 2:
            _refuse(path, "it is too short")
        if length > MAX_HEADER_BYTES:
            _refuse(path, f"its header claims {length} bytes")
        if 8 + length > file_bytes:
            _truncated(path)
        text = file.read(length)
    entries = _parse(path, text)
    metadata = _metadata(path, entries.pop("__metadata__", None))
    if len(entries) > MAX_TENSORS:
        _refuse(path, f"it lists {len(entries)} tensors")
    tensors: dict[str, TensorInfo] = {}
    offsets: dict[str, tuple[int, int]] = {}
    for name, entry in entries.items():
        tensors[name], begin, end = _check_entry(path, name, entry)
        offsets[name] = (8 + length + begin, end - begin)
    _check_layout(path, offsets, 8 + length, file_bytes)
    return SafetensorsHeader(tensors, offsets, metadata)


def _parse(path: Path, text: bytes) -> dict[str, object]:
    if text.count(b"[") + text.count(b"{") > MAX_BRACKETS:
        _refuse(path, "its header is not a list of tensors")
    try:
        parsed = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        _refuse(path, "its header is not readable")
    if not isinstance(parsed, dict):
        _refuse(path, "its header is not readable")
    return parsed


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _metadata(path: Path, value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        _refuse(path, "its notes (__metadata__) are not text")
    if not all(isinstance(text, str) for text in value.values()):
        _refuse(path, "its notes (__metadata__) are not text")
    return value


def _check_entry(path: Path, name: str, entry: object) -> tuple[TensorInfo, int, int]:
    """Return an entry's shape and dtype, and where its bytes begin and end after the header."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        _refuse(path, f"its entry for {name[:80]!r} is not a tensor's")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        _refuse(path, f"{name[:80]!r} has the unknown number format {str(dtype)[:20]!r}")
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        _refuse(path, f"{name[:80]!r} has no sensible shape")
    if not _are_sizes(place) or len(place) != 2:
        _refuse(path, f"{name[:80]!r} has no sensible place in the file")
    begin, end = place
    if end - begin != math.prod(shape) * DTYPE_BYTES[dtype]:
        _refuse(path, f"the size of {name[:80]!r} does not fit its shape")
    return TensorInfo(tuple(shape), dtype), begin, end


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 2**48 for item in value
    )


def _check_layout(
    path: Path, offsets: Mapping[str, tuple[int, int]], start: int, file_bytes: int
) -> None:
    """Hold that the tensors lie end to end, from the header to the end of the file."""
    position = start
    for begin, count in sorted(offsets.values()):
        if begin < position:
            _refuse(path, "its tensors overlap")
        if begin > position:
            _refuse(path, "there are gaps between its tensors")
        position = begin + count
    if position > file_bytes:
        _truncated(path)
    if position < file_bytes:
        _refuse(path, f"it has {file_bytes - position} bytes after its last tensor")


def _truncated(path: Path) -> NoReturn:
    raise UnsupportedModel(
        f"{path.name} is incomplete: the file ends before its last tensor. Download it again."
    )


def _refuse(path: Path, reason: str) -> NoReturn:
    raise UnsupportedModel(
        f"{path.name} is no valid safetensors file: {reason}. Download it again, from a source"
        " that you trust."
    )
