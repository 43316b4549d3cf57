"""The operations, one after the other, over every picture and what earlier ones made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from PIL import Image, ImageOps

from webui.images.resize import Size, Upscaler
from webui.postprocess.request import ExtrasRequest, SizedCrop, Split, Upscale

Find = Callable[[str], Upscaler | None]
"""An upscaler by name. Raises: InvalidRequest: there is none."""
_CROP_STEP = 64


@dataclass(frozen=True, slots=True)
class Processed:
    """A picture on its way.

    Attributes:
        image: RGB or RGBA; networks make RGB.
        notes: for the infotext, in order.
        target: (width, height) that the upscaling aims at; None: it does not upscale.
    """

    image: Image.Image
    notes: dict[str, object] = field(default_factory=dict)
    target: Size | None = None


def process(image: Image.Image, request: ExtrasRequest, find: Find) -> list[Processed]:
    """Carry out a request on one picture.

    Returns: the picture and all that was split off it, or its copies.
    Raises: InvalidRequest: an unknown upscaler; whatever upscalers raise.
    """
    pictures = [Processed(image if image.mode in ("RGB", "RGBA") else image.convert("RGB"))]
    if request.upscale is not None:
        pictures = [upscaled(one, request.upscale, find) for one in pictures]
    if request.split is not None:
        pictures = [part for one in pictures for part in split(one, request.split)]
    if request.sized_crop is not None:
        pictures = [cropped(one, request.sized_crop) for one in pictures]
    return [copy for one in pictures for copy in flipped(one, request)]


def upscaled(picture: Processed, asked: Upscale, find: Find) -> Processed:
    """Enlarge a picture, maybe by two upscalers blended, maybe cut to a size.

    Raises: InvalidRequest: an unknown upscaler; whatever upscalers raise.
    """
    first, second = (None if n == "None" else find(n) for n in (asked.upscaler, asked.second))
    notes, factor, target = _plan(picture.image.size, asked)
    if first is None:
        return replace(picture, target=target)
    image = first(picture.image, factor)
    if asked.size is not None and asked.crop:
        image = _centred(image, asked.size)
        notes["Postprocess crop to"] = f"{image.width}x{image.height}"
    notes["Postprocess upscaler"] = asked.upscaler
    if second is not None and asked.second_visibility > 0:
        other = second(picture.image, factor)
        if asked.size is not None and asked.crop:
            other = _centred(other, asked.size)
        image = Image.blend(image.convert("RGB"), other.convert("RGB"), asked.second_visibility)
        notes["Postprocess upscaler 2"] = asked.second
    return Processed(image, {**picture.notes, **notes}, target)


def _plan(size: Size, asked: Upscale) -> tuple[dict[str, object], float, Size]:
    """Notes, factor and the size that is aimed at."""
    width, height = size
    if asked.size is not None:
        factor = max(asked.size[0] / width, asked.size[1] / height)
        return {"Postprocess upscale to": f"{asked.size[0]}x{asked.size[1]}"}, factor, asked.size
    notes: dict[str, object] = {"Postprocess upscale by": asked.factor}
    factor = asked.factor
    if asked.max_side and max(size) * factor > asked.max_side:
        factor = asked.max_side / max(size)
        notes["Max side length"] = asked.max_side
    return notes, factor, (int(width * factor), int(height * factor))


def _centred(image: Image.Image, size: Size) -> Image.Image:
    """Cut to a size, or surround with black where the picture is smaller, as A1111 does."""
    canvas = Image.new("RGB", size)
    canvas.paste(image, (size[0] // 2 - image.width // 2, size[1] // 2 - image.height // 2))
    return canvas


def split(picture: Processed, asked: Split) -> Iterator[Processed]:
    """Cut an oblong picture into overlapping ones of the target's shape.

    Pictures without a target, and those of which the target would show more than the threshold,
    stay whole.
    """
    if picture.target is None:
        yield picture
        return
    (width, height), (to_width, to_height) = picture.image.size, picture.target
    is_tall = height > width
    shown = (width * to_height) / (height * to_width)
    shown = shown if is_tall else 1 / shown
    if shown >= 1 or shown > asked.threshold:
        yield picture
        return
    if is_tall:
        length, part = height * to_width // width, to_height
        image = picture.image.resize((to_width, length))
    else:
        length, part = width * to_height // height, to_width
        image = picture.image.resize((length, to_height))
    count = math.ceil((length - part * asked.overlap) / (part * (1 - asked.overlap)))
    step = (length - part) / max(count - 1, 1)
    for start in (int(step * number) for number in range(count)):
        box = (0, start, to_width, start + part) if is_tall else (start, 0, start + part, to_height)
        yield replace(picture, image=image.crop(box))


def cropped(picture: Processed, asked: SizedCrop) -> Processed:
    """Cut to the best-fitting shape, centred; a picture that fits none stays whole."""
    size = best_size(picture.image.size, asked)
    if size is None:
        return picture
    return replace(picture, image=ImageOps.fit(picture.image, size, Image.Resampling.LANCZOS))


def best_size(size: Size, asked: SizedCrop) -> Size | None:
    """The shape of a `SizedCrop`; None: no shape within the bounds is near enough."""
    ratio = size[0] / size[1]

    def error(one: Size) -> float:
        other = one[0] / one[1]
        return 1 - min(ratio / other, other / ratio)

    sides = range(asked.min_side, asked.max_side + 1, _CROP_STEP)
    shapes = [
        (width, height)
        for width in sides
        for height in sides
        if asked.min_area <= width * height <= asked.max_area
        and error((width, height)) <= asked.threshold
    ]
    if not shapes:
        return None
    if asked.objective == "area":
        return max(shapes, key=lambda one: (one[0] * one[1], -error(one)))
    return max(shapes, key=lambda one: (-error(one), one[0] * one[1]))


def flipped(picture: Processed, request: ExtrasRequest) -> Iterator[Processed]:
    """The picture, then its mirrored copies."""
    yield picture
    for flip in request.flips:
        image = picture.image
        if flip in ("horizontal", "both"):
            image = ImageOps.mirror(image)
        if flip in ("vertical", "both"):
            image = ImageOps.flip(image)
        yield replace(picture, image=image)
