"""Where a job's pictures are kept: in the output folders, or, unsaved, among the results.

A path is planned first and written later: the queue records it in between, so that a crash leads
neither to a missing nor to a doubled picture.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from PIL import Image

from webui.errors import BadImage
from webui.image_files.filenames import (
    FileNameFacts,
    file_stem,
    folder_parts,
    next_number,
    numbered_stem,
    safe_name,
)
from webui.image_files.metadata import NO_TEXTS, Format, can_encode
from webui.image_files.save import (
    SavedImage,
    SaveOptions,
    Target,
    save_image,
    save_options,
    storage_error,
)
from webui.settings import Settings

Kind = Literal["image", "grid", "mask", "mask composite", "before hires", "before color", "extras"]

_FOLDERS: Mapping[tuple[bool, bool], str] = {
    (False, False): "txt2img-images",
    (False, True): "txt2img-grids",
    (True, False): "img2img-images",
    (True, True): "img2img-grids",
}
EXTRAS_FOLDER = "extras-images"
_NO_FACTS = FileNameFacts(created=datetime.fromtimestamp(0, UTC))
"""For names that are planned already."""
_SUFFIXES: Mapping[Kind, str] = {
    "image": "",
    "grid": "",
    "mask": "-mask",
    "mask composite": "-mask-composite",
    "before hires": "-before-highres-fix",
    "before color": "-before-color-correction",
    "extras": "",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Which file a picture is to become.

    Attributes:
        kind: what it shows.
        is_img2img: decides the folder.
        is_saved: in the output folders; else among the results, under the job's id.
        job_id, index: name it among the results.
    """

    kind: Kind
    is_img2img: bool
    is_saved: bool
    job_id: str
    index: int


class Archive:
    """Output folders and results below a data folder; all paths it gives are relative to that.

    Args:
        data: the data folder.
        outputs: the pictures' folder below it.
        results: the folder below it for pictures that the user does not save.
    """

    def __init__(self, data: Path, outputs: Path, results: Path) -> None:
        self._data = data
        self._outputs = outputs
        self._results = results

    def plan(
        self,
        place: Place,
        size: tuple[int, int],
        facts: FileNameFacts,
        settings: Settings,
        taken: Collection[str] = (),
    ) -> str:
        """Find a free path.

        Args:
            size: (width, height) of the picture; too large ones become PNG.
            taken: paths that are promised to other pictures already.
        """
        options = save_options(settings, grid=place.kind == "grid")
        form = options.encode.format if can_encode(size, options.encode.format) else "png"
        if not place.is_saved:
            return self._relative(self._results / place.job_id / f"{place.index}.{form}")
        if place.kind == "extras":
            folder = self._outputs / EXTRAS_FOLDER
        else:
            root = self._outputs / _FOLDERS[place.is_img2img, place.kind == "grid"]
            folder = root.joinpath(*folder_parts(options.folder_pattern, facts, options.rules))
        promised = {self._data / path for path in taken}
        stems = [path.stem for path in (*_existing(folder), *promised) if path.parent == folder]
        stem = _stem(place, facts, options, stems)
        return self._relative(folder / f"{stem}.{form}")

    def write(
        self,
        path: str,
        image: Image.Image,
        infotext: str | None,
        settings: Settings,
        texts: Mapping[str, str] = NO_TEXTS,
    ) -> SavedImage:
        """Write a picture to a planned path, over what a crash may have left there.

        Raises: StorageError: the disk is full or not writable; nothing is left behind then.
        """
        file = self._data / path
        is_result = file.is_relative_to(self._results)
        options = save_options(settings)
        form = next(one for one in get_args(Format) if file.suffix == f".{one}")
        exact = replace(
            options,
            encode=replace(options.encode, format=form),
            folder_pattern="",
            add_number=False,
            overwrite=True,
            sidecar=options.sidecar and not is_result,
            small_copy=options.small_copy and not is_result,
        )
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, file.parent) from error
        return save_image(
            image, Target(file.parent, name=file.stem), _NO_FACTS, infotext, exact, texts
        )

    def read(self, path: str) -> bytes:
        """The file's content.

        Raises: BadImage: it is gone.
        """
        try:
            return self.locate(path).read_bytes()
        except OSError as error:
            raise BadImage("This picture's file is gone.") from error

    def delete(self, path: str) -> None:
        """Delete a picture's file and the text beside it."""
        file = self.locate(path)
        file.unlink(missing_ok=True)
        file.with_suffix(".txt").unlink(missing_ok=True)

    def locate(self, path: str) -> Path:
        """The file of a path that `plan` gave.

        Raises: BadImage: it does not lie in the output folders or among the results.
        """
        file = (self._data / path).resolve()
        roots = (self._outputs.resolve(), self._results.resolve())
        if not any(file.is_relative_to(root) for root in roots):
            raise BadImage("This is no picture of Easel's.")
        return file

    def _relative(self, file: Path) -> str:
        return file.relative_to(self._data).as_posix()


def _existing(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _stem(place: Place, facts: FileNameFacts, options: SaveOptions, taken: list[str]) -> str:
    suffix = _SUFFIXES[place.kind]
    if place.kind == "extras":
        return _extras_stem(safe_name(facts.basename, options.rules), taken)
    basename = "grid" if place.kind == "grid" else ""
    decoration = ""
    if place.kind != "grid":
        default = "[seed]" if options.folder_pattern else "[seed]-[prompt_spaces]"
        decoration = file_stem(options.pattern or default, facts, options.rules) + suffix
    if options.add_number or not decoration:
        number = next_number(taken, safe_name(basename))
        return numbered_stem(number, basename, decoration)
    tries = (decoration, *(f"{decoration}-{number}" for number in range(1, len(taken) + 2)))
    return next(stem for stem in tries if stem not in taken)


def _extras_stem(name: str, taken: list[str]) -> str:
    """The original's name, numbered if it is taken; a number alone where there is none."""
    if not name:
        return numbered_stem(next_number(taken, ""), "", "")
    tries = (name, *(f"{name}-{number}" for number in range(1, len(taken) + 2)))
    return next(stem for stem in tries if stem not in taken)
