"""What the header of a collapsed group says about its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webui.request import Hires, hires_target
from webui.ui.locale import label


def hires(values: Mapping[str, Any]) -> str:
    """E.g. 'Hires fix · 512×512 → 1024×1024, Latent, 0.7'."""
    if not values.get("hires.on"):
        return label("group.hires.off")
    width, height = int(values.get("width") or 512), int(values.get("height") or 512)
    hires_part = Hires(
        scale=float(values.get("hires.scale") or 1),
        resize_width=int(values.get("hires.resize_width") or 0),
        resize_height=int(values.get("hires.resize_height") or 0),
    )
    target = hires_target(width, height, hires_part)
    final = f"{target.width - target.crop_width}×{target.height - target.crop_height}"
    strength = values.get("hires.denoising_strength") or 0
    upscaler = values.get("hires.upscaler")
    return f"{label('group.hires')} · {width}×{height} → {final}, {upscaler}, {strength:g}"


def refiner(values: Mapping[str, Any]) -> str:
    """E.g. 'Refiner · name.safetensors from 0.8'."""
    if not values.get("refiner.on"):
        return label("group.refiner.off")
    checkpoint = values.get("refiner.checkpoint")
    if not checkpoint:
        return label("group.refiner.none")
    return f"{label('group.refiner')} · {checkpoint}, {values.get('refiner.switch_at') or 0:g}"


def soft_inpainting(values: Mapping[str, Any]) -> str:
    """'Soft inpainting · on' or off."""
    return label("group.soft.on" if values.get("init.inpaint.soft.on") else "group.soft.off")
