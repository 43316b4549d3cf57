"""What the gallery's save buttons write: a log of saved pictures, and archives."""

from __future__ import annotations

import csv
import io
import threading
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from webui.image_files.filenames import safe_name
from webui.image_files.save import storage_error, write_atomically

ZIP_PATTERN = "[datetime]_[[model_name]]_[seed]-[seed_last]"
_APPENDING = threading.Lock()
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """A saved picture as a line of ``log.csv``; the fields are its columns, in A1111's order."""

    prompt: str
    seed: int
    width: int
    height: int
    sampler: str
    cfgs: float
    steps: int
    filename: str
    negative_prompt: str
    sd_model_name: str
    sd_model_hash: str


def append_log(file: Path, row: LogRow) -> None:
    """Add a line to a log; a new file gets its header first.

    No cell can start a formula in a spreadsheet or move the cursor of a terminal.

    Raises: StorageError: it could not be written.
    """
    names = [field.name for field in fields(LogRow)]
    cells = [_harmless(getattr(row, name)) for name in names]
    with _APPENDING:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            is_new = not file.exists() or file.stat().st_size == 0
            text = io.StringIO(newline="")
            writer = csv.writer(text)
            writer.writerows([names, cells] if is_new else [cells])
            with file.open("ab") as out:
                out.write(text.getvalue().encode("utf-8", "replace"))
        except OSError as error:
            raise storage_error(error, file.parent) from error


def write_zip(path: Path, pictures: Sequence[Path]) -> None:
    """Pack pictures into an archive, by their file names; equal names get a number.

    Raises: StorageError: a picture is gone, or the archive could not be written.
    """
    out = io.BytesIO()
    used: set[str] = set()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for picture in pictures:
            name = _free_name(picture, used)
            try:
                archive.writestr(name, picture.read_bytes())
            except OSError as error:
                raise storage_error(error, path.parent) from error
    write_atomically(path, out.getvalue())


def _free_name(picture: Path, used: set[str]) -> str:
    stem, number = safe_name(picture.stem) or "picture", 1
    name = f"{stem}{picture.suffix}"
    while name.lower() in used:
        number += 1
        name = f"{stem}-{number}{picture.suffix}"
    used.add(name.lower())
    return name


def _harmless(value: object) -> str:
    text = "".join(
        char if char == "\n" or unicodedata.category(char) not in ("Cc", "Cs") else " "
        for char in str(value)
    )
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA_STARTS) else text
