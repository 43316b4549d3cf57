"""PyTorch's own files (.ckpt, .pt, .pth, .bin): pickles, read without running what they hold."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from webui.errors import UnsupportedModel
from webui.families.base import Header, TensorInfo

ARCHIVE_START = b"PK\x03\x04"
PICKLE_STARTS = (ARCHIVE_START, b"\x80\x02")
"""A zip archive, as PyTorch writes since 1.6; a bare pickle of protocol 2, as before."""
MAX_ARCHIVE_ENTRIES = 100_000
MAX_PICKLE_BYTES = 64 * 1024 * 1024
"""Of the part that is a pickle; the tensors lie beside it."""

_SAFETENSORS_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_NESTED = ("state_dict", "params_ema", "params-ema", "params")
"""Where state dicts lie; of two, the averaged one."""


class _ModelCheckpoint:
    """Stands in for pytorch_lightning's class, whose name old training files use as a key."""


class _ParameterDict:
    """Stands in for PyTorch's class, in which early A1111 kept an embedding's vectors."""


_HARMLESS: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    (_ModelCheckpoint, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
    (_ParameterDict, "torch.nn.modules.container.ParameterDict"),
    (_ModelCheckpoint, "lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint"),
]


class PickleFile:
    """A PyTorch file's tensors; see `TensorFile`.

    Args:
        path: the file. Only tensors and plain containers are made from it; the state dict may be
            the whole file or lie under ``state_dict``, or as upscalers have it (`_NESTED`).
    Raises:
        UnsupportedModel: if the file is damaged, holds no tensors, or names anything else to make.
    """

    metadata: Mapping[str, str] = {}

    def __init__(self, path: Path) -> None:
        self._tensors = _state_dict(path, load_plain(path))
        self.header: Header = {
            name: TensorInfo(tuple(tensor.shape), _SAFETENSORS_NAMES[tensor.dtype])
            for name, tensor in self._tensors.items()
        }

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """All tensors, integers too, by name."""
        return self._tensors

    def read_into(self, name: str, target: Tensor, first_row: int = 0) -> None:
        """See `TensorFile.read_into`."""
        values = self._tensors[name]
        if values.dim():
            values = values[first_row : first_row + len(target)]
        target.copy_(values.reshape(target.shape))


def load_plain(path: Path) -> object:
    """Unpickle tensors, plain values and containers, and nothing else.

    Raises:
        UnsupportedModel: if the file is damaged, or names anything else to make.
    """
    with path.open("rb") as file:
        is_archive = file.read(len(ARCHIVE_START)) == ARCHIVE_START
    if is_archive:
        _check_archive(path)
    # torch.load goes by the suffix .safetensors, and maps files by name only
    mapped = is_archive and path.suffix.lower() != ".safetensors"
    try:
        with torch.serialization.safe_globals(_HARMLESS), path.open("rb") as file:
            return torch.load(
                path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped
            )
    except pickle.UnpicklingError as error:
        raise UnsupportedModel(
            f"{path.name} was refused: it is a pickle that wants to run code, or is damaged."
            " Get the checkpoint as .safetensors."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UnsupportedModel(
            f"{path.name} is damaged or no PyTorch checkpoint. Download it again."
        ) from error


def _check_archive(path: Path) -> None:
    """Hold that an archive is no larger inside than outside."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError) as error:
        raise UnsupportedModel(
            f"{path.name} is damaged or incomplete. Download it again."
        ) from error
    pickles = [entry.file_size for entry in entries if entry.filename.endswith("data.pkl")]
    if len(pickles) != 1:
        raise UnsupportedModel(
            f"{path.name} is an archive, but not a PyTorch checkpoint. Unpack it first."
        )
    if (
        len(entries) > MAX_ARCHIVE_ENTRIES
        or pickles[0] > MAX_PICKLE_BYTES
        or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        or sum(entry.file_size for entry in entries) > path.stat().st_size
    ):
        raise UnsupportedModel(
            f"{path.name} was refused: the archive is built unlike a PyTorch checkpoint."
        )


def _state_dict(path: Path, loaded: object) -> dict[str, Tensor]:
    for key in _NESTED:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    if not isinstance(loaded, dict):
        raise UnsupportedModel(f"{path.name} holds no model. Download it again.")
    tensors = {
        name: value
        for name, value in loaded.items()
        if isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.dtype in _SAFETENSORS_NAMES
    }
    if not tensors:
        raise UnsupportedModel(f"{path.name} holds no tensors. Download it again.")
    return tensors
