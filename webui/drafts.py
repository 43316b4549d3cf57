"""What users typed but did not send yet: reload, crash and a second device find it again."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

from webui.errors import InvalidRequest, StorageError

MAX_BYTES = 4 * 1024 * 1024


class DraftStore:
    """One JSON file an owner in a folder; the last writer wins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def get(self, owner: str) -> dict[str, Any]:
        """What was put last, {} if nothing (or nothing readable) was."""
        try:
            stored = json.loads(self._file(owner).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}

    def put(self, owner: str, draft: dict[str, Any]) -> None:
        """Keep a draft.

        Raises:
            InvalidRequest: it is larger than 4 MiB.
            StorageError: it cannot be written; the draft before it stays.
        """
        text = json.dumps(draft, ensure_ascii=False)
        if len(text) > MAX_BYTES:
            raise InvalidRequest("draft", "What was typed is too long to be kept: at most 4 MiB.")
        file = self._file(owner)
        with self._lock:
            temporary = file.with_suffix(".tmp")
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                temporary.write_text(text, encoding="utf-8")
                temporary.replace(file)
            except OSError as error:
                temporary.unlink(missing_ok=True)
                raise StorageError(
                    f"What was typed could not be kept ({error.strerror}). Make room on the disk,"
                    " or check the folder's permissions."
                ) from error

    def _file(self, owner: str) -> Path:
        return self._folder / f"{hashlib.sha256(owner.encode()).hexdigest()[:32]}.json"
