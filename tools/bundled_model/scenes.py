"""Pictures for training: sprites on plain grounds, described as values and drawn on demand."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tools.bundled_model.concepts import STYLES, Concept, load_concepts
from tools.bundled_model.sprites import drawn_styles, load_sprite

SIZE = 128
COLOURS = {
    "white": (255, 255, 255), "black": (18, 18, 20), "gray": (140, 140, 144),
    "red": (214, 40, 40), "orange": (245, 140, 30), "yellow": (250, 215, 60),
    "green": (60, 165, 75), "blue": (50, 105, 220), "light blue": (150, 205, 250),
    "purple": (130, 70, 190), "pink": (250, 160, 190), "brown": (125, 80, 50),
    "teal": (30, 150, 150), "beige": (240, 225, 195),
}  # fmt: skip
GROUNDS = tuple(name for name in COLOURS if name != "white")
HUES = {
    "red": 0.0, "orange": 0.08, "yellow": 0.14, "green": 0.36, "blue": 0.6, "purple": 0.77,
    "pink": 0.92,
}  # fmt: skip
PLACES = {
    "on the left": (35, 64), "on the right": (93, 64), "at the top": (64, 35),
    "at the bottom": (64, 93),
}  # fmt: skip
SINGLE_SIZE = 111
MOVED_SHARE = 0.12
GRADIENT_SHARE = 0.1


@dataclass(frozen=True)
class Part:
    """One thing in a scene: what, in which colour (None: its own), where. Units: pixels."""

    code: str
    hue: str | None
    size: int
    centre: tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """A 128 px picture: one thing or two on a plain ground.

    Attributes:
        parts: one thing, or two with the left one first.
        style: 3d or flat.
        ground: name of the ground's colour.
        top, bottom: RGB of the ground at its upper and lower edge.
        place: where a small thing is, such as "on the left"; "" when it fills the middle.
        small: whether the thing is drawn small.
    """

    parts: tuple[Part, ...]
    style: str
    ground: str
    top: tuple[int, int, int]
    bottom: tuple[int, int, int]
    place: str = ""
    small: bool = False


def turn_hue(sprite: Image.Image, hue: float) -> Image.Image:
    """Turn the main hue of an RGBA sprite to another one, leaving other hues as they are.

    Args:
        hue: the wanted hue, 0 to 1 round the circle, 0 is red.
    """
    alpha = np.asarray(sprite)[..., 3]
    hsv = np.asarray(sprite.convert("RGB").convert("HSV")).astype(np.float32) / 255
    weight = hsv[..., 1] * hsv[..., 2] * (alpha > 0)
    counts, _ = np.histogram(hsv[..., 0], 36, (0, 1), weights=weight)
    main = (int(np.argmax(counts)) + 0.5) / 36
    distance = np.abs(hsv[..., 0] - main)
    near = np.minimum(distance, 1 - distance) < 0.18
    hsv[..., 0] = np.where(near, (hsv[..., 0] + hue - main) % 1, hsv[..., 0])
    turned = Image.fromarray((hsv * 255).round().astype(np.uint8), "HSV").convert("RGB")
    turned.putalpha(Image.fromarray(alpha))
    return turned


def _ground(scene: Scene) -> Image.Image:
    if scene.top == scene.bottom:
        return Image.new("RGB", (SIZE, SIZE), scene.top)
    share = np.linspace(0, 1, SIZE, dtype=np.float32)[:, None, None]
    upper, lower = (np.asarray(colour, np.float32) for colour in (scene.top, scene.bottom))
    rows = upper * (1 - share) + lower * share
    return Image.fromarray(np.broadcast_to(rows, (SIZE, SIZE, 3)).round().astype(np.uint8))


def draw_scene(scene: Scene, sprites: Path) -> Image.Image:
    """Draw a scene: RGB, 128 x 128."""
    picture = _ground(scene)
    for part in scene.parts:
        sprite = load_sprite(sprites, scene.style, part.code)
        if part.hue is not None:
            sprite = turn_hue(sprite, HUES[part.hue])
        sprite = sprite.resize((part.size, part.size), Image.Resampling.LANCZOS)
        corner = (part.centre[0] - part.size // 2, part.centre[1] - part.size // 2)
        picture.paste(sprite, corner, sprite)
    return picture


class SceneMaker:
    """Make scenes at random; the same seed makes the same scenes."""

    def __init__(self, sprites: Path, seed: int) -> None:
        """Look up which concepts were drawn in which style."""
        self._random = random.Random(seed)
        self._styles = {
            concept.code: drawn_styles(sprites, concept.code, STYLES) for concept in load_concepts()
        }
        self._concepts = [c for c in load_concepts() if self._styles[c.code]]

    @property
    def concepts(self) -> list[Concept]:
        """The concepts that have a picture."""
        return list(self._concepts)

    def styles(self, concept: Concept) -> tuple[str, ...]:
        """The styles in which a concept was drawn."""
        return self._styles[concept.code]

    def _jitter(self, colour: tuple[int, int, int], most: int) -> tuple[int, int, int]:
        red, green, blue = (
            min(255, max(0, value + self._random.randint(-most, most))) for value in colour
        )
        return red, green, blue

    def _scene(self, parts: tuple[Part, ...], style: str, ground: str, **where: object) -> Scene:
        top = self._jitter(COLOURS[ground], 2 if ground in ("white", "black") else 9)
        if ground == "white" and self._random.random() < 0.7:
            top = COLOURS["white"]
        bottom = top
        if ground != "white" and self._random.random() < GRADIENT_SHARE:
            lift = 70 if self._random.random() < 0.5 else 0
            red, green, blue = (min(255, round(value * 0.75 + lift)) for value in top)
            bottom = (red, green, blue)
        place, small = str(where.get("place", "")), bool(where.get("small", False))
        return Scene(parts, style, ground, top, bottom, place, small)

    def _centre(self, x: int, y: int, spread: int) -> tuple[int, int]:
        shift = self._random.randint
        return x + shift(-spread, spread), y + shift(-spread, spread)

    def single(self, concept: Concept, style: str, ground: str) -> Scene:
        """One thing that fills the picture, mostly at the same size and place."""
        size, centre = SINGLE_SIZE, (64, 64)
        if self._random.random() < MOVED_SHARE:
            size, centre = self._random.randint(100, 117), self._centre(64, 64, 3)
        return self._scene((Part(concept.code, None, size, centre),), style, ground)

    def painted(self, concept: Concept, style: str, ground: str, hue: str) -> Scene:
        """One thing in a colour of its own."""
        return self._scene((Part(concept.code, hue, SINGLE_SIZE, (64, 64)),), style, ground)

    def small(self, concept: Concept, style: str, ground: str, place: str) -> Scene:
        """One small thing, at a place or in the middle."""
        x, y = PLACES.get(place, (64, 64))
        part = Part(concept.code, None, self._random.randint(50, 58), self._centre(x, y, 2))
        return self._scene((part,), style, ground, place=place, small=True)

    def pair(self, left: Concept, right: Concept, style: str, ground: str) -> Scene:
        """Two things side by side."""
        size, shift = self._random.randint(58, 62), self._random.randint(-3, 3)
        parts = (
            Part(left.code, None, size, (33, 64 + shift)),
            Part(right.code, None, size, (95, 64 + shift)),
        )
        return self._scene(parts, style, ground)

    def _any_style(self, *concepts: Concept) -> str | None:
        shared = set(STYLES).intersection(*(self._styles[c.code] for c in concepts))
        return self._random.choice(sorted(shared)) if shared else None

    def any(self, tier_weights: tuple[float, float, float]) -> Scene:
        """A scene of any kind.

        Args:
            tier_weights: how often concepts of tier 0, 1 and 2 are drawn, relative to each other.
        """
        weights = [tier_weights[concept.tier] for concept in self._concepts]
        first, second = self._random.choices(self._concepts, weights, k=2)
        ground = "white" if self._random.random() < 0.4 else self._random.choice(GROUNDS)
        kind = self._random.random()
        if kind < 0.12 and second != first:
            style = self._any_style(first, second)
            if style is not None:
                return self.pair(first, second, style, ground)
        style = self._random.choice(self._styles[first.code])
        if kind < 0.2:
            place = self._random.choice((*PLACES, ""))
            return self.small(first, style, ground, place)
        if kind < 0.4 and first.paintable:
            return self.painted(first, style, ground, self._random.choice(sorted(HUES)))
        return self.single(first, style, ground)
