"""Judge the model by a hundred prompts and draw them on one sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from tools.bundled_model.colours import ground_rgb, nearest_colour, thing_hue
from tools.bundled_model.judge import best_guesses, crop
from tools.bundled_model.prompts import Wanted
from tools.bundled_model.scenes import PLACES

TOP = 5
SMALL_CROP = 68
CELL = 128
LABEL = 24
COLUMNS = 10


@dataclass(frozen=True)
class Verdict:
    """What was found right in one picture; None where the prompt does not say."""

    first: bool
    among_five: bool
    ground: bool | None
    colour: bool | None


@dataclass(frozen=True)
class Score:
    """Shares, 0 to 1. `chance`: of a blind guess; `empty`: first guesses without any prompt."""

    top1: float
    top5: float
    background: float
    colour: float
    chance: float
    empty: float

    def line(self) -> str:
        """One line, such as ``top1 0.63 top5 0.85 background 0.97 colour 0.84 ...``."""
        return (
            f"top1 {self.top1:.2f} top5 {self.top5:.2f} background {self.background:.2f} "
            f"colour {self.colour:.2f} chance {self.chance:.3f} empty {self.empty:.2f}"
        )


def regions(wanted: Wanted) -> list[tuple[int, int, int]]:
    """Where each thing is looked for: left, top, side of a square. Unit: pixels."""
    if len(wanted.things) == 2:
        return [(0, 32, 64), (64, 32, 64)]
    if wanted.place:
        x, y = PLACES[wanted.place]
        limit = 128 - SMALL_CROP
        corner = (min(limit, max(0, side - SMALL_CROP // 2)) for side in (x, y))
        return [(*corner, SMALL_CROP)]  # type: ignore[list-item]
    return [(0, 0, 128)]


def name_guesses(
    judge: nn.Module, names: Sequence[str], picture: Tensor, wanted: Wanted
) -> list[list[str]]:
    """The five likeliest names for each thing that the prompt asks for.

    Args:
        picture: [128, 128, 3] uint8.
    """
    scaled = picture.permute(2, 0, 1)[None].float() / 127.5 - 1
    crops = torch.cat([crop(scaled, *region) for region in regions(wanted)])
    return [[names[index] for index in guess] for guess in best_guesses(judge, crops, TOP)]


def judge_picture(
    judge: nn.Module, names: Sequence[str], picture: Tensor, wanted: Wanted
) -> Verdict:
    """Compare one picture with what its prompt asks for; of two things both must be right."""
    guesses = name_guesses(judge, names, picture, wanted)
    pixels: NDArray[np.uint8] = picture.numpy()
    pairs = list(zip(wanted.things, guesses, strict=True))
    ground = nearest_colour(ground_rgb(pixels)) == wanted.ground
    return Verdict(
        first=all(guess[0] == thing for thing, guess in pairs),
        among_five=all(thing in guess for thing, guess in pairs),
        ground=ground if wanted.ground_named else None,
        colour=thing_hue(pixels) == wanted.colour if wanted.colour else None,
    )


def share(answers: Sequence[bool | None]) -> float:
    """The share of True among what is not None."""
    given = [answer for answer in answers if answer is not None]
    return sum(given) / len(given)


def score(verdicts: Sequence[Verdict], empty: Sequence[Verdict], concepts: int) -> Score:
    """Sum up the verdicts on prompted and unprompted pictures."""
    return Score(
        top1=share([verdict.first for verdict in verdicts]),
        top5=share([verdict.among_five for verdict in verdicts]),
        background=share([verdict.ground for verdict in verdicts]),
        colour=share([verdict.colour for verdict in verdicts]),
        chance=1 / concepts,
        empty=share([verdict.first for verdict in empty]),
    )


def sheet(pictures: Tensor, labels: Sequence[str], path: Path) -> None:
    """Save pictures [B, 128, 128, 3] uint8 on one sheet with two lines of text under each."""
    rows = -(-len(pictures) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * CELL, rows * (CELL + LABEL)), "white")
    pen = ImageDraw.Draw(canvas)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        x, y = index % COLUMNS * CELL, index // COLUMNS * (CELL + LABEL)
        canvas.paste(Image.fromarray(picture.numpy()), (x, y))
        pen.multiline_text((x + 2, y + CELL), label, fill="black", font_size=9, spacing=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)
