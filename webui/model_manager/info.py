"""What is known of a checkpoint without loading it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from webui.families import detect
from webui.families.base import Header
from webui.model_manager.catalog import CheckpointFile
from webui.model_manager.tensor_file import open_tensor_file

_RESOLUTION = re.compile(r"\s*(\d{2,5})\s*[x×]\s*(\d{2,5})\s*", re.IGNORECASE)
_UNET_INPUT = "model.diffusion_model.input_blocks.0.0.weight"
_DECODER_LAST_BLOCK = "first_stage_model.decoder.up.0.block.0.conv1.weight"
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
        unet_width: channels of the denoising network at the latents' size, 0 if not told.
        decoder_width: channels that the autoencoder's last block takes at the picture's size,
            likewise.
    """

    file: CheckpointFile
    family_id: str
    family_label: str
    native_width: int
    native_height: int
    metadata: Mapping[str, str]
    unet_width: int = 0
    decoder_width: int = 0

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
        unet_width = _channels(tensors.header, _UNET_INPUT, axis=0)
        decoder_width = _channels(tensors.header, _DECODER_LAST_BLOCK, axis=1)
    stated = _stated_size(metadata.get("modelspec.resolution", ""))
    width, height = stated or (family.native_size, family.native_size)
    return ModelInfo(
        file=file,
        family_id=family.id,
        family_label=family.label,
        native_width=width,
        native_height=height,
        metadata=metadata,
        unet_width=unet_width,
        decoder_width=decoder_width,
    )


def _channels(header: Header, name: str, *, axis: int) -> int:
    """Return a convolution's channels; 0 if the file has no such tensor."""
    if name not in header or len(header[name].shape) != 4:
        return 0
    return header[name].shape[axis]


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
