"""Textual inversion files of every format that A1111 reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard, TypeVar

from torch import Tensor

from webui.errors import UnsupportedModel
from webui.families.embeddings import Embedding, Slot
from webui.model_manager.networks.content import (
    NETWORK_HASH_DIGITS,
    network_hash,
    read_content,
)
from webui.model_manager.networks.embedding_image import read_embedding_image
from webui.model_manager.pickle_file import load_plain

IMAGE_SUFFIXES = (".png", ".webp", ".jxl", ".avif")
T = TypeVar("T", int, str)
MAX_VECTORS = 75
"""More do not fit into one row of the text encoder."""


def read_embedding(path: Path) -> Embedding | None:
    """Read a textual inversion file, by content: PyTorch's own, safetensors, or a picture.

    Returns: None for a picture that holds no embedding: a preview.
    Raises:
        UnsupportedModel: if the file is damaged, would run code, or holds no embedding.
    """
    name: str = path.stem
    if path.suffix.lower() in IMAGE_SUFFIXES:
        data: object = read_embedding_image(path)
        if data is None:
            return None
        if isinstance(data, Mapping) and isinstance(data.get("name"), str):
            name = data["name"]
    elif path.suffix.lower() == ".safetensors":
        data = read_content(path).tensors
    else:
        data = load_plain(path)
    if not isinstance(data, Mapping):
        raise _none_in(path)
    try:
        short = network_hash(path)[:NETWORK_HASH_DIGITS]
        return embedding_of(name, {str(key): value for key, value in data.items()}, short)
    except UnsupportedModel as error:
        raise _none_in(path) from error
    except OSError as error:
        raise UnsupportedModel(f"{path.name} cannot be read: {error.strerror}.") from error


def embedding_of(name: str, data: Mapping[str, object], short_hash: str) -> Embedding:
    """Make an embedding of what a file holds.

    Args:
        data: ``string_to_param`` (A1111), ``clip_l`` and ``clip_g`` (SDXL), or a single tensor
            under any name (diffusers, safetensors), [C] or [n, C].
        short_hash: see `Embedding`.
    Raises:
        UnsupportedModel: if it is none of these.
    """
    return Embedding(
        name,
        _vectors(data),
        short_hash,
        step=_as(int, data.get("step")),
        checkpoint=_as(str, data.get("sd_checkpoint")),
        checkpoint_name=_as(str, data.get("sd_checkpoint_name")),
    )


def _vectors(data: Mapping[str, object]) -> dict[Slot, Tensor]:
    nested = data.get("string_to_param")
    if nested is not None:
        nested = getattr(nested, "_parameters", nested)  # as PyTorch 1.11 stored it
        tensors = _tensors(nested) if isinstance(nested, Mapping) else []
        return {"any": _rows(tensors)}
    if "clip_g" in data and "clip_l" in data:
        pair: dict[Slot, Tensor] = {
            "clip_l": _rows(_tensors({"": data["clip_l"]})),
            "clip_g": _rows(_tensors({"": data["clip_g"]})),
        }
        if len(pair["clip_l"]) != len(pair["clip_g"]):
            raise UnsupportedModel("The embedding's two halves are of different length.")
        return pair
    return {"any": _rows(_tensors(data))}


def _tensors(data: Mapping[str, object]) -> list[Tensor]:
    return [value for value in data.values() if _is_vectors(value)]


def _is_vectors(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() in (1, 2)


def _rows(tensors: list[Tensor]) -> Tensor:
    if len(tensors) != 1:
        raise UnsupportedModel("The file does not hold one embedding.")
    rows: Tensor = tensors[0].detach().float()
    rows = rows.reshape(-1, rows.shape[-1]).contiguous()
    if not 0 < len(rows) <= MAX_VECTORS or not rows.shape[1]:
        raise UnsupportedModel(f"The embedding has {len(rows)} vectors; 1 to 75 are possible.")
    return rows


def _as(kind: type[T], value: object) -> T | None:
    return value if isinstance(value, kind) else None


def _none_in(path: Path) -> UnsupportedModel:
    return UnsupportedModel(
        f"{path.name} holds no embedding of textual inversion. Move it to the folder of its kind."
    )
