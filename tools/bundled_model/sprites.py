"""Draw every emoji of the used styles once, as 256 px pictures with alpha."""

import io
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from PIL import Image

from tools.bundled_model import packages

SIZE = 256
CONTENT = 240  # the longer side of the cropped picture
STYLE_PACKAGES = {
    "flat": packages.FLUENT_FLAT,
    "noto": packages.NOTO,
    "blob": packages.NOTO_BLOB,
}


def plain_code(code: str) -> str:
    """Lower-case a code-point name and leave out the variation selectors."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def fit(picture: Image.Image) -> Image.Image | None:
    """Crop an RGBA picture to what is visible and centre it in a square.

    Returns: RGBA, 256 x 256, the longer side of the content 240 px; None if all is transparent.
    """
    alpha = np.asarray(picture)[..., 3]
    rows, columns = np.where(alpha > 8)
    if len(rows) == 0:
        return None
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    cropped = picture.crop(box)
    scale = CONTENT / max(cropped.size)
    size = (max(1, round(cropped.width * scale)), max(1, round(cropped.height * scale)))
    canvas = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
    canvas.paste(
        cropped.resize(size, Image.Resampling.LANCZOS),
        ((SIZE - size[0]) // 2, (SIZE - size[1]) // 2),
    )
    return canvas


def draw_icon(icons: dict[str, Any], name: str) -> Image.Image | None:
    """Draw one icon of an iconify collection; None if the collection lacks it."""
    icon = icons["icons"].get(name)
    if icon is None:
        return None
    box = [
        icon.get(key, icons.get(key, default))
        for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    ]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{" ".join(str(side) for side in box)}" width="{SIZE}" height="{SIZE}">'
        f"{icon['body']}</svg>"
    )
    drawn = resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE)
    return Image.open(io.BytesIO(bytes(drawn))).convert("RGBA")


def _iconify_sources(style: str, downloads: Path) -> Iterator[tuple[str, Image.Image]]:
    root = packages.npm_package(STYLE_PACKAGES[style], downloads)
    icons = json.loads((root / "icons.json").read_text("utf-8"))
    # the blob collection does not list its code points; it shares its names with Noto
    names_root = packages.npm_package(packages.NOTO, downloads) if style == "blob" else root
    codes = json.loads((names_root / "chars.json").read_text("utf-8"))
    for code, name in codes.items():
        picture = draw_icon(icons, name)
        if picture is not None:
            yield plain_code(code), picture


def _fluent_3d_sources(downloads: Path) -> Iterator[tuple[str, Image.Image]]:
    root = packages.npm_package(packages.FLUENT_3D, downloads)
    for path in sorted((root / "assets").glob("*.webp")):
        yield plain_code(path.stem), Image.open(path).convert("RGBA")


def draw_style(style: str, downloads: Path, sprites: Path, only: frozenset[str] | None) -> int:
    """Draw the emoji of a style into ``sprites/<style>/<code>.png``.

    Args:
        style: 3d, flat, noto or blob.
        only: codes to draw; None for all of the collection.
    Returns: how many pictures the style has.
    """
    folder = sprites / style
    folder.mkdir(parents=True, exist_ok=True)
    sources = _fluent_3d_sources(downloads) if style == "3d" else _iconify_sources(style, downloads)
    count = 0
    for code, picture in sources:
        if only is not None and code not in only:
            continue
        fitted = fit(picture)
        if fitted is not None:
            fitted.save(folder / f"{code}.png")
            count += 1
    return count


@lru_cache(maxsize=4096)
def load_sprite(sprites: Path, style: str, code: str) -> Image.Image:
    """Read a drawn emoji: RGBA, 256 x 256."""
    with Image.open(sprites / style / f"{code}.png") as picture:
        return picture.convert("RGBA")


def drawn_styles(sprites: Path, code: str, styles: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the styles in which an emoji was drawn."""
    return tuple(style for style in styles if (sprites / style / f"{code}.png").exists())
