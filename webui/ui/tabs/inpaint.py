"""The tab inpaint: a masked part of a picture is made anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.ui.forms import controls, summaries
from webui.ui.forms.controls import Drawer
from webui.ui.forms.form import Form
from webui.ui.forms.generation import Values
from webui.ui.forms.pictures import inpaint_pictures
from webui.ui.locale import label
from webui.ui.tabs.generation import GenerationTab, Given, Group, Pictures
from webui.ui.tabs.txt2img import REFINER_SHOWN
from webui.ui.widgets.columns import columns
from webui.ui.widgets.hidden import Wires
from webui.ui.widgets.init import draw_init, draw_resize
from webui.ui.widgets.prompts import draw_prompts
from webui.ui.widgets.sources import (
    MASK_OPACITY,
    PAINTS,
    Sources,
    add_editor,
    sub_tab,
    sub_tabs,
    upload,
)

if TYPE_CHECKING:
    from webui.services import Services

MASK_PAINT = [("#ffffff", MASK_OPACITY)]


def draw(services: Services, wires: Wires) -> GenerationTab:
    """Draw the tab."""
    drawer = Drawer.of("inpaint", services)
    with columns("inpaint"):
        prompts = draw_prompts(drawer)
        with gr.Column(elem_id="inpaint_settings", elem_classes=["easel-controls"]):
            sources, extra = _draw_sources()
            found = prompts.controls | draw_init(drawer) | controls.inpainting(drawer)
            soft, soft_group = controls.soft_inpainting(drawer)
            found |= soft | controls.sampling(drawer)
            sized, resize = draw_resize(drawer)
            found |= sized | controls.batch(drawer)
            seeded, seed = controls.seed(drawer)
            found |= seeded | controls.tiling_and_overrides(drawer)
            refiner, group = controls.refiner(drawer)
            found |= refiner
    form = Form("inpaint", found, lambda: services.model_status().native)
    components = (p.component for p in sources.pictures.values())
    pictures = Pictures(
        (sources.mode, *components, *extra.values()),
        _read(services, sources, extra),
        sources,
        resize,
    )
    groups = (
        Group(soft_group, "init.inpaint.soft.on", (), summaries.soft_inpainting),
        Group(group, "refiner.on", REFINER_SHOWN, summaries.refiner),
    )
    return GenerationTab(form, prompts, seed, wires, resize.size, groups, pictures)


def _draw_sources() -> tuple[Sources, dict[str, Any]]:
    with sub_tabs("inpaint", "inpaint") as sources:
        with sub_tab(sources, "inpaint"):
            add_editor(sources, "inpaint", MASK_PAINT, 32)
        with sub_tab(sources, "inpaint_sketch"):
            add_editor(sources, "inpaint_sketch", PAINTS, 16)
            transparency = gr.Slider(
                0,
                100,
                value=0,
                step=1,
                buttons=[],
                label=label("mask.transparency"),
                info=label("mask.transparency.info"),
                elem_id="img2img_mask_alpha",
                interactive=True,
            )
        with sub_tab(sources, "inpaint_upload"), gr.Row(elem_classes=["easel-fields"]):
            base = upload("img_inpaint_base", "picture")
            mask = upload("img_inpaint_mask", "mask")
    return sources, {"transparency": transparency, "base": base, "mask": mask}


def _read(
    services: Services, sources: Sources, extra: dict[str, Any]
) -> Callable[[Given, Values], list[Values]]:
    def read(given: Given, values: Values) -> list[Values]:
        fields: dict[str, Any] = {**extra}
        fields |= {name: picture.component for name, picture in sources.pictures.items()}
        named = {name: given[component] for name, component in fields.items()}
        blur = float(values.get("init.inpaint.mask_blur") or 0)
        return [inpaint_pictures(services, given[sources.mode], named, blur)]

    return read
