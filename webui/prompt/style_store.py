"""The current styles, read from their files and written back; thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from webui.prompt.style_files import StyleBook, load_styles, save_styles, style_paths
from webui.prompt.styles import Style


class StyleStore:
    """Styles in one or several files.

    Args:
        patterns: the files, wildcards allowed; new styles go into the first.
    """

    def __init__(self, patterns: Sequence[str | Path]) -> None:
        self._patterns = tuple(patterns)
        self._lock = threading.Lock()
        self._book = self._load()

    @property
    def book(self) -> StyleBook:
        """The styles as they are now."""
        return self._book

    def names(self) -> list[str]:
        """Rows of the dropdown."""
        return self._book.names()

    def get(self, name: str) -> Style | None:
        """A style by name."""
        return self._book.styles.get(name)

    def save(self, name: str, prompt: str, negative_prompt: str) -> None:
        """Add or replace a style, on disk too.

        Raises: InvalidRequest: a name or text that cannot be stored.
        """
        with self._lock:
            book = self._load().with_style(Style(name, prompt, negative_prompt))
            save_styles(book)
            self._book = book

    def delete(self, name: str) -> None:
        """Delete a style, on disk too."""
        with self._lock:
            book = self._load().without(name)
            save_styles(book)
            self._book = book

    def refresh(self) -> None:
        """Read the files again."""
        with self._lock:
            self._book = self._load()

    def _load(self) -> StyleBook:
        return load_styles(style_paths(self._patterns))
