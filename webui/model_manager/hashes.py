"""Names of a file's content: sha256, and A1111's short and old hashes; computed behind the page."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

BLOCK_BYTES = 4 * 1024 * 1024
SHORT_HASH_DIGITS = 10
_OLD_HASH_OFFSET, _OLD_HASH_BYTES, _OLD_HASH_DIGITS = 0x100000, 0x10000, 8


@dataclass(frozen=True, slots=True)
class Hashes:
    """What a file's content is known by.

    Args:
        sha256: of the whole file, 64 hex digits.
        old: A1111's first hash, 8 hex digits, of 64 KB in the file's second megabyte; many files
            share one.
        addnet: sha256 of a safetensors file behind its header, so that notes can be changed: how
            kohya's add-on and A1111 know LoRA files; the whole file's for other files, "" where it
            was not asked for.
    """

    sha256: str
    old: str
    addnet: str = ""

    @property
    def short(self) -> str:
        """The ten digits that infotexts and titles show."""
        return self.sha256[:SHORT_HASH_DIGITS]


def hash_file(
    path: Path, should_stop: Callable[[], bool] = lambda: False, *, with_addnet: bool = False
) -> Hashes | None:
    """Hash a file; None if `should_stop` said so, asked every few milliseconds.

    Raises:
        OSError: if the file cannot be read.
    """
    whole, tensors = hashlib.sha256(), hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        file.seek(_OLD_HASH_OFFSET)
        old = hashlib.sha256(file.read(_OLD_HASH_BYTES)).hexdigest()[:_OLD_HASH_DIGITS]
        file.seek(0)
        left = _header_bytes(path, file.read(8)) if with_addnet else 0
        file.seek(0)
        while block := file.read(BLOCK_BYTES):
            if should_stop():
                return None
            whole.update(block)
            if with_addnet:
                tensors.update(memoryview(block)[left:])
                left = max(0, left - len(block))
    return Hashes(whole.hexdigest(), old, tensors.hexdigest() if with_addnet else "")


def _header_bytes(path: Path, start: bytes) -> int:
    is_safetensors = path.suffix.lower() == ".safetensors"
    return 8 + int.from_bytes(start, "little") if is_safetensors else 0


class HashQueue(Protocol):
    """Files that wait to be hashed, and where the hashes go.

    Attributes:
        unhashed: set when there may be new ones.
    """

    unhashed: threading.Event

    def hash_next(self, should_stop: Callable[[], bool]) -> bool:
        """Hash one file that has no hashes yet; False if there was none."""
        ...


class HashWorker:
    """A thread that hashes files one after the other, whenever some are new.

    Args:
        queue: the catalog.
    """

    def __init__(self, queue: HashQueue) -> None:
        self._queue = queue
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hashes", daemon=True)

    def start(self) -> None:
        """Begin, with what is there already."""
        self._thread.start()

    def stop(self) -> None:
        """End within one block's time; returns when the thread has ended."""
        self._stop.set()
        self._queue.unhashed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._queue.unhashed.wait()
            self._queue.unhashed.clear()
            while not self._stop.is_set() and self._queue.hash_next(self._stop.is_set):
                pass
