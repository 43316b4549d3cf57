"""Model files by all the names that users, infotexts and A1111's API give them.

A name is looked up among the files that a scan has found; no path is ever made from it.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from webui.errors import ModelNotFound
from webui.model_manager.hashes import Hashes, hash_file
from webui.model_manager.index import FileIndex, FileVersion
from webui.model_manager.kinds import CHECKPOINT, LORA, ModelKind
from webui.model_manager.scan import Scan, Sidecars, reason_of, version_of
from webui.model_manager.small_text import read_small_text


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that was found.

    Args:
        version: the file itself.
        name: relative to its folder, with forward slashes: ``anime/model.safetensors``.
        hashes: None until they are computed.
        sidecars: what lies beside it.
    """

    version: FileVersion
    name: str
    hashes: Hashes | None
    sidecars: Sidecars = field(default_factory=Sidecars)

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.version.path

    @property
    def short_hash(self) -> str | None:
        """Ten hex digits, None until computed."""
        return None if self.hashes is None else self.hashes.short

    @property
    def stem(self) -> str:
        """The file's name alone, without suffix."""
        return self.path.stem

    @property
    def model_name(self) -> str:
        """As infotexts write it: the name without suffix, ``/`` as ``_``."""
        return self.name.rpartition(".")[0].replace("/", "_")

    @property
    def title(self) -> str:
        """As lists show it: ``name [short hash]``."""
        return self.name if self.hashes is None else f"{self.name} [{self.hashes.short}]"

    @property
    def short_title(self) -> str:
        """The title by stem."""
        return self.stem if self.hashes is None else f"{self.stem} [{self.hashes.short}]"

    @property
    def keys(self) -> tuple[str, ...]:
        """Every name that means this file exactly."""
        names = (self.model_name, self.title, self.name, self.stem, self.short_title)
        if self.hashes is None:
            return names
        old = f"{self.name} [{self.hashes.old}]"
        return (*names, self.hashes.old, old, self.hashes.short, self.hashes.sha256)


CheckpointFile: TypeAlias = ModelFile
"""A file of the kind ``checkpoint``."""


class Catalog:
    """The files of one kind in some folders; thread-safe.

    Args:
        folders: searched through, sub-folders and links included; the first one's names win.
        index: where hashes are kept.
        kind: which files count.
        unhashed: shared with other catalogs whose files one thread hashes.

    Attributes:
        unhashed: set when a scan has found files without hashes.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        index: FileIndex,
        kind: ModelKind = CHECKPOINT,
        unhashed: threading.Event | None = None,
    ) -> None:
        self.kind = kind
        self._folders = tuple(folders)
        self._index = index
        self._files: tuple[ModelFile, ...] = ()
        self._places: dict[FileVersion, list[int]] = {}
        self._waiting: deque[FileVersion] = deque()
        self._problems: dict[Path, str] = {}
        self._descriptions: dict[Path, str] = {}
        self._scanning = threading.Lock()
        self._hashing = threading.Condition()
        self._being_hashed: set[FileVersion] = set()
        self._attempted: set[FileVersion] = set()
        self.unhashed = unhashed or threading.Event()
        self.refresh()

    def files(self) -> tuple[ModelFile, ...]:
        """Return what the last scan found, in natural order of names."""
        return self._files

    def problems(self) -> Mapping[Path, str]:
        """Return what is there but cannot be used, and why: broken links, locked folders."""
        return dict(self._problems)

    def description(self, file: ModelFile) -> str:
        """Return the text beside a file, read once between two scans; "" if there is none."""
        path = file.sidecars.description
        if path is None:
            return ""
        text = self._descriptions.get(path)
        if text is None:
            text = self._descriptions[path] = read_small_text(path)
        return text

    def refresh(self) -> None:
        """Scan the folders again."""
        with self._scanning:
            known = self._index.hashes()
            scan = Scan(self.kind)
            found: dict[str, ModelFile] = {}
            for folder in self._folders:
                for name, version, beside in scan.walk(folder):
                    unique = name if name not in found else f"{folder.name}/{name}"
                    file = ModelFile(version, unique, known.get(version), beside)
                    found.setdefault(unique, file)
            self._problems = scan.problems
            self._descriptions = {}
            self._files = tuple(sorted(found.values(), key=lambda file: natural_key(file.name)))
            self._places = {}
            for place, file in enumerate(self._files):
                self._places.setdefault(file.version, []).append(place)
            unhashed = (file.version for file in self._files if file.hashes is None)
            self._waiting = deque(one for one in unhashed if one not in self._attempted)
            if self._waiting:
                self.unhashed.set()

    def named(self, name: str) -> ModelFile:
        """Return the file of exactly this name.

        Raises:
            ModelNotFound: if there is none.
        """
        found = next((file for file in self._files if file.name == name), None)
        if found is None:
            raise self._missing(name)
        return found

    def find(self, name: str) -> ModelFile:
        """Return the file that a name means.

        A1111's order: an exact name or hash, else the shortest title that contains the name, else
        likewise without a hash in brackets at the name's end. Looks for new files before giving up.

        Raises:
            ModelNotFound: if no file answers to the name.
        """
        found = _match(self._files, name)
        if found is None:
            self.refresh()
            found = _match(self._files, name)
        if found is None:
            raise self._missing(name)
        return found

    def _missing(self, name: str) -> ModelNotFound:
        return ModelNotFound(
            f"There is no {self.kind.noun} {name[:200]!r}. Put it into"
            f" models/{self.kind.folders[0]}, or choose another."
        )

    def hashed(self, file: ModelFile) -> ModelFile:
        """Return a file with its hashes, computing them if they are not known yet.

        Raises:
            ModelNotFound: if the file has vanished or cannot be read.
        """
        if file.hashes is not None:
            return file
        try:
            self._hash(file, lambda: False)
        except OSError as error:
            raise ModelNotFound(
                f"{file.name} cannot be read: {error.strerror or error}."
            ) from error
        return self._known(file.version) or file

    def hash_next(self, should_stop: Callable[[], bool]) -> bool:
        """Hash the first file without hashes; False if there is none left.

        A file that cannot be read, or changes meanwhile, is left out until it is another version.
        """
        with self._scanning:
            version = self._waiting.popleft() if self._waiting else None
            file = self._known(version) if version else None
        if version is None:
            return False
        self._attempted.add(version)
        if file is not None and file.hashes is None:
            try:
                self._hash(file, should_stop)
            except OSError as error:
                self._problems[file.path] = reason_of(error)
        return True

    def _known(self, version: FileVersion) -> ModelFile | None:
        places = self._places.get(version)
        return self._files[places[0]] if places else None

    def _hash(self, file: ModelFile, should_stop: Callable[[], bool]) -> None:
        """Hash a file, or wait until another thread has done it."""
        version = file.version
        with self._hashing:
            self._hashing.wait_for(lambda: version not in self._being_hashed)
            known = self._known(version)
            if known is not None and known.hashes:
                return
            self._being_hashed.add(version)
        try:
            hashes = hash_file(file.path, should_stop, with_addnet=self.kind is LORA)
            if hashes is not None and version_of(file.path) == version:
                self._index.store(version, hashes)
                self._adopt(version, hashes)
        finally:
            with self._hashing:
                self._being_hashed.discard(version)
                self._hashing.notify_all()

    def _adopt(self, version: FileVersion, hashes: Hashes) -> None:
        with self._scanning:
            files = list(self._files)
            for place in self._places.get(version, ()):
                files[place] = replace(files[place], hashes=hashes)
            self._files = tuple(files)


def _match(files: Sequence[ModelFile], name: str) -> ModelFile | None:
    if not name:
        return None
    for file in files:
        if name in file.keys:
            return file
    without_hash = re.sub(r"\s*\[[^\]]*\]\s*$", "", name)
    for text in (name, without_hash):
        candidates = [file for file in files if text and text in file.title]
        if candidates:
            return min(candidates, key=lambda file: len(file.title))
    return None


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key: numbers by value, letters without case."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
