"""Width and height with swap and ratio presets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from webui.ui.forms.controls import Controls, Drawer
from webui.ui.widgets.buttons import tool_button

RATIOS = ((1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16))


@dataclass(frozen=True)
class SizeTools:
    """Swap button, and a button each ratio."""

    swap: Any
    presets: dict[tuple[int, int], Any]


def draw_size(draw: Drawer) -> tuple[Controls, SizeTools]:
    """Draw the sliders and their tools."""
    tab = draw.tab
    with gr.Row(elem_id=f"{tab}_column_size", elem_classes=["easel-fields", "easel-tight"]):
        controls = draw.slider("width", 64, 2048, 8)
        swap = tool_button("swap", "size.swap", f"{tab}_res_switch_btn")
        controls |= draw.slider("height", 64, 2048, 8)
    presets = {}
    with gr.Row(elem_id=f"{tab}_ratios", elem_classes=["easel-chips"]):
        for ratio in RATIOS:
            name = f"{ratio[0]}:{ratio[1]}"
            elem_id = f"{tab}_ratio_{ratio[0]}_{ratio[1]}"
            presets[ratio] = gr.Button(
                name, size="sm", elem_id=elem_id, elem_classes=["easel-chip"], min_width=0
            )
    return controls, SizeTools(swap, presets)


def sides(ratio: tuple[int, int], native: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a ratio with as many pixels as the native size, in steps of 8."""
    area = native[0] * native[1]
    width = math.sqrt(area * ratio[0] / ratio[1])
    step = 64 if min(native) >= 512 else 8
    rounded = (max(round(side / step) * step, 64) for side in (width, area / width))
    return next(rounded), next(rounded)


def preset(native: Callable[[], tuple[int, int]], ratio: tuple[int, int]) -> Callable[[], Any]:
    """The handler of a ratio's button."""

    def chosen() -> tuple[int, int]:
        return sides(ratio, native())

    return chosen
