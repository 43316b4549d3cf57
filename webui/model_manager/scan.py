"""Which model files lie in a folder, and what lies beside them; no file is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path

from webui.model_manager.index import FileVersion
from webui.model_manager.kinds import CHECKPOINT, ModelKind

_VAE_SUFFIX = re.compile(r"\.vae\.[^.]+$", re.IGNORECASE)
PREVIEW_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif")


@dataclass(frozen=True, slots=True)
class Sidecars:
    """Files beside a model that belong to it; None: there is none.

    Attributes:
        preview: ``<model>.png`` or ``<model>.preview.png``; also .jpg, .webp, .gif, .avif.
        description: ``<model>.txt`` or ``<model>.description.txt``.
        notes: ``<model>.json``: what the user wrote.
    """

    preview: Path | None = None
    description: Path | None = None
    notes: Path | None = None


_COMPANIONS = (*PREVIEW_SUFFIXES, ".txt", ".json")
_NONE = Sidecars()


@dataclass(slots=True)
class Scan:
    """What a scan goes by and what it met.

    Args:
        kind: other files are passed over.
        problems: files and folders that are there but cannot be used: path -> reason.
    """

    kind: ModelKind
    problems: dict[Path, str] = field(default_factory=dict)

    def walk(self, folder: Path) -> Iterator[tuple[str, FileVersion, Sidecars]]:
        """Yield the model files below a folder: name with forward slashes, version, companions.

        Links are followed, round in circles only once.
        """
        visited: set[tuple[int, int]] = set()
        for place, folders, names in os.walk(folder, onerror=self._unlisted, followlinks=True):
            try:
                status = Path(place).stat()
            except OSError as error:
                self._unlisted(error)
                continue
            if (status.st_dev, status.st_ino) in visited:
                folders.clear()
                continue
            visited.add((status.st_dev, status.st_ino))
            prefix = Path(place).relative_to(folder).as_posix()
            there = frozenset(name for name in names if name.lower().endswith(_COMPANIONS))
            for name in names:
                if not self._is_model(name):
                    continue
                version = self._version(Path(place, name))
                if version is not None:
                    relative = name if prefix == "." else f"{prefix}/{name}"
                    yield relative, version, sidecars(Path(place), name, there)

    def _is_model(self, name: str) -> bool:
        lower = name.lower()
        if not lower.endswith(self.kind.suffixes) or ".preview." in lower:
            return False
        return self.kind is not CHECKPOINT or not _VAE_SUFFIX.search(name)

    def _version(self, path: Path) -> FileVersion | None:
        try:
            return version_of(path)
        except OSError as error:
            self.problems[path] = reason_of(error)
            return None

    def _unlisted(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) and error.filename is not None:
            self.problems[Path(error.filename)] = reason_of(error)


def sidecars(folder: Path, name: str, there: Set[str]) -> Sidecars:
    """Return a model file's companions among the names in its folder."""
    if not there:
        return _NONE
    stem = name.rpartition(".")[0]
    pictures = [f"{stem}{middle}{end}" for middle in ("", ".preview") for end in PREVIEW_SUFFIXES]
    texts = (f"{stem}.txt", f"{stem}.description.txt")
    return Sidecars(
        preview=next((folder / one for one in pictures if one in there and one != name), None),
        description=next((folder / one for one in texts if one in there), None),
        notes=folder / f"{stem}.json" if f"{stem}.json" in there else None,
    )


def version_of(path: Path) -> FileVersion:
    """Return a file as it is now. Raises: OSError."""
    status = path.stat()
    return FileVersion(path, status.st_size, status.st_mtime_ns)


def reason_of(error: OSError) -> str:
    """Why a file cannot be used, for the user."""
    if isinstance(error, FileNotFoundError):
        return "a link to a file that is gone"
    return error.strerror or str(error)
