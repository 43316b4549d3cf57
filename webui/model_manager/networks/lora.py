"""A LoRA file, or one of its relatives, as changes by layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from webui.errors import UnsupportedModel
from webui.families.embeddings import Embedding
from webui.model_manager.networks.content import read_content
from webui.model_manager.networks.embedding_file import embedding_of
from webui.model_manager.networks.kinds import KINDS, Kind, Parts
from webui.model_manager.networks.naming import BUNDLED_EMBEDDING, Layer, split_key

INPAINTING_CHANNELS = 9


@dataclass(frozen=True)
class Change:
    """How a file changes one layer.

    Args:
        parts: in the file's formats, on the CPU.
    """

    kind: Kind
    parts: Parts

    @cached_property
    def scale(self) -> float:
        """The file's own factor: alpha / rank, or what it gives as ``scale``."""
        if self.kind.name == "OFT":
            return 1.0
        if "scale" in self.parts:
            return float(self.parts["scale"])
        rank = self.kind.rank(self.parts)
        if rank is None or "alpha" not in self.parts:
            return 1.0
        return float(self.parts["alpha"]) / max(rank, 1)

    _beside = frozenset({"lora_mid.weight", "bias", "dora_scale", "lora_magnitude_vector"})

    def add_to(self, weight: Tensor, multiplier: float, rank: int | None) -> None:
        """Change a weight in place.

        Args:
            weight: float32, contiguous; what networks before this one made of it.
            rank: use only so many ranks; None: all.
        Raises: ValueError, RuntimeError: the shapes do not fit; the weight is as it was.
        """
        weight.add_(self.change(weight, rank), alpha=multiplier)

    def factors(self, shape: torch.Size, rank: int | None) -> tuple[Tensor, Tensor] | None:
        """Return the change of a weight as two factors [o, r] and [r, i...], if it is that.

        They are in the file's formats; the scale is not in them. None: use `add_to`.
        """
        if self.kind.name != "LoRA" or not self._beside.isdisjoint(self.parts):
            return None
        up = self.parts["lora_up.weight"].flatten(1)[:, :rank]
        down = self.parts["lora_down.weight"].flatten(1)[:rank]
        fits = up.shape[1] == len(down) and (len(up), down.shape[1]) == (
            shape[0],
            shape[1:].numel(),
        )
        return (up, down) if fits else None

    def change(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """Return the change of a weight, of its shape, before the multiplier."""
        parts = {name: part.to(weight) for name, part in self.parts.items()}
        change = self.kind.change(parts, weight, rank)
        if "bias" in parts:
            change = change.reshape(parts["bias"].shape) + parts["bias"]
        change = _fitted(change, weight) * self.scale
        if "dora_scale" in parts:
            merged = weight + change
            norm = merged.transpose(0, 1).flatten(1).norm(dim=1)
            norm = norm.reshape(1, -1, *[1] * (weight.dim() - 2))
            change = merged * (parts["dora_scale"] / norm) - weight
        elif "lora_magnitude_vector" in parts:  # PEFT's DoRA: a norm for each row
            merged = weight + change
            norm = merged.flatten(1).norm(dim=1)
            factor = parts["lora_magnitude_vector"].flatten() / norm
            change = merged * factor.reshape(-1, *[1] * (weight.dim() - 1)) - weight
        return change

    def bias_change(self) -> Tensor | None:
        """Return the change of the layer's bias, before the multiplier."""
        if self.kind.name == "norm":
            return self.parts["b_norm"]
        return self.parts.get("diff_b") if self.kind.name == "full" else None


def _fitted(change: Tensor, weight: Tensor) -> Tensor:
    """Give a change its weight's shape; an inpainting network reads 5 channels more."""
    if change.numel() == weight.numel():
        return change.reshape(weight.shape)
    if weight.dim() == 4 and weight.shape[1] == INPAINTING_CHANNELS:
        change = change.reshape(len(weight), 4, *weight.shape[2:])
        return pad(change, (0, 0, 0, 0, 0, INPAINTING_CHANNELS - 4))
    raise ValueError(f"{list(change.shape)} does not fit a weight of {list(weight.shape)}")


@dataclass(frozen=True)
class LoraNetwork:
    """A file's changes.

    Args:
        changes: by the layer's name in the file; see `naming.layer_names`.
        unknown: keys that belong to no kind of change.
        embeddings: that came in the same file.
    """

    changes: Mapping[str, Change]
    unknown: tuple[str, ...] = ()
    embeddings: tuple[Embedding, ...] = field(default=())

    def matched(self, layers: Mapping[str, Layer]) -> tuple[dict[Layer, Change], list[str]]:
        """Return the changes by the layers of a model, and the names that match nothing.

        OpenCLIP's attention is changed only by files that hold all four of its layers.
        """
        found: dict[Layer, Change] = {}
        missing: list[str] = []
        for name, change in self.changes.items():
            if name in layers:
                found[layers[name]] = change
            else:
                missing.append(name)
        count: dict[str, int] = {}
        for layer in found:
            if layer.attention is not None:
                count[layer.attention] = count.get(layer.attention, 0) + 1
        complete = {
            layer: change
            for layer, change in found.items()
            if layer.attention is None or count[layer.attention] == 4
        }
        return complete, missing


def read_lora(path: Path) -> LoraNetwork:
    """Read a LoRA file or one of its relatives, of any naming.

    Raises:
        UnsupportedModel: if the file cannot be read, or holds no such network.
    """
    content = read_content(path)
    layers: dict[str, dict[str, Tensor]] = {}
    bundled: dict[str, dict[str, Tensor]] = {}
    for key, tensor in content.tensors.items():
        if key.startswith(BUNDLED_EMBEDDING):
            name, _, part = key.removeprefix(BUNDLED_EMBEDDING).partition(".")
            bundled.setdefault(name, {})[part.removeprefix("string_to_param.")] = tensor
            continue
        layer, part = split_key(key)
        layers.setdefault(layer, {})[part] = tensor
    _add_alphas(layers, content.metadata)
    changes: dict[str, Change] = {}
    unknown: list[str] = []
    for layer, parts in layers.items():
        kind = next((kind for kind in KINDS if kind.applies(parts)), None)
        if kind is None:
            unknown.append(layer)
        else:
            changes[layer] = Change(kind, parts)
    if not changes and not bundled:
        raise UnsupportedModel(
            f"{path.name} holds no LoRA or relative of it that Easel knows. Download it again, or"
            " move it to the folder of its kind."
        )
    embeddings = tuple(
        replace(embedding_of(name, parts, path.stem), is_bundled=True)
        for name, parts in bundled.items()
    )
    return LoraNetwork(changes, tuple(unknown), embeddings)


def _add_alphas(layers: dict[str, dict[str, Tensor]], metadata: Mapping[str, str]) -> None:
    """Take alphas from the notes, where diffusers puts PEFT's configuration."""
    try:
        notes = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except (ValueError, RecursionError):
        return
    if not isinstance(notes, dict):
        return
    roles = (("unet", "lora_unet"), ("text_encoder", "lora_te1"), ("text_encoder_2", "lora_te2"))
    for role, prefix in roles:
        alpha = notes.get(f"{role}.lora_alpha")
        if not isinstance(alpha, int | float):
            continue
        for layer, parts in layers.items():
            if layer.startswith(f"{prefix}_"):
                parts.setdefault("alpha", torch.tensor(float(alpha)))
