"""Controls of img2img and inpaint: how the first picture is used, and what size comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from webui.errors import WebUIError
from webui.ui.events import QUIET
from webui.ui.forms.controls import Controls, Drawer
from webui.ui.forms.pictures import MissingPicture
from webui.ui.locale import span
from webui.ui.messages import Toasts
from webui.ui.widgets.buttons import tool_button
from webui.ui.widgets.size import SizeTools, draw_size
from webui.ui.widgets.sources import Sources, picture_of

RESIZE_MODES = ("stretch", "crop", "fill", "latent")
Given = Mapping[Any, Any]


def draw_init(draw: Drawer) -> Controls:
    """Denoising strength and resize mode."""
    controls = draw.slider("init.denoising_strength", 0, 1, 0.01)
    return controls | draw.radio("init.resize_mode", RESIZE_MODES)


@dataclass(frozen=True)
class ResizeTools:
    """Choice between a size and a factor, and what belongs to each.

    Attributes:
        by: column of the factor; `preview`: HTML that says what size comes out.
        measure: button that takes the size of the first picture.
    """

    size: SizeTools
    to: Any
    by: Any
    preview: Any
    measure: Any


def draw_resize(draw: Drawer) -> tuple[Controls, ResizeTools]:
    """Draw size or factor."""
    tab = draw.tab
    with gr.Row(elem_classes=["easel-fields", "easel-tight"]):
        controls = draw.radio("init.size_mode", ("to", "by"))
        measure = tool_button("ruler", "size.measure", f"{tab}_detect_image_size_btn")
    with gr.Column(elem_id=f"{tab}_resize_to") as to:
        sized, size = draw_size(draw)
    with gr.Column(elem_id=f"{tab}_resize_by", visible=False) as by:
        controls |= draw.slider("init.scale_by", 0.05, 4, 0.05)
        preview = gr.HTML("", elem_id=f"{tab}_scale_resolution_preview", padding=False)
    return controls | sized, ResizeTools(size, to, by, preview, measure)


def wire_resize(
    sources: Sources, controls: Mapping[str, Any], tools: ResizeTools, toasts: Toasts
) -> Any:  # noqa: ANN401 - Gradio's event
    """Connect the tools; returns the event that changes width and height."""
    pictures = {picture.component for picture in sources.pictures.values()}
    controls["init.size_mode"].change(
        lambda mode: (gr.update(visible=mode == "to"), gr.update(visible=mode == "by")),
        inputs=controls["init.size_mode"],
        outputs=[tools.to, tools.by],
        **QUIET,
    )
    measured = tools.measure.click(
        _measure(sources, controls, toasts),
        inputs={sources.mode, *pictures},
        outputs=[controls["width"], controls["height"], toasts.field],
        **QUIET,
    )
    scale = controls["init.scale_by"]
    changes = [picture.component.change for picture in sources.pictures.values()]
    gr.on(
        [scale.change, controls["init.size_mode"].change, *changes],
        _preview(sources, scale, controls["init.size_mode"]),
        inputs={scale, controls["init.size_mode"], sources.mode, *pictures},
        outputs=tools.preview,
        trigger_mode="always_last",
        **QUIET,
    )
    return measured


def open_size(sources: Sources, given: Given) -> tuple[int, int] | None:
    """(width, height) of the picture on the open sub-tab; None: there is none.

    Raises: BadImage: it cannot be read.
    """
    picture = sources.pictures.get(given[sources.mode])
    if picture is None:
        return None
    image = picture_of(picture.kind, given[picture.component])
    return image.size if image is not None else None


def _measure(sources: Sources, controls: Mapping[str, Any], toasts: Toasts) -> Callable[..., Any]:
    def measure(given: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        try:
            size = open_size(sources, given)
            if size is None:
                raise MissingPicture("init.images", "error.picture")
        except WebUIError as error:
            return toasts.error(error, request)
        width, height = (min(max(round(side / 8) * 8, 64), 2048) for side in size)
        return {controls["width"]: width, controls["height"]: height}

    return measure


def _preview(sources: Sources, scale: Any, mode: Any) -> Callable[..., str]:  # noqa: ANN401
    def preview(given: dict[Any, Any]) -> str:
        if given[mode] != "by":
            return ""
        try:
            size = open_size(sources, given)
        except WebUIError:
            size = None
        if size is None:
            return span("size.no_picture")
        width, height = (int(side * (given[scale] or 1)) // 8 * 8 for side in size)
        return f"{size[0]} × {size[1]} → <b>{width} × {height}</b>"

    return preview
