"""The hundred prompts that the model is judged by."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("prompts.tsv")


@dataclass(frozen=True)
class Wanted:
    """A prompt and what its picture must show.

    Attributes:
        prompt: as a user types it.
        things: main names of the concepts, the left one first.
        ground: colour of the background; white when the prompt names none.
        ground_named: whether the prompt names it.
        colour: colour of the thing if the prompt names one, else "".
        place: where a small thing is, else "".
    """

    prompt: str
    things: tuple[str, ...]
    ground: str
    ground_named: bool
    colour: str
    place: str


def parse_prompt(line: str) -> Wanted:
    """Read one line of the table: prompt, things joined by ``+``, ground, colour, place."""
    prompt, things, ground, colour, place = line.split("\t")
    named = f"{ground} background" in prompt
    return Wanted(prompt, tuple(things.split("+")), ground, named, colour, place)


@cache
def load_prompts() -> tuple[Wanted, ...]:
    """The hundred prompts in their order."""
    return tuple(parse_prompt(line) for line in TABLE.read_text("utf-8").splitlines())
