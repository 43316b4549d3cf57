"""What the user wrote about a model: ``<model>.json`` beside it, under A1111's names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.errors import StorageError
from webui.model_manager.catalog import ModelFile
from webui.model_manager.small_text import read_small_text

MAX_WEIGHT = 1000
_KEYS = {
    "description": "description",
    "notes": "notes",
    "sd_version": "sd version",
    "activation_text": "activation text",
    "preferred_weight": "preferred weight",
    "negative_text": "negative text",
    "vae": "vae",
}


@dataclass(frozen=True, slots=True)
class UserNotes:
    """Notes on a model; "" where nothing was written.

    Attributes:
        activation_text: put into the prompt behind the model's tag.
        preferred_weight: of the tag; 0: the setting's.
        negative_text: put into the negative prompt.
        vae: name of the VAE file that a checkpoint is used with.
    """

    description: str = ""
    notes: str = ""
    sd_version: str = ""
    activation_text: str = ""
    preferred_weight: float = 0.0
    negative_text: str = ""
    vae: str = ""


def read_notes(file: ModelFile, description: str) -> UserNotes:
    """Return the notes on a file.

    Args:
        description: for a file whose notes hold none.
    """
    found = _stored(file.sidecars.notes)
    values: dict[str, Any] = {name: _words(found.get(key)) for name, key in _KEYS.items()}
    values["preferred_weight"] = _weight(found.get("preferred weight"))
    values["description"] = values["description"] or description
    return UserNotes(**values)


def _words(value: object) -> str:
    return value if isinstance(value, str) else ""


def _weight(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0.0
    return float(value) if abs(value) < MAX_WEIGHT else 0.0


def write_notes(file: ModelFile, notes: UserNotes) -> Path:
    """Write notes beside a file, all or nothing; what else the JSON holds stays.

    Raises: StorageError: the folder cannot be written to.
    """
    path = file.path.with_suffix(".json")
    stored = _stored(path) | {key: getattr(notes, name) for name, key in _KEYS.items()}
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(json.dumps(stored, indent=4, ensure_ascii=False), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"The notes on {file.name} could not be written ({error.strerror}). Make room on the"
            " disk, or check the folder's permissions."
        ) from error
    return path


def _stored(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(read_small_text(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
