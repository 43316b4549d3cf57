"""From the keys of LoRA files to the layers of a loaded model.

Three ways of naming are in use: kohya's (``lora_unet_down_blocks_0_...``, also with the names of
CompVis' layout), PEFT's and diffusers' (``unet.down_blocks.0....lora_A.weight``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from webui.families.base import Networks
from webui.families.ldm_names import unet_name

BUNDLED_EMBEDDING = "bundle_emb."


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with a weight.

    Args:
        role: of the network that it is part of.
        path: within the network.
        attention: where OpenCLIP has one weight for query, key and value: the path of the
            attention, all four layers of which a file must change together; else None.
    """

    role: str
    path: str
    module: nn.Module
    attention: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether it belongs to a text encoder."""
        return self.role != "unet"


def layer_names(networks: Networks, family_id: str) -> dict[str, Layer]:
    """Return a model's layers by every name that files have for them.

    Args:
        family_id: see `LoadedModel`; tells OpenCLIP's text encoders from CLIP's.
    """
    names: dict[str, Layer] = {}
    for path, module in _layers(networks["unet"]):
        layer = Layer("unet", path, module)
        for name in _unet_names(networks["unet"], path):
            names[name.replace(".", "_")] = layer
    for role, prefixes in _text_prefixes(networks).items():
        is_open_clip = role == "text_encoder_2" or family_id.startswith("sd2")
        for path, module in _layers(networks[role]):
            group, _, last = path.rpartition(".")
            in_attention = is_open_clip and last in _ATTENTION
            layer = Layer(role, path, module, f"{role}.{group}" if in_attention else None)
            name = path.removeprefix("text_model.").replace(".", "_")
            for prefix in prefixes:
                names[f"{prefix}_text_model_{name}"] = layer
    return names


_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for path, module in network.named_modules():
        if isinstance(getattr(module, "weight", None), nn.Parameter):
            yield path, module


def _unet_names(unet: nn.Module, path: str) -> Iterator[str]:
    config = unet.config
    cross = [str(kind).startswith("CrossAttn") for kind in config.down_block_types]  # type: ignore[union-attr]
    own = unet_name(f"{path}.weight", config.layers_per_block, cross).rpartition(".")[0]  # type: ignore[union-attr, arg-type]
    for name in (path, own):
        yield f"lora_unet_{name}"
        yield f"oft_unet_{name}"
    yield f"diffusion_model_{own}"


def _text_prefixes(networks: Networks) -> Mapping[str, tuple[str, ...]]:
    if "text_encoder" not in networks:
        return {}  # the refiner alone: A1111 finds no names for its text encoder
    if "text_encoder_2" not in networks:
        return {"text_encoder": ("lora_te", "lora_te1", "transformer")}
    return {
        "text_encoder": ("lora_te1", "0_transformer"),
        "text_encoder_2": ("lora_te2",),
    }


_PEFT_ROLES = {"unet.": "lora_unet", "text_encoder.": "lora_te1", "text_encoder_2.": "lora_te2"}
_PEFT_PARTS = (
    (re.compile(r"\.lora_A(\.\w+)?\.weight$|[._]lora(_linear_layer)?\.down\.weight$"), "lora_down"),
    (re.compile(r"\.lora_B(\.\w+)?\.weight$|[._]lora(_linear_layer)?\.up\.weight$"), "lora_up"),
)
_PEFT_OTHERS = re.compile(
    r"\.(lora_magnitude_vector)(?:\.\w+)*$|\.(alpha|dora_scale|lora_(?:up|down|mid)\.weight)$"
)


def split_key(key: str) -> tuple[str, str]:
    """Split a file's key into the layer's name, as in `layer_names`, and the part's.

    Parts of PEFT and diffusers get kohya's names: ``lora_up.weight``, ``lora_down.weight``.
    """
    key = key.removeprefix("base_model.model.")
    if key.startswith(("down_blocks.", "mid_block.", "up_blocks.")):
        key = f"unet.{key}"
    role = next((role for role in _PEFT_ROLES if key.startswith(role)), None)
    if role is None:
        layer, _, part = key.partition(".")
        part = re.sub(r"^lora_A(\.\w+)?\.", "lora_down.", part)
        return layer, re.sub(r"^lora_B(\.\w+)?\.", "lora_up.", part)
    path, part = _split_peft(key.removeprefix(role))
    path = path.replace(".processor", "")
    if role == "unet.":
        path = re.sub(r"\.to_out$", ".to_out.0", path)
    elif not path.startswith("text_model."):
        path = f"text_model.{path}"
    return f"{_PEFT_ROLES[role]}_{path.replace('.', '_')}", part


def _split_peft(key: str) -> tuple[str, str]:
    for pattern, part in _PEFT_PARTS:
        found = pattern.search(key)
        if found:
            return key[: found.start()], f"{part}.weight"
    found = _PEFT_OTHERS.search(key)
    if found:
        return key[: found.start()], found[1] or found[2]
    layer, _, part = key.rpartition(".")
    return layer, part
