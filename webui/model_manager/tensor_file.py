"""Files of tensors: opened by content, checked first, read tensor by tensor into given memory."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from webui.errors import UnsupportedModel
from webui.families.base import Header
from webui.model_manager.header import SafetensorsHeader, read_header
from webui.model_manager.pickle_file import PICKLE_STARTS, PickleFile

TORCH_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
ALL_DTYPES = TORCH_DTYPES | {
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
STAGING_BYTES = 16 * 1024 * 1024


class TensorFile(Protocol):
    """An open file of named tensors."""

    @property
    def header(self) -> Header:
        """Names, shapes and dtypes, in the order in which reading is fastest."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """Free text by name; empty for files that have none."""
        ...

    def read_into(self, name: str, target: Tensor, first_row: int = 0) -> None:
        """Copy a tensor's values, or some of its rows.

        Args:
            name: in `header`.
            target: of the same shape up to trailing ones, or with fewer rows; any device and
                strides, any dtype that values can be converted to.
            first_row: of the tensor, that goes into the target's first.
        Raises:
            UnsupportedModel: if the file has changed since it was opened.
        """
        ...


class SafetensorsFile:
    """A safetensors file, read with plain reads.

    Nothing is mapped: a mapped file that somebody truncates kills the process, and converting out
    of a mapping needs the memory of the file twice.
    """

    def __init__(self, path: Path, file: io.FileIO, header: SafetensorsHeader) -> None:
        self.metadata = header.metadata
        names = sorted(header.tensors, key=lambda name: header.offsets[name])
        self.header: Header = {name: header.tensors[name] for name in names}
        self._offsets = header.offsets
        self._path = path
        self._file = file
        self._staging = torch.empty(0, dtype=torch.uint8)

    def read_into(self, name: str, target: Tensor, first_row: int = 0) -> None:
        """See `TensorFile.read_into`."""
        dtype = ALL_DTYPES[self.header[name].dtype]
        begin, count = self._offsets[name][0], target.numel() * dtype.itemsize
        if first_row:
            begin += first_row * (count // len(target))
        self._file.seek(begin)
        if target.device.type == "cpu" and target.dtype == dtype and target.is_contiguous():
            self._read(target.view(-1).view(torch.uint8))
            return
        rows = max(1, len(target))
        row_bytes = count // rows
        rows_at_once = max(1, STAGING_BYTES // max(1, row_bytes))
        for first in range(0, rows, rows_at_once):
            part = target[first : first + rows_at_once]
            staged = self._staged(len(part) * row_bytes)
            self._read(staged)
            part.copy_(staged.view(dtype).view(part.shape))

    def _staged(self, count: int) -> Tensor:
        """Return [count] uint8 of memory that is used again and again."""
        if len(self._staging) < count:
            self._staging = torch.empty(max(count, STAGING_BYTES), dtype=torch.uint8)
        return self._staging[:count]

    def _read(self, target: Tensor) -> None:
        """Fill a [n] uint8 tensor from where the file stands."""
        view = memoryview(target.numpy().data)
        while len(view):
            count = self._file.readinto(view)
            if not count:
                raise UnsupportedModel(
                    f"{self._path.name} has become shorter while it was read. Download it again."
                )
            view = view[count:]


@contextmanager
def open_tensor_file(path: Path) -> Iterator[TensorFile]:
    """Open a file of tensors; its content decides what it is, never its suffix.

    Raises:
        UnsupportedModel: if it is none, or damaged, or would run code.
    """
    if path.is_dir():
        raise UnsupportedModel(
            f"{path.name} is a folder. Choose a single file (.safetensors or .ckpt)."
        )
    try:
        with path.open("rb", buffering=0) as file:
            start = file.read(9)
            if start.startswith(PICKLE_STARTS):
                yield PickleFile(path)
            elif start[8:9] == b"{":
                yield SafetensorsFile(path, file, read_header(path))
            else:
                raise UnsupportedModel(_not_a_checkpoint(path, len(start)))
    except OSError as error:
        raise UnsupportedModel(
            f"{path.name} cannot be read: {error.strerror or error}. Check the file and the disk."
        ) from error


def _not_a_checkpoint(path: Path, length: int) -> str:
    if not length:
        return f"{path.name} is empty. Download it again."
    return (
        f"{path.name} is not a model file: it holds neither safetensors nor a PyTorch checkpoint."
        " A web page may have been saved in its place; download it again."
    )
