"""What an extension's parts are made of: fields with a type, a range and a label.

The host draws the controls, checks values, and keeps them by field name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pydantic
from pydantic import BaseModel, ConfigDict, model_validator

ImageInput = Annotated[str, pydantic.Field(json_schema_extra={"easel": "image"})]
"""A picture that the user gives, by the id under which it is stored; `ctx.picture` opens it."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of weights that the user chooses from a folder below `models/`.

    As a field's default it says where to look; as a value it names a file there.

    Attributes:
        folder: below the models folder, e.g. "upscalers".
        suffixes: of the files that are offered.
        name: path below the folder; "": nothing chosen.
    """

    folder: str
    suffixes: tuple[str, ...] = (".safetensors",)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Range:
    """A part of something that goes from 0 to 1; `0.3 in Range(0.0, 0.5)`."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError("start and end go from 0 to 1, the start first")

    def __contains__(self, fraction: float) -> bool:
        return self.start <= fraction <= self.end


def Field(  # noqa: N802 - stands for pydantic's Field
    default: Any,  # noqa: ANN401
    *,
    title: str | None = None,
    help: str | None = None,
    ge: float | None = None,
    le: float | None = None,
    choices: str | tuple[str, ...] | None = None,
    infotext: str | None = None,
) -> Any:  # noqa: ANN401 - as pydantic.Field: the annotation tells the type
    """Declare a field.

    Args:
        title: label; default: the field's name.
        help: one sentence that is shown with the control.
        ge, le: smallest and largest value.
        choices: the values, or the name of a list: "preprocessors", "upscalers", "samplers".
        infotext: key under which the value stands in the infotext; None: it does not.
    """
    extra: dict[str, Any] = {"choices": choices, "infotext": infotext}
    limits: dict[str, Any] = {"ge": ge, "le": le}
    given = {name: value for name, value in limits.items() if value is not None}
    return pydantic.Field(
        default, title=title, description=help, json_schema_extra={"easel": extra}, **given
    )


def _open_file(value: object) -> object:
    return None if value in ("", "None") else value


class Parameters(BaseModel):
    """Base of everything that has fields.

    Attributes:
        id: stable, lower case with hyphens: the name in requests and files.
        label: as users read it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    id: ClassVar[str]
    label: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _choose_files(cls, given: Any) -> Any:  # noqa: ANN401 - whatever came in
        """File names become `ModelFile` values; a file that was not chosen is None."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        for name, info in cls.model_fields.items():
            if not isinstance(info.default, ModelFile):
                continue
            value = _open_file(filled.get(name))
            if isinstance(value, str):
                filled[name] = replace(info.default, name=_checked_name(value))
            elif value is None and name in filled:
                filled[name] = info.default
        return filled

    def model_post_init(self, _: Any, /) -> None:  # noqa: ANN401 - pydantic's signature
        """Make optional files that were not chosen None."""
        for name, info in type(self).model_fields.items():
            value = self.__dict__.get(name)
            is_open = isinstance(value, ModelFile) and not value.name
            if is_open and type(None) in getattr(info.annotation, "__args__", ()):
                self.__dict__[name] = None


def _checked_name(name: str) -> str:
    parts = Path(name.replace("\\", "/")).parts
    if not parts or ".." in parts or Path(name).is_absolute():
        raise ValueError("a model file is named by its path below its folder")
    return name
