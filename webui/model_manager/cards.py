"""Cards of models: searched, sorted and handed out page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from webui.model_manager.catalog import Catalog, ModelFile

Sort = Literal["path", "name", "modified"]
HIDDEN_FROM = 4
"""Characters of a search from which on hidden folders are looked into, as in A1111."""


@dataclass(frozen=True, slots=True)
class CardQuery:
    """Which cards are wanted.

    Attributes:
        text: stands in the path, a hash or the description, in any case of letters.
        folder: only what lies below it; "": all.
    """

    text: str = ""
    folder: str = ""
    sort: Sort = "path"
    descending: bool = False
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class CardPage:
    """Some of the files that were found.

    Attributes:
        total: how many there are on all pages.
        folders: of the whole kind, with forward slashes.
    """

    total: int
    folders: Sequence[str]
    files: Sequence[ModelFile]


def find_cards(catalog: Catalog, query: CardQuery) -> CardPage:
    """Return a page of cards."""
    files = catalog.files()
    wanted = query.text.casefold().strip()
    shows_hidden = len(wanted) >= HIDDEN_FROM
    below = f"{query.folder.strip('/')}/" if query.folder.strip("/") else ""
    found = [
        file
        for file in files
        if file.name.startswith(below)
        and (shows_hidden or not _is_hidden(file.name))
        and (not wanted or _holds(catalog, file, wanted))
    ]
    if query.sort == "name":
        found.sort(key=lambda file: file.stem.casefold())
    elif query.sort == "modified":
        found.sort(key=lambda file: file.version.mtime_ns)
    if query.descending:
        found.reverse()
    page = found[query.offset : query.offset + query.limit]
    return CardPage(len(found), _folders(files), page)


def _holds(catalog: Catalog, file: ModelFile, wanted: str) -> bool:
    if wanted in file.name.casefold():
        return True
    if file.hashes is not None and file.hashes.sha256.startswith(wanted):
        return True
    if file.hashes is not None and file.hashes.addnet.startswith(wanted):
        return True
    return wanted in catalog.description(file).casefold()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or "/." in name


def _folders(files: Sequence[ModelFile]) -> list[str]:
    found: set[str] = set()
    for name in {file.name.rpartition("/")[0] for file in files}:
        parts = name.split("/") if name else []
        found |= {"/".join(parts[: i + 1]) for i in range(len(parts))}
    return sorted(folder for folder in found if not _is_hidden(folder))
