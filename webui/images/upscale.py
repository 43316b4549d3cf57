"""The upscalers that need no weights."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from PIL import Image

from webui.images.resize import Upscaler


def _enlarger(filter_: Image.Resampling) -> Upscaler:
    def enlarge(image: Image.Image, factor: float) -> Image.Image:
        size = (int(image.width * factor) // 8 * 8, int(image.height * factor) // 8 * 8)
        scaled = image.resize((int(image.width * factor), int(image.height * factor)), filter_)
        return scaled if scaled.size == size else scaled.resize(size, Image.Resampling.LANCZOS)

    return enlarge


UPSCALERS: Mapping[str, Upscaler | None] = MappingProxyType(
    {
        "None": None,
        "Lanczos": _enlarger(Image.Resampling.LANCZOS),
        "Nearest": _enlarger(Image.Resampling.NEAREST),
    }
)
"""By A1111's names; None: Lanczos straight to the size asked for."""
