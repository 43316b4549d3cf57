"""Say in words what a scene shows, as people write prompts."""

import random

from tools.bundled_model.concepts import Concept, concepts_by_code, without_article
from tools.bundled_model.scenes import COLOURS, Scene

STYLE_CHANCES = {"3d": 0.35, "flat": 0.92}
STYLE_WORDS = {
    "3d": ("3d", "3d render", "3d style"),
    "flat": ("flat", "flat style", "flat design"),
}


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a noun phrase."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def without_colour(name: str) -> str:
    """Drop a leading colour word: "red apple" is painted as "green apple"."""
    for colour in sorted(COLOURS, key=len, reverse=True):
        if name.startswith(f"{colour} "):
            return name[len(colour) + 1 :]
    return name


def described(phrase: str, word: str) -> str:
    """Put an adjective into a noun phrase; a colour replaces the colour that is there."""
    name = without_article(phrase)
    changed = f"{word} {without_colour(name) if word in COLOURS else name}"
    return changed if name == phrase else with_article(changed)


class Captioner:
    """Write captions at random; the same seed writes the same captions."""

    def __init__(self, seed: int) -> None:
        """Start the sequence that belongs to the seed."""
        self._random = random.Random(seed)

    def _phrase(self, concept: Concept) -> str:
        plain = self._random.random() < 0.65
        return concept.phrases[0] if plain else self._random.choice(concept.phrases)

    def _things(self, scene: Scene, articles: bool) -> str:
        names = []
        for part in scene.parts:
            phrase = self._phrase(concepts_by_code()[part.code])
            if part.hue is not None:
                phrase = described(phrase, part.hue)
            if scene.small:
                phrase = described(phrase, "small")
            names.append(phrase if articles else without_article(phrase))
        return self._random.choice((" and ", " and ", " next to ")).join(names)

    def _ground(self, scene: Scene) -> str:
        chance = 0.15 if scene.ground == "white" else 0.94
        if self._random.random() >= chance:
            return ""
        spelled = with_article(scene.ground)
        plain = self._random.random() < 0.75
        return f" on {spelled} background" if plain else f", {scene.ground} background"

    def write(self, scene: Scene) -> str:
        """Describe a scene in one of many ways.

        The flat style is nearly always named, so that a prompt without a style means 3d.
        """
        articles = self._random.random() < 0.75
        text = self._things(scene, articles)
        if len(scene.parts) == 1 and articles and self._random.random() < 0.07:
            text = f"{self._random.choice(('an emoji', 'a picture', 'an icon'))} of {text}"
        if scene.place:
            text += f" {scene.place}"
        text += self._ground(scene)
        if self._random.random() < STYLE_CHANCES[scene.style]:
            word = self._random.choice(STYLE_WORDS[scene.style])
            text = f"{text}, {word}" if self._random.random() < 0.8 else f"{word}, {text}"
        return text
