"""The tab txt2img: a prompt becomes pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from webui.ui.forms import controls, summaries
from webui.ui.forms.controls import Drawer
from webui.ui.forms.form import Form
from webui.ui.tabs.generation import GenerationTab, Group
from webui.ui.widgets.columns import columns
from webui.ui.widgets.hidden import Wires
from webui.ui.widgets.prompts import draw_prompts
from webui.ui.widgets.size import draw_size

if TYPE_CHECKING:
    from webui.services import Services

HIRES_SHOWN = (
    "width",
    "height",
    "hires.upscaler",
    "hires.scale",
    "hires.resize_width",
    "hires.resize_height",
    "hires.denoising_strength",
)
REFINER_SHOWN = ("refiner.checkpoint", "refiner.switch_at")


def draw(services: Services, wires: Wires) -> GenerationTab:
    """Draw the tab."""
    drawer = Drawer.of("txt2img", services)
    with columns("txt2img"):
        prompts = draw_prompts(drawer)
        with gr.Column(elem_id="txt2img_settings", elem_classes=["easel-controls"]):
            found = prompts.controls | controls.sampling(drawer)
            sized, size = draw_size(drawer)
            found |= sized | controls.batch(drawer)
            seeded, seed = controls.seed(drawer)
            found |= seeded | controls.tiling_and_overrides(drawer)
            hires, hires_group = controls.hires(drawer)
            refiner, refiner_group = controls.refiner(drawer)
            found |= hires | refiner
    groups = (
        Group(hires_group, "hires.on", HIRES_SHOWN, summaries.hires),
        Group(refiner_group, "refiner.on", REFINER_SHOWN, summaries.refiner),
    )
    form = Form("txt2img", found, lambda: services.model_status().native)
    return GenerationTab(form, prompts, seed, wires, size, groups)
