"""Pictures and masks of the img2img and inpaint tabs: what the browser's editors hold -> ids in the
store.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image, ImageChops, ImageFilter

from webui.errors import BadImage, InvalidRequest
from webui.request import PictureId

if TYPE_CHECKING:
    from webui.services import Services

Source = Literal["img2img", "sketch", "inpaint", "inpaint_sketch", "inpaint_upload"]
MASK_ALPHA = 128
"""Paint that is more opaque than this belongs to the mask."""


class MissingPicture(InvalidRequest):
    """A picture that the request needs was not given; `key` names the sentence that says so."""

    def __init__(self, field: str, key: str) -> None:
        super().__init__(field, key)
        self.key = key


def put_file(services: Services, path: str | None, missing: str) -> PictureId:
    """Store an uploaded file, byte for byte.

    Args:
        missing: locale key of the sentence to say if there is none.
    Raises: MissingPicture, BadImage.
    """
    if not path:
        raise MissingPicture("init.images", missing)
    return services.pictures.put(Path(path).read_bytes())


def put_image(services: Services, image: Image.Image) -> PictureId:
    """Store pixels, as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return services.pictures.put(buffer.getvalue())


def sketch(services: Services, editor: Mapping[str, Any] | None) -> PictureId:
    """The picture with what was painted on it.

    Args:
        editor: value of a Gradio editor: background, layers, composite as RGBA.
    Raises: MissingPicture: the editor is empty.
    """
    background(editor)
    assert editor is not None
    return put_image(services, editor["composite"])


def background(editor: Mapping[str, Any] | None) -> Image.Image:
    """What lies below the paint, RGBA.

    Raises: MissingPicture: the editor is empty.
    """
    if not editor or editor.get("background") is None:
        raise MissingPicture("init.images", "error.picture")
    image = editor["background"]
    if not isinstance(image, Image.Image):
        raise BadImage("The editor's picture could not be read: load it again.")
    return image


def painted_mask(editor: Mapping[str, Any]) -> Image.Image:
    """White where something was painted, L, of the background's size.

    Raises: MissingPicture: nothing was painted.
    """
    size = background(editor).size
    mask = Image.new("L", size, 0)
    for layer in editor.get("layers") or ():
        alpha = layer.getchannel("A") if layer.size == size else layer.resize(size).getchannel("A")
        mask = ImageChops.lighter(mask, alpha.point(lambda value: 255 * (value > MASK_ALPHA)))
    if mask.getbbox() is None:
        raise MissingPicture("init.inpaint.mask", "error.mask")
    return mask


def sketched(
    editor: Mapping[str, Any], transparency: float, blur: float
) -> tuple[Image.Image, Image.Image]:
    """Picture and mask of 'inpaint sketch'.

    Every pixel that painting changed is masked; the paint is laid on the picture through the
    blurred mask, so that its edges are soft.

    Args:
        transparency: of the mask, 0 to 100.
        blur: standard deviation in pixels.
    Returns: (picture RGB, mask L), of the background's size.
    Raises: MissingPicture: the editor is empty, or nothing was painted.
    Source: A1111's mode of that name.
    """
    original = background(editor).convert("RGB")
    painted = editor["composite"].convert("RGB").resize(original.size)
    difference = ImageChops.difference(painted, original)
    channels = difference.split()
    changed = ImageChops.lighter(ImageChops.lighter(channels[0], channels[1]), channels[2])
    mask = changed.point(lambda value: 255 if value else 0)
    if mask.getbbox() is None:
        raise MissingPicture("init.inpaint.mask", "error.mask")
    mask = mask.point(lambda value: round(value * (1 - transparency / 100)))
    soft = ImageFilter.GaussianBlur(blur)
    return Image.composite(painted.filter(soft), original, mask.filter(soft)), mask


def inpaint_pictures(
    services: Services, source: Source, given: Mapping[str, Any], blur: float
) -> dict[str, Any]:
    """Values of the controls `init.images` and `init.inpaint.mask`.

    Args:
        source: the sub-tab that is open.
        given: 'inpaint', 'inpaint_sketch' (editors), 'base', 'mask' (paths), 'transparency'.
        blur: of the mask, pixels.
    Raises: MissingPicture, BadImage.
    """
    if source == "inpaint_upload":
        picture = put_file(services, given.get("base"), "error.picture")
        if not given.get("mask"):
            raise MissingPicture("init.inpaint.mask", "error.mask_file")
        mask = put_file(services, given["mask"], "error.mask_file")
    elif source == "inpaint_sketch":
        image, drawn = sketched(given["inpaint_sketch"], given.get("transparency") or 0, blur)
        picture, mask = put_image(services, image), put_image(services, drawn)
    else:
        editor = given["inpaint"]
        picture = put_image(services, background(editor))
        mask = put_image(services, painted_mask(editor))
    return {"init.images": [picture], "init.inpaint.mask": mask}
