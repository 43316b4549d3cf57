"""Name the colours in a picture as a person would."""

import numpy as np
from numpy.typing import NDArray

from tools.bundled_model.scenes import COLOURS

Pixels = NDArray[np.float32]
BORDER = 5
HUE_NAMES = (
    (0.028, "red"), (0.112, "orange"), (0.19, "yellow"), (0.45, "green"), (0.69, "blue"),
    (0.83, "purple"), (0.955, "pink"), (1.01, "red"),
)  # fmt: skip


def nearest_colour(rgb: Pixels) -> str:
    """The named colour nearest to an RGB colour, 0 to 255, weighted as eyes see them.

    Source of the distance: T. Riemersma, "Colour metric" (the "redmean" approximation).
    """

    def distance(name: str) -> float:
        other = np.asarray(COLOURS[name], np.float32)
        mean_red = float(rgb[0] + other[0]) / 2
        weights = np.array([2 + mean_red / 256, 4, 2 + (255 - mean_red) / 256])
        return float((weights * (rgb - other) ** 2).sum())

    return min(COLOURS, key=distance)


def ground_rgb(picture: NDArray[np.uint8]) -> Pixels:
    """The median colour of a picture's border: [3] float32, 0 to 255."""
    inner = np.ones(picture.shape[:2], bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = False
    return np.median(picture[inner].astype(np.float32), axis=0)


def thing_hue(picture: NDArray[np.uint8]) -> str:
    """The name of the hue that covers most of what is not ground; "" if all is grey.

    Args:
        picture: [H, W, 3], 0 to 255.
    """
    pixels = picture.astype(np.float32)
    apart = np.abs(pixels - ground_rgb(picture)).max(axis=-1) > 45
    most, least = pixels.max(axis=-1), pixels.min(axis=-1)
    chroma = most - least
    used = apart & (chroma > 50)
    if not used.any():
        return ""
    red, green, blue = (pixels[..., channel][used] for channel in range(3))
    spread, top = chroma[used], most[used]
    sector = np.where(
        top == red,
        ((green - blue) / spread) % 6,
        np.where(top == green, (blue - red) / spread + 2, (red - green) / spread + 4),
    )
    weights: dict[str, float] = {}
    lower = 0.0
    for upper, name in HUE_NAMES:
        inside = (sector / 6 >= lower) & (sector / 6 < upper)
        weights[name] = weights.get(name, 0.0) + float(spread[inside].sum())
        lower = upper
    return max(weights, key=lambda name: weights[name])
