"""What is known of a checkpoint without loading it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from webui.families import detect
from webui.model_manager.catalog import CheckpointFile
from webui.model_manager.tensor_file import open_tensor_file

_RESOLUTION = re.compile(r"\s*(\d{2,5})\s*[x×]\s*(\d{2,5})\s*", re.IGNORECASE)
_SMALLEST_SIDE, _LARGEST_SIDE = 64, 4096


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A checkpoint for lists, infotexts and defaults.

    Args:
        file: where it lies, its names and hashes.
        family_id: e.g. ``sd1``.
        family_label: e.g. ``SD 1.x``.
        native_width: default width in pixels, a multiple of 8.
        native_height: likewise.
        metadata: what the file says of itself, e.g. ``modelspec.title``.
    """

    file: CheckpointFile
    family_id: str
    family_label: str
    native_width: int
    native_height: int
    metadata: Mapping[str, str]

    @property
    def title(self) -> str:
        """``name [short hash]``, without the hash until that is computed."""
        return self.file.title

    @property
    def name(self) -> str:
        """As infotexts write it, e.g. ``v1-5-pruned-emaonly``."""
        return self.file.model_name

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    @property
    def short_hash(self) -> str | None:
        """Ten hex digits, None until computed."""
        return self.file.short_hash


def describe_checkpoint(file: CheckpointFile) -> ModelInfo:
    """Read a file's header and say what it is.

    Raises:
        UnsupportedModel: if it is no checkpoint of a known family.
    """
    with open_tensor_file(file.path) as tensors:
        family = detect(file.path.name, tensors.header)
        metadata = tensors.metadata
    stated = _stated_size(metadata.get("modelspec.resolution", ""))
    width, height = stated or (family.native_size, family.native_size)
    return ModelInfo(
        file=file,
        family_id=family.id,
        family_label=family.label,
        native_width=width,
        native_height=height,
        metadata=metadata,
    )


def _stated_size(text: str) -> tuple[int, int] | None:
    """Read ``128x128``; None if it is no size that a picture can have."""
    match = _RESOLUTION.fullmatch(text)
    if match is None:
        return None
    width, height = int(match[1]), int(match[2])
    sides_fit = all(
        _SMALLEST_SIDE <= side <= _LARGEST_SIDE and side % 8 == 0 for side in (width, height)
    )
    return (width, height) if sides_fit else None
