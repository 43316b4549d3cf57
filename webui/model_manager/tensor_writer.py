"""Writes a safetensors file tensor by tensor, so that no more than one has to be in memory."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from webui.errors import StorageError
from webui.families.base import TensorInfo
from webui.model_manager.header import DTYPE_BYTES

_ALIGNMENT = 8


class TensorWriter:
    """An open file that waits for its tensors, in the order in which they were announced.

    The file stands under a temporary name until all of them are there and on disk; leaving the
    context by an error removes it.

    Args:
        path: where the file will be; one that is there is replaced.
        tensors: name -> shape and dtype.
        metadata: free text by name.
    Raises:
        StorageError: the disk is full or not writable.
    """

    def __init__(
        self, path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]
    ) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.part")
        self._expected = iter(tensors.items())
        self._header = _header(tensors, metadata)
        self._file: io.BufferedWriter | None = None

    def __enter__(self) -> TensorWriter:
        with _told(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("wb")
            self._file.write(self._header)
        return self

    def write(self, name: str, tensor: Tensor) -> None:
        """Append the next tensor; must be the announced one, on the CPU."""
        expected, info = next(self._expected)
        data = tensor.contiguous().view(-1).view(torch.uint8).numpy()
        right = len(data) == DTYPE_BYTES[info.dtype] * _count(info.shape)
        assert self._file is not None and expected == name and right, name
        with _told(self._path):
            self._file.write(data.data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._file is not None
        try:
            with _told(self._path):
                if kind is None:
                    assert next(self._expected, None) is None, "tensors are missing"
                    self._file.flush()
                    os.fsync(self._file.fileno())
                self._file.close()
                if kind is None:
                    self._temporary.replace(self._path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _count(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


def _header(tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name, info in tensors.items():
        end = position + DTYPE_BYTES[info.dtype] * _count(info.shape)
        entries[name] = {
            "dtype": info.dtype,
            "shape": list(info.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path.name} could not be written ({error.strerror or error}). Make room on the disk,"
            " or check the folder's permissions."
        ) from error
