"""`extension.toml`: what an extension says of itself, read without running any of its code."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from webui.errors import ExtensionError

API_VERSION = "1.0"
"""Of `webui.extensions.v1`."""
FILE_NAME = "extension.toml"
MAX_BYTES = 65536
Text = Annotated[str, Field(min_length=1, max_length=200)]


class Manifest(BaseModel):
    """The fields of `extension.toml`.

    Attributes:
        id: lower case with hyphens, unique.
        api: range of versions of `webui.extensions.v1`, e.g. ">=1,<2".
        module: file to import; default: the folder itself.
        permissions: what it touches, in words; shown, not enforced.
        dependencies: PEP 508.
        load_after: ids that are to be loaded first, where they are installed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_: Literal[1] = Field(alias="schema")
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,63}$")]
    name: Text
    version: Text
    api: Text
    license: Text
    module: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")] = "__init__"
    description: Annotated[str, Field(max_length=1000)] = ""
    contributes: tuple[Text, ...] = ()
    permissions: dict[Text, Text] = {}
    dependencies: tuple[Text, ...] = ()
    load_after: tuple[Text, ...] = ()


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's manifest.

    Raises: ExtensionError: it is missing, too large, no TOML or lacks a field.
    """
    file = folder / FILE_NAME
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ExtensionError(folder.name, f"{FILE_NAME} is too large.")
        return Manifest.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ExtensionError(
            folder.name, f"{FILE_NAME}: '{place}' is wrong: {first['msg']}."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ExtensionError(folder.name, f"{FILE_NAME} cannot be read: {error}.") from None


def check_api(manifest: Manifest) -> None:
    """Raise ExtensionError unless the extension was written for this version of the API."""
    try:
        fits = SpecifierSet(manifest.api).contains(API_VERSION)
    except InvalidSpecifier:
        raise ExtensionError(
            manifest.id, f"'{manifest.api}' in {FILE_NAME} is no range of versions."
        ) from None
    if not fits:
        raise ExtensionError(
            manifest.id,
            f"It needs version {manifest.api} of the extension API, this is {API_VERSION}:"
            " look for another version of it.",
        )


def check_dependencies(manifest: Manifest) -> None:
    """Raise ExtensionError unless all packages that it needs are installed in a fitting version."""
    for text in manifest.dependencies:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            raise ExtensionError(manifest.id, f"'{text}' is no package requirement.") from None
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            raise ExtensionError(
                manifest.id, f"It needs the package {wanted}, which is not installed."
            ) from None
        if not wanted.specifier.contains(found, prereleases=True):
            raise ExtensionError(
                manifest.id, f"It needs the package {wanted}, but Easel runs with {found}."
            )
