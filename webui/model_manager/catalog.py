"""Checkpoint files by all the names that users, infotexts and A1111's API give them.

A name is looked up among the files that a scan has found; no path is ever made from it.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from webui.errors import ModelNotFound
from webui.model_manager.hashes import Hashes, hash_file
from webui.model_manager.index import FileIndex, FileVersion

CHECKPOINT_SUFFIXES = (".safetensors", ".ckpt")
_VAE_SUFFIX = re.compile(r"\.vae\.[^.]+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A file that was found.

    Args:
        version: the file itself.
        name: relative to its folder, with forward slashes: ``anime/model.safetensors``.
        hashes: None until they are computed.
    """

    version: FileVersion
    name: str
    hashes: Hashes | None

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


class Catalog:
    """The checkpoints in some folders.

    Args:
        folders: searched through, sub-folders and links included; the first one's names win.
        index: where hashes are kept.

    Attributes:
        unhashed: set when a scan has found files without hashes.
    """

    def __init__(self, folders: Sequence[Path], index: FileIndex) -> None:
        self._folders = tuple(folders)
        self._index = index
        self._files: tuple[CheckpointFile, ...] = ()
        self._scanning = threading.Lock()
        self._hashing = threading.Condition()
        self._being_hashed: set[FileVersion] = set()
        self._attempted: frozenset[FileVersion] = frozenset()
        self.unhashed = threading.Event()
        self.refresh()

    def files(self) -> tuple[CheckpointFile, ...]:
        """Return what the last scan found, in natural order of names."""
        return self._files

    def refresh(self) -> None:
        """Scan the folders again."""
        with self._scanning:
            known = self._index.hashes()
            found: dict[str, CheckpointFile] = {}
            for folder in self._folders:
                for name, version in _scan(folder):
                    unique = name if name not in found else f"{folder.name}/{name}"
                    found.setdefault(unique, CheckpointFile(version, unique, known.get(version)))
            self._files = tuple(sorted(found.values(), key=lambda file: _natural(file.name)))
            if any(file.hashes is None for file in self._files):
                self.unhashed.set()

    def find(self, name: str) -> CheckpointFile:
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
            raise ModelNotFound(
                f"There is no checkpoint {name[:200]!r}. Put it into models/Stable-diffusion, or"
                " choose another."
            )
        return found

    def hashed(self, file: CheckpointFile) -> CheckpointFile:
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
        return next((known for known in self._files if known.version == file.version), file)

    def hash_next(self, should_stop: Callable[[], bool]) -> bool:
        """Hash the first file without hashes; False if there is none left.

        A file that cannot be read, or changes meanwhile, is left out until it is another version.
        """
        waiting = (file for file in self._files if file.hashes is None)
        file = next((file for file in waiting if file.version not in self._attempted), None)
        if file is None:
            return False
        self._attempted |= {file.version}
        with suppress(OSError):
            self._hash(file, should_stop)
        return True

    def _hash(self, file: CheckpointFile, should_stop: Callable[[], bool]) -> None:
        """Hash a file, or wait until another thread has done it."""
        version = file.version
        with self._hashing:
            self._hashing.wait_for(lambda: version not in self._being_hashed)
            if any(known.version == version and known.hashes for known in self._files):
                return
            self._being_hashed.add(version)
        try:
            hashes = hash_file(file.path, should_stop)
            if hashes is not None and _version(file.path) == version:
                self._index.store(version, hashes)
                self._adopt(version, hashes)
        finally:
            with self._hashing:
                self._being_hashed.discard(version)
                self._hashing.notify_all()

    def _adopt(self, version: FileVersion, hashes: Hashes) -> None:
        with self._scanning:
            self._files = tuple(
                CheckpointFile(version, file.name, hashes) if file.version == version else file
                for file in self._files
            )


def _match(files: Sequence[CheckpointFile], name: str) -> CheckpointFile | None:
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


def _scan(folder: Path) -> Iterator[tuple[str, FileVersion]]:
    """Yield the checkpoints below a folder; broken links and what cannot be listed are left out."""
    visited: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        for name in names:
            if not name.lower().endswith(CHECKPOINT_SUFFIXES) or _VAE_SUFFIX.search(name):
                continue
            path = Path(place, name)
            with suppress(OSError):
                yield path.relative_to(folder).as_posix(), _version(path)


def _version(path: Path) -> FileVersion:
    status = path.stat()
    return FileVersion(path, status.st_size, status.st_mtime_ns)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key: numbers by value, letters without case."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
