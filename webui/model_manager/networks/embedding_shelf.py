"""The embeddings of some folders: read once, read anew when a folder changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from webui.errors import UnsupportedModel
from webui.families.embeddings import Embedding, Slot
from webui.model_manager.index import FileVersion
from webui.model_manager.networks.embedding_file import read_embedding
from webui.model_manager.networks.files import NetworkFiles

Widths = Mapping[Slot, int]


class EmbeddingLists(NamedTuple):
    """Embeddings by name, by whether a model understands them."""

    loaded: dict[str, Embedding]
    skipped: dict[str, Embedding]


class EmbeddingShelf:
    """Reads embedding files; safe to use from several threads.

    Args:
        files: of all formats; a file that cannot be read is left out.
        folders: looked through again when one of them has changed.
    """

    def __init__(self, files: NetworkFiles, folders: Sequence[Path] = ()) -> None:
        self._files = files
        self._folders = folders
        self._seen: list[int] = []
        self._lock = threading.Lock()
        self._read: dict[FileVersion, Embedding | str | None] = {}

    def lists(self, widths: Widths) -> EmbeddingLists:
        """Return the embeddings that a model with text encoders of these widths takes."""
        loaded: dict[str, Embedding] = {}
        skipped: dict[str, Embedding] = {}
        for embedding in self._all():
            (loaded if embedding.fits(widths) else skipped)[embedding.name] = embedding
        return EmbeddingLists(loaded, skipped)

    def problems(self) -> list[str]:
        """Return a sentence for each file that cannot be used."""
        self._all()
        with self._lock:
            return [one for one in self._read.values() if isinstance(one, str)]

    def refresh(self) -> None:
        """Look for new and changed files."""
        self._files.refresh()

    def _all(self) -> list[Embedding]:
        with self._lock:
            now = [_changed_at(folder) for folder in self._folders]
            if now != self._seen:
                self._files.refresh()
                self._seen = now
            versions = [file.version for file in self._files.files()]
            self._read = {version: self._embedding(version) for version in versions}
            return [one for one in self._read.values() if isinstance(one, Embedding)]

    def _embedding(self, version: FileVersion) -> Embedding | str | None:
        if version in self._read:
            return self._read[version]
        try:
            return read_embedding(version.path)
        except UnsupportedModel as error:
            return str(error)


def _changed_at(folder: Path) -> int:
    """When a folder's list of files last changed, nanoseconds; 0 if there is no folder."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
