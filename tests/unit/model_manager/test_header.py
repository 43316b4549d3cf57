from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from webui.errors import UnsupportedModel
from webui.families.base import TensorInfo
from webui.model_manager.header import MAX_HEADER_BYTES, read_header


def write(path: Path, header: Any, body: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    count = len(text) if length is None else length
    path.write_bytes(count.to_bytes(8, "little") + text + body)
    return path


def entry(begin: int, end: int, shape: list[Any] | None = None, dtype: str = "F32") -> Any:
    shape = [(end - begin) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_says_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {"b": torch.zeros(2, 3), "a": torch.zeros(5, dtype=torch.bfloat16)}
    save_file(tensors, path, metadata={"modelspec.title": "Two"})
    header = read_header(path)
    assert header.tensors == {"a": TensorInfo((5,), "BF16"), "b": TensorInfo((2, 3), "F32")}
    assert header.metadata == {"modelspec.title": "Two"}
    begins = [begin for begin, _ in sorted(header.offsets.values())]
    assert begins[1] - begins[0] in (10, 24)
    assert sum(count for _, count in header.offsets.values()) == 34


def test_scalars_and_empty_tensors_are_allowed(tmp_path: Path) -> None:
    header = {"scalar": entry(0, 4, []), "empty": entry(4, 4, [0, 7])}
    path = write(tmp_path / "m.safetensors", header, bytes(4))
    assert read_header(path).tensors == {
        "scalar": TensorInfo((), "F32"),
        "empty": TensorInfo((0, 7), "F32"),
    }


CORRUPTIONS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty file": (lambda p: _raw(p, b""), "too short"),
    "half a length": (lambda p: _raw(p, b"\x10\x00\x00"), "too short"),
    "zero length": (lambda p: _raw(p, bytes(64)), "too short"),
    "huge length": (lambda p: write(p, {}, length=2**63), "header claims"),
    "length above the cap": (lambda p: write(p, {}, length=MAX_HEADER_BYTES + 1), "claims"),
    "length above the file": (lambda p: write(p, {}, length=1000), "incomplete"),
    "no json": (lambda p: write(p, b"{not json}"), "not readable"),
    "no utf-8": (lambda p: write(p, b'{"\xff\xfe": 1}'), "not readable"),
    "a list": (lambda p: write(p, [1, 2]), "not readable"),
    "deep nesting": (lambda p: write(p, b"[" * 200_000), "not readable"),
    "endless number": (lambda p: write(p, b'{"a": ' + b"9" * 50_000 + b"}"), "not readable"),
    "name twice": (
        lambda p: write(p, b'{"a": 1, "a": {"dtype": "F32"}}'),
        "not readable",
    ),
    "entry is a number": (lambda p: write(p, {"a": 7}), "not a tensor's"),
    "entry without shape": (lambda p: write(p, {"a": {"dtype": "F32"}}), "not a tensor's"),
    "unknown dtype": (lambda p: write(p, {"a": entry(0, 4, dtype="F99")}, bytes(4)), "format"),
    "dtype is a list": (
        lambda p: write(p, {"a": entry(0, 4) | {"dtype": ["F32"]}}, bytes(4)),
        "format",
    ),
    "negative size": (lambda p: write(p, {"a": entry(0, 4, [-1])}, bytes(4)), "sensible shape"),
    "fractional size": (lambda p: write(p, {"a": entry(0, 4, [1.0])}, bytes(4)), "sensible shape"),
    "size is true": (lambda p: write(p, {"a": entry(0, 4, [True])}, bytes(4)), "sensible shape"),
    "nine dimensions": (lambda p: write(p, {"a": entry(0, 4, [1] * 9)}, bytes(4)), "shape"),
    "a trillion values": (lambda p: write(p, {"a": entry(0, 4, [10**12])}, bytes(4)), "not fit"),
    "overflowing size": (lambda p: write(p, {"a": entry(0, 4, [2**62] * 4)}, bytes(4)), "shape"),
    "offsets reversed": (lambda p: write(p, {"a": entry(4, 0, [1])}, bytes(4)), "not fit"),
    "offset missing": (
        lambda p: write(p, {"a": entry(0, 4) | {"data_offsets": [0]}}, bytes(4)),
        "place",
    ),
    "overlap": (lambda p: write(p, {"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), "overlap"),
    "same bytes twice": (
        lambda p: write(p, {"a": entry(0, 8), "b": entry(0, 8)}, bytes(8)),
        "overlap",
    ),
    "gap": (lambda p: write(p, {"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)), "gaps"),
    "truncated": (lambda p: write(p, {"a": entry(0, 400)}, bytes(399)), "incomplete"),
    "bytes at the end": (lambda p: write(p, {"a": entry(0, 4)}, bytes(9)), "after its last"),
    "notes are numbers": (lambda p: write(p, {"__metadata__": {"a": 1}}), "notes"),
    "notes are a list": (lambda p: write(p, {"__metadata__": ["a"]}), "notes"),
    "too many tensors": (
        lambda p: write(p, {f"{i}": entry(0, 0, [0]) for i in range(30_001)}),
        "lists 30001 tensors",
    ),
    "a million lists": (lambda p: write(p, b'{"a": [' + b"[]," * 10**6 + b"[]]}"), "not a list"),
}


def _raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_refuses(kind: str, tmp_path: Path) -> None:
    make, reason = CORRUPTIONS[kind]
    with pytest.raises(UnsupportedModel, match=reason) as caught:
        read_header(make(tmp_path / "model.safetensors"))
    assert str(caught.value).startswith("model.safetensors is ")
    assert str(caught.value).endswith(".")


def test_the_largest_header_allowed_takes_little_memory(tmp_path: Path) -> None:
    text = b"{" + b",".join(b'"%x":{}' % i for i in range(90_000)) + b', "note": "'
    text += b" " * (MAX_HEADER_BYTES - len(text) - 2) + b'"}'
    assert len(text) == MAX_HEADER_BYTES
    path = write(tmp_path / "m.safetensors", text)
    tracemalloc.start()
    with pytest.raises(UnsupportedModel, match="lists 90001 tensors"):
        read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6
