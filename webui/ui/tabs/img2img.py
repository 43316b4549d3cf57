"""The tab img2img: a picture, a sketch or many files are made anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import BadImage
from webui.ui.events import QUIET
from webui.ui.forms import controls, summaries
from webui.ui.forms.controls import Drawer
from webui.ui.forms.form import Form
from webui.ui.forms.generation import Values, from_request
from webui.ui.forms.pictures import MissingPicture, put_file, sketch
from webui.ui.locale import label
from webui.ui.pasting import pasted_request
from webui.ui.tabs.generation import GenerationTab, Given, Group, Pictures
from webui.ui.tabs.txt2img import REFINER_SHOWN
from webui.ui.widgets.columns import columns
from webui.ui.widgets.hidden import Wires
from webui.ui.widgets.init import draw_init, draw_resize
from webui.ui.widgets.prompts import draw_prompts
from webui.ui.widgets.sources import (
    PAINTS,
    Sources,
    add_editor,
    add_upload,
    sub_tab,
    sub_tabs,
)

if TYPE_CHECKING:
    from webui.services import Services

BATCH_FIELDS = ("prompt", "negative_prompt", "seed.seed", "cfg_scale", "sampler", "steps")
"""What the batch may take from each file's own infotext."""


@dataclass(frozen=True)
class Batch:
    """The sub-tab batch.

    Attributes:
        use_info: whether each file's infotext is used; `wanted`: which fields of it.
    """

    files: Any
    use_info: Any
    wanted: Any


def draw(services: Services, wires: Wires) -> GenerationTab:
    """Draw the tab."""
    drawer = Drawer.of("img2img", services)
    with columns("img2img"):
        prompts = draw_prompts(drawer)
        with gr.Column(elem_id="img2img_settings", elem_classes=["easel-controls"]):
            sources, batch = _draw_sources()
            found = prompts.controls | draw_init(drawer) | controls.sampling(drawer)
            sized, resize = draw_resize(drawer)
            found |= sized | controls.batch(drawer)
            seeded, seed = controls.seed(drawer)
            found |= seeded | controls.tiling_and_overrides(drawer)
            refiner, group = controls.refiner(drawer)
            found |= refiner
    form = Form("img2img", found, lambda: services.model_status().native)
    pictures = Pictures(
        (sources.mode, *(p.component for p in sources.pictures.values()), *_inputs(batch)),
        _read(services, sources, batch),
        sources,
        resize,
    )
    groups = (Group(group, "refiner.on", REFINER_SHOWN, summaries.refiner),)
    return GenerationTab(form, prompts, seed, wires, resize.size, groups, pictures)


def _inputs(batch: Batch) -> tuple[Any, ...]:
    return batch.files, batch.use_info, batch.wanted


def _draw_sources() -> tuple[Sources, Batch]:
    with sub_tabs("img2img", "img2img") as sources:
        with sub_tab(sources, "img2img"):
            add_upload(sources, "img2img")
        with sub_tab(sources, "sketch"):
            add_editor(sources, "sketch", PAINTS, 12)
        with sub_tab(sources, "batch"):
            batch = _draw_batch()
    return sources, batch


def _draw_batch() -> Batch:
    files = gr.File(
        file_count="multiple",
        file_types=["image"],
        label=label("batch.files"),
        height=220,
        elem_id="img2img_batch_upload",
        interactive=True,
    )
    use_info = gr.Checkbox(
        label=label("batch.use_info"),
        info=label("batch.use_info.info"),
        elem_id="img2img_batch_use_png_info",
        interactive=True,
    )
    wanted = gr.CheckboxGroup(
        choices=[(label(f"field.{name}"), name) for name in BATCH_FIELDS],
        value=["prompt"],
        label=label("batch.wanted"),
        elem_id="img2img_batch_png_info_props",
        visible=False,
        interactive=True,
    )
    use_info.change(
        lambda on: gr.update(visible=on),
        inputs=use_info,
        outputs=wanted,
        **QUIET,
    )
    return Batch(files, use_info, wanted)


def _read(
    services: Services, sources: Sources, batch: Batch
) -> Callable[[Given, Values], list[Values]]:
    upload_field = sources.pictures["img2img"].component
    editor = sources.pictures["sketch"].component

    def read(given: Given, values: Values) -> list[Values]:
        match given[sources.mode]:
            case "sketch":
                return [{"init.images": [sketch(services, given[editor])]}]
            case "batch":
                return _batch_values(services, batch, given, values)
            case _:
                picture = put_file(services, given[upload_field], "error.picture")
                return [{"init.images": [picture]}]

    return read


def _batch_values(services: Services, batch: Batch, given: Given, values: Values) -> list[Values]:
    files = given[batch.files] or []
    if not files:
        raise MissingPicture("init.images", "error.files")
    wanted = set(given[batch.wanted] or ()) if given[batch.use_info] else set()
    return [_file_values(services, Path(file), wanted, values) for file in files]


def _file_values(services: Services, file: Path, wanted: set[str], values: Values) -> Values:
    content = file.read_bytes()
    try:
        found: Values = {"init.images": [services.pictures.put(content)]}
    except BadImage as error:
        raise BadImage(f"{file.name}: {error}") from error
    infotext = services.picture_info(content).infotext if wanted else None
    if infotext:
        request, _ = pasted_request(services, infotext, "img2img", values)
        own = from_request("img2img", request)
        found |= {name: own[name] for name in wanted & own.keys()}
        if "prompt" in wanted and values.get("prompt"):
            found["prompt"] = f"{values['prompt']} {own.get('prompt', '')}".strip()
    return found
