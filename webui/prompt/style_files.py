"""The files of styles: ``styles.csv`` and those named with ``--styles-file``."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from webui.errors import InvalidRequest, StorageError
from webui.prompt.styles import Style

_COLUMNS = ("name", "prompt", "negative_prompt")
_LONGEST_TEMPLATE = 100_000  # characters; the csv module reads fields of up to 131072
_DIVIDER_WIDTH = 40


@dataclass(frozen=True, slots=True)
class StyleFile:
    """What one file holds.

    Args:
        path: the file; it need not exist yet.
        styles: its styles in their order, names unique.
        comments: rows whose name begins with ``#``: kept, and otherwise ignored.
        problem: a sentence if the file cannot be read; such a file is never written.
    """

    path: Path
    styles: tuple[Style, ...] = ()
    comments: tuple[Style, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StyleBook:
    """All styles that can be chosen; where a name occurs in several files, the last file's counts.

    Args:
        files: at least one; new styles go into the first.
    """

    files: tuple[StyleFile, ...]

    @property
    def styles(self) -> dict[str, Style]:
        """The styles by name, in the order of the files."""
        return {style.name: style for file in self.files for style in file.styles}

    @property
    def problems(self) -> list[str]:
        """A sentence for every file that could not be read."""
        return [file.problem for file in self.files if file.problem]

    def names(self) -> list[str]:
        """Return the dropdown's rows; with several files each begins with a divider row."""
        if len(self.files) == 1:
            return list(self.styles)
        rows: dict[str, None] = {}
        for file in self.files:
            rows[divider(file.path)] = None
            rows.update(dict.fromkeys(style.name for style in file.styles))
        return list(rows)

    def chosen(self, names: Iterable[str]) -> list[Style]:
        """Return the named styles; unknown names and divider rows are passed over."""
        styles = self.styles
        return [styles[name] for name in names if name in styles]

    def with_style(self, style: Style) -> StyleBook:
        """Return the book with a style added, or replaced in the file that holds its name.

        Raises: InvalidRequest: a name that cannot be stored, or a template that is too long.
        """
        name = style.name
        if not name.strip() or name.startswith("#") or name in map(divider, self._paths()):
            reason = "A style needs a name, and one that does not begin with #."
            raise InvalidRequest("styles", reason)
        if max(len(name), len(style.prompt), len(style.negative_prompt)) > _LONGEST_TEMPLATE:
            reason = f"A style can hold {_LONGEST_TEMPLATE} characters: shorten it."
            raise InvalidRequest("styles", reason)
        holders = [index for index, file in enumerate(self.files) if name in _names(file)]
        index = holders[-1] if holders else 0
        styles = {known.name: known for known in self.files[index].styles} | {name: style}
        return self._with_styles(index, styles.values())

    def without(self, name: str) -> StyleBook:
        """Return the book without the styles of that name."""
        book = self
        for index, file in enumerate(self.files):
            if name in _names(file):
                book = book._with_styles(index, (s for s in file.styles if s.name != name))
        return book

    def _paths(self) -> list[Path]:
        return [file.path for file in self.files]

    def _with_styles(self, index: int, styles: Iterable[Style]) -> StyleBook:
        files = list(self.files)
        files[index] = replace(files[index], styles=tuple(styles))
        return StyleBook(tuple(files))


def divider(path: Path) -> str:
    """Return the dropdown's row above the styles of a file, e.g. ``------ PORTRAITS ------``."""
    return f" {path.stem.upper()} ".center(_DIVIDER_WIDTH, "-")


def style_paths(patterns: Sequence[str | Path]) -> list[Path]:
    """Return the files that patterns name, each once; ``*`` and ``?`` only in the last part.

    A pattern without wildcards counts even if its file does not exist yet.
    """
    paths: dict[Path, None] = {}
    for pattern in map(Path, patterns):
        if "*" in pattern.name or "?" in pattern.name:
            paths.update(dict.fromkeys(sorted(pattern.parent.glob(pattern.name))))
        else:
            paths[pattern] = None
    return list(paths)


def load_styles(paths: Sequence[Path]) -> StyleBook:
    """Read files of styles; a file that does not exist is empty.

    A file that cannot be read is listed in the book's `problems`, and the others are used.
    """
    return StyleBook(tuple(_load(path) for path in paths))


def save_styles(book: StyleBook) -> None:
    """Write all files of a book, each at once or not at all; the old file stays as ``NAME.bak``.

    Raises: StorageError: a file cannot be written, or would replace one that could not be read.
    """
    for file in book.files:
        if file.problem and file.styles:
            raise StorageError(f"{file.problem} Repair or remove it, then save the style again.")
    for file in book.files:
        if file.styles or file.comments or (file.path.exists() and not file.problem):
            _save(file)


def _names(file: StyleFile) -> set[str]:
    return {style.name for style in file.styles}


def _load(path: Path) -> StyleFile:
    if not path.exists():
        return StyleFile(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return StyleFile(path, problem=f"The styles file {path.name} cannot be read: {error}.")
    if rows and "name" not in rows[0]:
        problem = f'The styles file {path.name} has no column "name" in its first line.'
        return StyleFile(path, problem=problem)
    styles = [_style(row) for row in rows if row["name"]]
    named = {style.name: style for style in styles if not style.name.startswith("#")}
    comments = tuple(style for style in styles if style.name.startswith("#"))
    return StyleFile(path, tuple(named.values()), comments)


def _style(row: dict[str, str | None]) -> Style:
    """Read a row; A1111's first files call the prompt's column "text"."""
    prompt = row["prompt"] if "prompt" in row else row.get("text")
    return Style(row["name"] or "", prompt or "", row.get("negative_prompt") or "")


def _save(file: StyleFile) -> None:
    path = file.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(_COLUMNS)
                for style in (*file.comments, *file.styles):
                    writer.writerow((style.name, style.prompt, style.negative_prompt))
            if path.exists():
                shutil.copymode(path, temporary)
                shutil.copy2(path, path.with_name(f"{path.name}.bak"))
            else:
                temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = f"The styles file {path} could not be written: {error.strerror}."
        raise StorageError(reason) from error
