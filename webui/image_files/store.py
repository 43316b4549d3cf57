"""Uploaded pictures, kept by content hash, so that requests can name them and survive a restart."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Collection
from pathlib import Path

from PIL import Image

from webui.errors import BadImage
from webui.image_files.save import storage_error, write_atomically
from webui.images.codec import DEFAULT_LIMITS, Limits, decode, open_checked, upright_size

_ID = re.compile(r"[0-9a-f]{64}")
KEEP_SECONDS = 7 * 86400.0


class PictureStore:
    """Picture files in a folder, named by their sha256; thread-safe.

    Args:
        folder: made when it is first needed.
        limits: what a picture may ask of us.
    """

    def __init__(self, folder: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._folder = folder
        self._limits = limits
        self._lock = threading.Lock()

    def put(self, content: bytes) -> str:
        """Keep a picture file as it is.

        Returns: its id; the same for equal content.
        Raises:
            BadImage: it is no picture, or beyond the limits.
            StorageError: the disk is full or not writable.
        """
        open_checked(content, self._limits)
        name = hashlib.sha256(content).hexdigest()
        file = self._file(name)
        with self._lock:
            try:
                if file.exists():
                    file.touch()
                    return name
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise storage_error(error, file.parent) from error
            write_atomically(file, content)
        return name

    def read(self, picture: str) -> bytes:
        """The file's content.

        Raises: BadImage: no such picture.
        """
        try:
            return self._file(picture).read_bytes()
        except OSError as error:
            raise BadImage("A picture of this request is gone: upload it again.") from error

    def open(self, picture: str) -> Image.Image:
        """The decoded picture, upright.

        Raises: BadImage: no such picture, or it is damaged.
        """
        return decode(self.read(picture), self._limits)

    def size(self, picture: str) -> tuple[int, int]:
        """(width, height) of the upright picture, from its header where that suffices.

        Raises: BadImage: no such picture, or it is damaged.
        """
        return upright_size(self.read(picture), self._limits)

    def forget(self, needed: Collection[str], keep_seconds: float = KEEP_SECONDS) -> None:
        """Delete pictures that no job needs and that nobody put for a while."""
        oldest = time.time() - keep_seconds
        for file in self._folder.glob("??/*"):
            if file.name not in needed and file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)

    def _file(self, picture: str) -> Path:
        if not _ID.fullmatch(picture):
            raise BadImage("A picture of this request is unknown: upload it again.")
        return self._folder / picture[:2] / picture
