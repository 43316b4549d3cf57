"""Draws the controls of a request, group by group; each function returns them by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
    from webui.services import Services
from webui.ui.forms.form import element_id
from webui.ui.forms.generation import Tab, Values, defaults
from webui.ui.locale import label, words
from webui.ui.widgets.buttons import tool_button

Controls = dict[str, Any]


@dataclass(frozen=True)
class Drawer:
    """Draws single controls of one tab, labelled `field.<name>`."""

    tab: Tab
    services: Services
    start: Values

    @classmethod
    def of(cls, tab: Tab, services: Services) -> Drawer:
        """A drawer whose controls start at the request's defaults."""
        width, height = services.model_status().native
        return cls(tab, services, defaults(tab) | {"width": width, "height": height})

    def _shared(self, name: str) -> dict[str, Any]:
        info = f"field.{name}.info"
        return {
            "label": label(f"field.{name}"),
            "info": label(info) if info in words("en") else None,
            "elem_id": element_id(self.tab, name),
            "value": self.start[name],
            "interactive": True,
        }

    def slider(self, name: str, low: float, high: float, step: float = 1) -> Controls:
        """A slider with its number field."""
        return {
            name: gr.Slider(
                low, high, step=step, buttons=[], min_width=160, scale=1, **self._shared(name)
            )
        }

    def number(self, name: str, **more: Any) -> Controls:  # noqa: ANN401 - Gradio's arguments
        """A whole number."""
        return {name: gr.Number(precision=0, min_width=120, **self._shared(name), **more)}

    def dropdown(self, name: str, choices: Sequence[Any], **more: Any) -> Controls:  # noqa: ANN401
        """A searchable choice of one."""
        rest = {"min_width": 160, "allow_custom_value": False, **more}
        return {name: gr.Dropdown(choices=list(choices), **self._shared(name), **rest)}

    def radio(self, name: str, choices: Sequence[Any]) -> Controls:
        """A choice of one, all to be seen; labelled `choice.<name>.<value>`."""
        named = [(label(f"choice.{name}.{str(c).lower()}"), c) for c in choices]
        return {name: gr.Radio(choices=named, min_width=160, **self._shared(name))}

    def checkbox(self, name: str) -> Controls:
        """On or off."""
        return {name: gr.Checkbox(min_width=120, scale=0, **self._shared(name))}

    def switch(self, name: str) -> Controls:
        """On or off, drawn by the CSS at the right end of the next group's header."""
        shared = self._shared(name) | {"info": None}
        return {name: gr.Checkbox(container=False, elem_classes=["easel-switch"], **shared)}

    def text(self, name: str, lines: int) -> Controls:
        """A prompt."""
        return {
            name: gr.Textbox(
                lines=lines,
                max_lines=12,
                placeholder=label(f"field.{name}.placeholder"),
                **self._shared(name),
            )
        }


def sampling(draw: Drawer) -> Controls:
    """Sampler, schedule, steps, CFG."""
    services = draw.services
    with gr.Row(elem_id=f"{draw.tab}_sampler_row", elem_classes=["easel-fields"]):
        controls = draw.dropdown("sampler", services.sampler_names())
        controls |= draw.dropdown("schedule", services.schedule_names())
    with gr.Row(elem_classes=["easel-fields"]):
        controls |= draw.slider("steps", 1, 150)
        controls |= draw.slider("cfg_scale", 1, 30, 0.5)
    return controls


def batch(draw: Drawer) -> Controls:
    """Batch count and size."""
    with gr.Row(elem_classes=["easel-fields"]):
        controls = draw.slider("batch_count", 1, draw.services.flags.max_batch_count)
        controls |= draw.slider("batch_size", 1, 8)
    return controls


@dataclass(frozen=True)
class SeedButtons:
    """The buttons of the seed row."""

    random: Any
    reuse: Any
    random_subseed: Any
    reuse_subseed: Any
    extra_row: Any


def seed(draw: Drawer) -> tuple[Controls, SeedButtons]:
    """Seed, its buttons, and the extra row that a checkbox opens."""
    tab = draw.tab
    with gr.Row(elem_id=f"{tab}_seed_row", elem_classes=["easel-fields", "easel-tight"]):
        controls = draw.number("seed.seed", scale=1)
        random = tool_button("dice", "seed.random", f"{tab}_random_seed")
        reuse = tool_button("recycle", "seed.reuse", f"{tab}_reuse_seed")
        controls |= draw.checkbox("seed.extra")
    with gr.Column(elem_id=f"{tab}_seed_extras", visible=False) as extra_row:
        with gr.Row(elem_classes=["easel-fields", "easel-tight"]):
            controls |= draw.number("seed.subseed", scale=1)
            random_sub = tool_button("dice", "seed.random_subseed", f"{tab}_random_subseed")
            reuse_sub = tool_button("recycle", "seed.reuse_subseed", f"{tab}_reuse_subseed")
            controls |= draw.slider("seed.subseed_strength", 0, 1, 0.01)
        with gr.Row(elem_classes=["easel-fields"]):
            controls |= draw.slider("seed.resize_from_width", 0, 2048, 8)
            controls |= draw.slider("seed.resize_from_height", 0, 2048, 8)
    return controls, SeedButtons(random, reuse, random_sub, reuse_sub, extra_row)


def tiling_and_overrides(draw: Drawer) -> Controls:
    """Seamless tiling, and what a pasted text sets beyond the controls."""
    with gr.Row(elem_classes=["easel-fields"]):
        controls = draw.checkbox("tiling")
    shared = {"multiselect": True, "allow_custom_value": True, "visible": False}
    controls |= draw.dropdown("overrides", [], **shared)
    return controls


def hires(draw: Drawer) -> tuple[Controls, Any]:
    """The second pass; also its group, whose header says its state."""
    services = draw.services
    same = (label("choice.same"), "")
    with gr.Group(elem_classes=["easel-switchable"]):
        controls = draw.switch("hires.on")
        with gr.Accordion(label("group.hires.off"), open=False, elem_id="txt2img_hr") as group:
            upscalers = [*services.latent_upscalers(), *services.upscalers()]
            with gr.Row(elem_id="txt2img_hires_fix_row1", elem_classes=["easel-fields"]):
                controls |= draw.dropdown("hires.upscaler", upscalers)
                controls |= draw.slider("hires.steps", 0, 150)
            with gr.Row(elem_id="txt2img_hires_fix_row2", elem_classes=["easel-fields"]):
                controls |= draw.slider("hires.scale", 1, 4, 0.05)
                controls |= draw.slider("hires.denoising_strength", 0, 1, 0.01)
            with gr.Row(elem_classes=["easel-fields"]):
                controls |= draw.slider("hires.resize_width", 0, 2048, 8)
                controls |= draw.slider("hires.resize_height", 0, 2048, 8)
            with gr.Row(elem_id="txt2img_hires_fix_row3", elem_classes=["easel-fields"]):
                controls |= draw.dropdown("hires.sampler", [same, *services.sampler_names()])
                controls |= draw.dropdown("hires.schedule", [same, *services.schedule_names()])
            titles = [choice.title for choice in services.checkpoints()]
            custom = {"allow_custom_value": True}
            controls |= draw.dropdown("hires.checkpoint", [same, *titles], **custom)
            with gr.Row(elem_id="txt2img_hires_fix_row4", elem_classes=["easel-fields"]):
                controls |= draw.text("hires.prompt", 2)
                controls |= draw.text("hires.negative_prompt", 2)
    return controls, group


def refiner(draw: Drawer) -> tuple[Controls, Any]:
    """The second checkpoint; also its group."""
    titles = [choice.title for choice in draw.services.checkpoints()]
    with gr.Group(elem_classes=["easel-switchable"]):
        controls = draw.switch("refiner.on")
        elem_id = f"{draw.tab}_enable"
        with (
            gr.Accordion(label("group.refiner.off"), open=False, elem_id=elem_id) as group,
            gr.Row(elem_classes=["easel-fields"]),
        ):
            none = (label("choice.none"), "")
            custom = {"allow_custom_value": True}
            controls |= draw.dropdown("refiner.checkpoint", [none, *titles], **custom)
            controls |= draw.slider("refiner.switch_at", 0.01, 1, 0.01)
    return controls, group


def inpainting(draw: Drawer) -> Controls:
    """How the mask is used."""
    modes = ["fill", "original", "latent noise", "latent nothing"]
    with gr.Row(elem_classes=["easel-fields"]):
        controls = draw.radio("init.inpaint.invert", [False, True])
        controls |= draw.radio("init.inpaint.only_masked", [False, True])
    controls |= draw.radio("init.inpaint.content", modes)
    with gr.Row(elem_classes=["easel-fields"]):
        controls |= draw.slider("init.inpaint.mask_blur", 0, 64)
        controls |= draw.slider("init.inpaint.masked_padding", 0, 256, 4)
    return controls


def soft_inpainting(draw: Drawer) -> tuple[Controls, Any]:
    """Gradual blending; also its group."""
    elem_id = "img2img_soft_inpainting"
    with gr.Group(elem_classes=["easel-switchable"]):
        controls = draw.switch("init.inpaint.soft.on")
        with gr.Accordion(label("group.soft.off"), open=False, elem_id=elem_id) as group:
            with gr.Row(elem_classes=["easel-fields"]):
                controls |= draw.slider("init.inpaint.soft.schedule_bias", 0, 8, 0.1)
                controls |= draw.slider("init.inpaint.soft.preservation_strength", 0, 8, 0.05)
            with gr.Row(elem_classes=["easel-fields"]):
                name = "init.inpaint.soft.transition_contrast_boost"
                controls |= draw.slider(name, 1, 32, 0.5)
                controls |= draw.slider("init.inpaint.soft.mask_influence", 0, 1, 0.05)
            with gr.Row(elem_classes=["easel-fields"]):
                controls |= draw.slider("init.inpaint.soft.difference_threshold", 0, 8, 0.25)
                controls |= draw.slider("init.inpaint.soft.difference_contrast", 0, 8, 0.25)
    return controls, group
