"""What the Extras tab and the API ask for: pictures and what to do to each, in A1111's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from webui.request import MAX_SIDE

EXTRAS_KIND = "extras"
"""Of the queue's jobs."""
MOST_PICTURES = 1000
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


@dataclass(frozen=True, slots=True)
class Upscale:
    """Enlarge.

    Args:
        upscaler: by name; "None": leave the picture as it is.
        second, second_visibility: another one, blended in.
        factor: how many times; used without `size`.
        max_side: with `factor`: the longer side ends here, pixels; 0: anywhere.
        size: (width, height) to cover instead.
        crop: cut to `size`, centred.
    """

    upscaler: str = "None"
    second: str = "None"
    second_visibility: Fraction = 0.0
    factor: Annotated[float, Field(gt=0, le=16, allow_inf_nan=False)] = 4.0
    max_side: Annotated[int, Field(ge=0, le=MAX_SIDE)] = 0
    size: tuple[Side, Side] | None = None
    crop: bool = True


@dataclass(frozen=True, slots=True)
class Split:
    """Cut pictures that are much longer than the target into several of its shape.

    Args:
        threshold: of the share of the picture that the target would show.
        overlap: of neighbours, share of the target's side.
    """

    threshold: Fraction = 0.5
    overlap: Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False)] = 0.2


@dataclass(frozen=True, slots=True)
class SizedCrop:
    """Cut to the shape, out of all multiples of 64 within bounds, that fits the picture best.

    Args:
        min_side, max_side: pixels. min_area, max_area: square pixels.
        objective: the largest area, or the least difference of ratio.
        threshold: the most difference of ratio that is borne; others are left uncut.
    """

    min_side: Side = 384
    max_side: Side = 768
    min_area: Annotated[int, Field(ge=1)] = 64 * 64
    max_area: Annotated[int, Field(ge=1)] = 640 * 640
    objective: Literal["area", "error"] = "area"
    threshold: Fraction = 0.1


@dataclass(frozen=True, slots=True)
class ExtrasRequest:
    """One job of the Extras tab.

    Args:
        pictures: ids in the picture store.
        names: of their files, without suffix; empty where there is none.
        flips: mirrored copies that are added.
        is_saved: to the output folder.
    """

    pictures: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_PICTURES)]
    names: tuple[str, ...] = ()
    upscale: Upscale | None = None
    split: Split | None = None
    sized_crop: SizedCrop | None = None
    flips: tuple[Literal["horizontal", "vertical", "both"], ...] = ()
    is_saved: bool = True


_ADAPTER = TypeAdapter(ExtrasRequest)


def to_json(request: ExtrasRequest) -> str:
    """As the queue keeps it. Raises: pydantic.ValidationError: a value out of its range."""
    return _ADAPTER.dump_json(_ADAPTER.validate_python(request)).decode()


def from_json(text: str) -> ExtrasRequest:
    """Read what `to_json` wrote."""
    return _ADAPTER.validate_json(text)
