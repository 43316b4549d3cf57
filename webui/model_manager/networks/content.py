"""What a network's file says: its tensors, its notes, its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from webui.errors import UnsupportedModel
from webui.model_manager.hashes import BLOCK_BYTES
from webui.model_manager.header import read_header
from webui.model_manager.tensor_file import ALL_DTYPES, open_tensor_file

NETWORK_HASH_DIGITS = 12
_FIRST_NOTES = {
    "ss_sd_model_name": 1,
    "ss_resolution": 2,
    "ss_clip_skip": 3,
    "ss_num_train_images": 10,
    "ss_tag_frequency": 20,
}
"""Notes that A1111 lists first."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """All that a file of tensors holds.

    Args:
        tensors: by name, in the file's formats, on the CPU.
        metadata: free text by name.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def read_content(path: Path) -> FileContent:
    """Read a whole file, safetensors or PyTorch's own; nothing in it is run.

    Raises:
        UnsupportedModel: if it is neither, or damaged, or cannot be read.
    """
    with open_tensor_file(path) as file:
        tensors: dict[str, Tensor] = {}
        for name, info in file.header.items():
            if info.dtype not in ALL_DTYPES:
                raise UnsupportedModel(f"{path.name}: {name} has the number format {info.dtype}.")
            tensors[name] = torch.empty(info.shape, dtype=ALL_DTYPES[info.dtype])
            file.read_into(name, tensors[name])
        return FileContent(tensors, dict(file.metadata))


def read_notes(path: Path) -> dict[str, Any]:
    """Return a safetensors file's notes; values that are JSON objects are parsed.

    A file without notes, or of another kind, or unreadable, has none.
    """
    try:
        metadata = read_header(path).metadata
    except (UnsupportedModel, OSError):
        return {}
    notes = {key: _parsed(text) for key, text in metadata.items() if key != "ssmd_cover_images"}
    return dict(sorted(notes.items(), key=lambda note: _FIRST_NOTES.get(note[0], 999)))


def network_hash(path: Path, *, without_header: bool = False) -> str:
    """Return the sha256 of a file, 64 hex digits.

    Args:
        without_header: of a safetensors file's tensors alone, so that notes can be changed: how
            kohya's add-on and A1111 know LoRA files.
    Raises:
        OSError: if the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        if without_header and path.suffix.lower() == ".safetensors":
            file.seek(8 + int.from_bytes(file.read(8), "little"))
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _parsed(text: str) -> Any:  # noqa: ANN401  # whatever the JSON holds
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
