"""The catalogs of all kinds of models, each scanned when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from webui.errors import ModelNotFound
from webui.model_manager.catalog import Catalog
from webui.model_manager.index import FileIndex
from webui.model_manager.kinds import CHECKPOINT, KINDS, ModelKind


class Library:
    """All model files by kind; thread-safe.

    Args:
        checkpoints: scanned already.
        models: the models folder.
        index: where hashes are kept.
        further: more folders by a kind's id.

    Attributes:
        unhashed: set when a scan has found files without hashes.
    """

    def __init__(
        self,
        checkpoints: Catalog,
        models: Path,
        index: FileIndex,
        further: Mapping[str, Sequence[Path]],
    ) -> None:
        self._catalogs = {CHECKPOINT.id: checkpoints}
        self._models = models
        self._index = index
        self._further = further
        self._lock = threading.Lock()
        self.unhashed = checkpoints.unhashed

    def catalog(self, kind_id: str) -> Catalog:
        """Return the catalog of a kind; the first call scans.

        Raises: ModelNotFound: there is no such kind.
        """
        kind = next((kind for kind in KINDS if kind.id == kind_id), None)
        if kind is None:
            raise ModelNotFound(f"There is no kind of model {kind_id[:80]!r}.")
        with self._lock:
            if kind_id not in self._catalogs:
                folders = self.folders(kind)
                self._catalogs[kind_id] = Catalog(folders, self._index, kind, self.unhashed)
            return self._catalogs[kind_id]

    def folders(self, kind: ModelKind) -> list[Path]:
        """Return where files of a kind are looked for; the first is where new ones go."""
        own = [(self._models / name).resolve() for name in kind.folders]
        return [*own, *self._further.get(kind.id, ())]

    def refresh(self) -> None:
        """Scan again what was scanned before."""
        for catalog in self._opened():
            catalog.refresh()

    def hash_next(self, should_stop: Callable[[], bool]) -> bool:
        """Hash one file that has no hashes yet, checkpoints first; False if there was none."""
        return any(catalog.hash_next(should_stop) for catalog in self._opened())

    def _opened(self) -> list[Catalog]:
        with self._lock:
            return list(self._catalogs.values())
