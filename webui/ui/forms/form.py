"""The controls of one tab, by name: values in, updates out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from webui.settings import Settings
from webui.ui.forms.generation import Tab, Values, decode_override
from webui.ui.locale import label, words

FIXED_IDS = {
    "hires.checkpoint": "hr_checkpoint",
    "hires.sampler": "hr_sampler",
    "hires.schedule": "hr_scheduler",
    "hires.prompt": "hires_prompt",
    "hires.negative_prompt": "hires_neg_prompt",
    "init.resize_mode": "{tab}_resize_mode",
    "init.inpaint.mask_blur": "img2img_mask_blur",
    "init.inpaint.invert": "img2img_mask_mode",
    "init.inpaint.content": "img2img_inpainting_fill",
    "init.inpaint.only_masked": "img2img_inpaint_full_res",
    "init.inpaint.masked_padding": "img2img_inpaint_full_res_padding",
    "init.inpaint.mask": "img2maskimg",
    "init.inpaint.soft.on": "img2img_soft_inpainting-checkbox",
}
SUFFIXES = {
    "negative_prompt": "neg_prompt",
    "sampler": "sampling",
    "schedule": "scheduler",
    "seed.seed": "seed",
    "seed.extra": "subseed_show",
    "seed.resize_from_width": "seed_resize_from_w",
    "seed.resize_from_height": "seed_resize_from_h",
    "hires.on": "hr-checkbox",
    "hires.upscaler": "hr_upscaler",
    "hires.steps": "hires_steps",
    "hires.scale": "hr_scale",
    "hires.resize_width": "hr_resize_x",
    "hires.resize_height": "hr_resize_y",
    "refiner.on": "enable-checkbox",
    "refiner.checkpoint": "checkpoint",
    "refiner.switch_at": "switch_at",
    "init.images": "image",
    "init.scale_by": "scale",
    "overrides": "override_settings",
}


def element_id(tab: Tab, name: str) -> str:
    """The element id of a control: A1111's where it has one."""
    if tab == "inpaint" and name == "init.images":
        return FIXED_IDS["init.inpaint.mask"]
    if name in FIXED_IDS:
        return FIXED_IDS[name].format(tab=tab)
    suffix = SUFFIXES.get(name, name.rpartition(".")[2].replace("-", "_"))
    return f"{tab}_{suffix}"


def override_choices(entries: Iterable[str]) -> list[tuple[str, str]]:
    """(text, entry) for the entries of the control `overrides`, e.g. 'Clip skip: 2'."""
    choices = []
    for entry in entries:
        decoded = decode_override(entry)
        if decoded is not None:
            path, value = decoded
            choices.append((f"{_path_label(path)}: {value}", entry))
    return choices


def _path_label(path: str) -> str:
    head, _, rest = path.partition(".")
    if head == "overrides":
        return label(f"setting.{rest}") if rest in Settings.model_fields else rest
    key = f"field.{path}"
    return label(key) if key in words("en") else path


@dataclass(frozen=True)
class Form:
    """The controls of a tab.

    Attributes:
        controls: by control name; pictures are not among them.
        native: checkpoint's native (width, height) at the moment.
    """

    tab: Tab
    controls: Mapping[str, gr.components.Component]
    native: Callable[[], tuple[int, int]]

    def values(self, given: Mapping[Any, Any]) -> Values:
        """Control values by name, from what an event handed in by component."""
        return {name: given[control] for name, control in self.controls.items() if control in given}

    def updates(self, values: Mapping[str, Any]) -> dict[Any, Any]:
        """What an event must return so that the controls show `values`."""
        return {
            self.controls[name]: self._update(name, value)
            for name, value in values.items()
            if name in self.controls
        }

    def _update(self, name: str, value: Any) -> Any:  # noqa: ANN401 - a value of any control
        control = self.controls[name]
        if name == "overrides":
            return gr.update(value=value, choices=override_choices(value), visible=bool(value))
        if isinstance(control, gr.Slider):
            if value > control.maximum:
                return gr.update(value=value, maximum=value)
            if value < control.minimum:
                return gr.update(value=value, minimum=value)
        return gr.update(value=value)
