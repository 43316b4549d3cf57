"""A lock file that the operating system releases when the process ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from webui.errors import StorageError

if sys.platform == "win32":
    import msvcrt

    _FAR_AWAY = 1 << 20  # Windows forbids others to read a locked byte: lock one beyond the text

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR_AWAY, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """Holds `path` from construction until `release`, against this and every other process.

    Raises: StorageError: if it is held already, or the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(
                f"The job queue cannot make its lock file {path}: {error.strerror}."
            ) from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            self.release()
            raise StorageError(
                f"The job queue {path.with_suffix('')} is in use by another Easel "
                f"(process {holder}). "
                "Stop that one first, or start this one with another data folder."
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode("ascii"))

    def release(self) -> None:
        """Let go. The file stays: removing it could remove a later holder's lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
