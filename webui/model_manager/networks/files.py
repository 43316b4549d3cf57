"""The files of one kind of network, by the names that prompts and lists use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from webui.model_manager.catalog import natural_key
from webui.model_manager.index import FileVersion
from webui.model_manager.kinds import ModelKind
from webui.model_manager.scan import Scan, version_of

FindFiles = Callable[[], Iterable[FileVersion]]
"""Looks for files; the catalogue of all models can stand in for the folders' walk."""


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A file that was found."""

    version: FileVersion

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.version.path

    @property
    def name(self) -> str:
        """The file's name without folders and suffix: what prompts call it."""
        return self.path.stem


AliasOf = Callable[[NetworkFile], str]
"""The second name that a file gives itself; its own for none."""


class NetworkFiles:
    """The files of one kind; safe to use from several threads.

    Args:
        find_files: looks for files, in the order of lists; of two with one name the later is found.
        alias_of: where files have second names.
    """

    def __init__(self, find_files: FindFiles, alias_of: AliasOf | None = None) -> None:
        self._find_files = find_files
        self._alias_of = alias_of
        self._lock = threading.Lock()
        self._files: tuple[NetworkFile, ...] | None = None
        self._by_name: dict[str, NetworkFile] = {}
        self._by_alias: dict[str, NetworkFile] | None = None
        self._ambiguous: frozenset[str] = frozenset()

    def files(self) -> tuple[NetworkFile, ...]:
        """Return what the last scan found; the first call scans."""
        with self._lock:
            return self._known()

    def refresh(self) -> None:
        """Scan again."""
        with self._lock:
            self._files = None
            self._known()

    def find(self, name: str) -> NetworkFile | None:
        """Return the file that a prompt means, as it is now; looks for new files if there is none.

        A name without its suffix wins over an alias; an alias of two files is none.
        """
        with self._lock:
            found = self._lookup(name)
            if found is None or not _is_current(found):
                self._files = None
                self._known()
                found = self._lookup(name)
            return found

    def alias(self, file: NetworkFile) -> str:
        """Return the name that a file gives itself, its own if it gives none."""
        return file.name if self._alias_of is None else self._alias_of(file)

    def is_ambiguous(self, alias: str) -> bool:
        """Tell whether an alias means several files, so that only the file's own name will do."""
        with self._lock:
            self._aliases()
            return alias.lower() in self._ambiguous

    def _lookup(self, name: str) -> NetworkFile | None:
        self._known()
        found = self._by_name.get(name)
        if found is not None or self._alias_of is None:
            return found
        aliases = self._aliases()
        return None if name.lower() in self._ambiguous else aliases.get(name)

    def _known(self) -> tuple[NetworkFile, ...]:
        if self._files is None:
            found = {
                NetworkFile(version).path: NetworkFile(version) for version in self._find_files()
            }
            self._files = tuple(found.values())
            self._by_name = {file.name: file for file in self._files}
            self._by_alias = None
        return self._files

    def _aliases(self) -> dict[str, NetworkFile]:
        """The second names; reading them opens every file once."""
        files = self._known()
        if self._by_alias is None:
            aliases: dict[str, NetworkFile] = {}
            ambiguous = {"none", "addams"}  # A1111 has no aliases of these names
            for file in files:
                alias = self._alias_of(file) if self._alias_of else file.name
                if alias in aliases:
                    ambiguous.add(alias.lower())
                aliases[file.name] = aliases[alias] = file
            self._by_alias, self._ambiguous = aliases, frozenset(ambiguous)
        return self._by_alias


def _is_current(file: NetworkFile) -> bool:
    try:
        return version_of(file.path) == file.version
    except OSError:
        return False


def folder_scan(folders: Sequence[Path], kind: ModelKind) -> FindFiles:
    """Return a scan of some folders, sub-folders and links included, in natural order."""

    def scan() -> Iterator[FileVersion]:
        for folder in folders:
            found = [version for _, version, _ in Scan(kind).walk(folder)]
            yield from sorted(found, key=lambda version: natural_key(str(version.path)))

    return scan
