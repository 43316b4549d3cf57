"""The things that the model draws: names, categories and how well known they are."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("concepts.tsv")
STYLES = ("3d", "flat")


@dataclass(frozen=True)
class Concept:
    """One thing that can be drawn.

    Attributes:
        code: Unicode code points joined by ``-``, without variation selectors.
        category: face, people, nature, food, travel, activity, object or symbol.
        tier: 2 for the best-known things, 1 for common ones, 0 for the rest.
        paintable: whether people would ask for it in another colour.
        phrases: what people call it, with its article; the first is the main one.
    """

    code: str
    category: str
    tier: int
    paintable: bool
    phrases: tuple[str, ...]

    @property
    def name(self) -> str:
        """The main name, without article."""
        return without_article(self.phrases[0])


def without_article(phrase: str) -> str:
    """Drop a leading "a", "an" or "the"."""
    first, _, rest = phrase.partition(" ")
    return rest if first in ("a", "an", "the") else phrase


def parse_concept(line: str) -> Concept:
    """Read one line of the table: code, category, tier, paintable, phrases joined by ``|``."""
    code, category, tier, paintable, phrases = line.split("\t")
    return Concept(code, category, int(tier), paintable == "1", tuple(phrases.split("|")))


@cache
def load_concepts() -> tuple[Concept, ...]:
    """Every concept of the table, in its order."""
    return tuple(parse_concept(line) for line in TABLE.read_text("utf-8").splitlines())


@cache
def concepts_by_code() -> dict[str, Concept]:
    """Every concept by its code."""
    return {concept.code: concept for concept in load_concepts()}


@cache
def concepts_by_name() -> dict[str, Concept]:
    """Every concept by its main name."""
    return {concept.name: concept for concept in load_concepts()}
