"""Where a first picture comes from: sub-tabs with an upload field or an editor each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from PIL import Image

from webui.errors import BadImage
from webui.images.codec import decode
from webui.ui.events import BROWSER
from webui.ui.forms.generation import Tab
from webui.ui.forms.pictures import Source
from webui.ui.locale import label
from webui.ui.widgets.hidden import hidden

Kind = Literal["file", "editor"]
COPY_TARGETS: tuple[Source, ...] = ("img2img", "sketch", "inpaint", "inpaint_sketch")
TAB_OF: dict[Source, Tab] = {
    "img2img": "img2img",
    "sketch": "img2img",
    "inpaint": "inpaint",
    "inpaint_sketch": "inpaint",
    "inpaint_upload": "inpaint",
}
ELEMENT_IDS: dict[Source, str] = {
    "img2img": "img2img_image",
    "sketch": "img2img_sketch",
    "inpaint": "img2maskimg",
    "inpaint_sketch": "inpaint_sketch",
}
MASK_OPACITY = 0.7
"""Of the mask's paint, so that the picture is seen through it."""
PAINTS = ["#ffffff", "#000000", "#e5484d", "#f5d90a", "#30a46c", "#0090ff", "#8e4ec6", "#a18072"]


@dataclass(frozen=True)
class Picture:
    """A component that holds a picture.

    Attributes:
        copies: buttons that copy its picture to another one's.
    """

    component: Any
    kind: Kind
    copies: Mapping[Source, Any] = field(default_factory=dict)

    def shown(self, image: Image.Image) -> Any:  # noqa: ANN401 - a Gradio update
        """The update that puts a picture into it."""
        if self.kind == "file":
            return gr.update(value=image)
        return gr.update(value={"background": image, "layers": [], "composite": image})


@dataclass(frozen=True)
class Sources:
    """A tab's sub-tabs.

    Attributes:
        mode: hidden field with the open sub-tab's name.
        first: the sub-tab that takes sent pictures.
    """

    tab: Tab
    tabs: Any
    mode: Any
    first: Source
    pictures: dict[Source, Picture]


@contextmanager
def sub_tabs(tab: Tab, first: Source) -> Iterator[Sources]:
    """Draw sub-tabs in the `with` block, each by `sub_tab`."""
    mode = hidden(f"{tab}_mode", first)
    row = {"overflow_behavior": "wrap", "elem_classes": ["easel-subtabs"]}
    with gr.Tabs(elem_id=f"mode_{tab}", selected=first, **row) as tabs:
        yield Sources(tab, tabs, mode, first, {})


@contextmanager
def sub_tab(sources: Sources, name: str) -> Iterator[None]:
    """Draw one sub-tab; opening it changes the mode."""
    elem_id = f"{sources.tab}_{name}_tab"
    with gr.Tab(label(f"mode.{name}"), id=name, elem_id=elem_id) as tab:
        yield
    tab.select(js=f"() => '{name}'", outputs=sources.mode, **BROWSER)


def upload(elem_id: str, key: str) -> Any:  # noqa: ANN401 - a gr.Image
    """A field for one picture file; the file arrives as it is."""
    return gr.Image(
        type="filepath",
        image_mode=None,
        format="png",
        sources=["upload", "clipboard"],
        buttons=["fullscreen"],
        label=label(key),
        height=300,
        elem_id=elem_id,
        elem_classes=["easel-picture"],
        interactive=True,
    )


def add_upload(sources: Sources, name: Source) -> None:
    """Draw a sub-tab's upload field and what copies from it."""
    component = upload(ELEMENT_IDS[name], "picture")
    sources.pictures[name] = Picture(component, "file", _copy_row(name))


def add_editor(sources: Sources, name: Source, paints: Sequence[Any], size: int) -> None:
    """Draw a sub-tab's editor and what copies from it.

    Args:
        paints: colours to choose from; one: the brush has that and no other.
        size: of the brush, pixels.
    """
    fixed = len(paints) == 1
    mode: Literal["fixed", "defaults"] = "fixed" if fixed else "defaults"
    component = gr.ImageEditor(
        type="pil",
        image_mode="RGBA",
        format="png",
        sources=["upload", "clipboard"],
        brush=gr.Brush(default_size=size, colors=list(paints), color_mode=mode),
        eraser=gr.Eraser(default_size=size),
        transforms=(),
        layers=False,
        buttons=["fullscreen"],
        label=label("picture"),
        height=420,
        elem_id=ELEMENT_IDS[name],
        elem_classes=["easel-picture", "easel-editor"],
        interactive=True,
    )
    sources.pictures[name] = Picture(component, "editor", _copy_row(name))


def _copy_row(name: Source) -> dict[Source, Any]:
    copies = {}
    with gr.Row(elem_classes=["easel-copy"]):
        gr.HTML(label("copy.to"), elem_classes=["easel-copy-label"], padding=False)
        for target in COPY_TARGETS:
            if target != name:
                copies[target] = gr.Button(
                    label(f"mode.{target}"),
                    size="sm",
                    min_width=0,
                    elem_id=f"copy_{name}_to_{target}",
                    elem_classes=["easel-chip"],
                )
    return copies


def picture_of(kind: Kind, value: Any) -> Image.Image | None:  # noqa: ANN401 - a component's value
    """The picture that a component holds, with what was painted; None: it is empty.

    Raises: BadImage: the file cannot be read.
    """
    if not value:
        return None
    if kind == "editor":
        return value["composite"] if value.get("background") is not None else None
    try:
        return decode(Path(value).read_bytes())
    except OSError as error:
        raise BadImage("The uploaded picture is gone: load it again.") from error
