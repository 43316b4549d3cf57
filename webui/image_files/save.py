"""Write pictures to disk: whole or not at all, numbered without gaps or collisions."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from webui.errors import StorageError
from webui.image_files.filenames import (
    DEFAULT_RULES,
    EXTENSION_ROOM,
    FileNameFacts,
    NameRules,
    file_stem,
    folder_parts,
    next_number,
    numbered_stem,
    safe_name,
)
from webui.image_files.metadata import (
    DEFAULT_OPTIONS,
    NO_TEXTS,
    EncodeOptions,
    can_encode,
    can_hold,
    encode,
)
from webui.settings import Settings

_TRIES = 500
_PUBLISHING = threading.Lock()
"""Held while a finished file gets its number and name, so that no two threads take the same."""

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOptions:
    """How files are named, packed and accompanied; see the settings of the same names.

    Attributes:
        pattern: of the file name; "": ``[seed]``, or ``[seed]-[prompt_spaces]`` without folders.
        folder_pattern: of the folder below the target; "": none.
        overwrite: without numbers, an existing file is replaced; else a number is appended.
        infotext_inside: the infotext is stored in the picture.
        sidecar: the infotext is also written to a ``.txt`` beside it.
        small_copy: a JPEG is written beside pictures that are larger than `small_copy_bytes` or
            `small_copy_side` (pixels).
    """

    encode: EncodeOptions = DEFAULT_OPTIONS
    pattern: str = ""
    folder_pattern: str = "[date]"
    rules: NameRules = DEFAULT_RULES
    add_number: bool = True
    overwrite: bool = True
    infotext_inside: bool = True
    sidecar: bool = False
    small_copy: bool = True
    small_copy_bytes: int = 4 * 1024 * 1024
    small_copy_side: int = 4000


@dataclass(frozen=True, slots=True)
class Target:
    """Where a picture belongs.

    Attributes:
        folder: the output folder; made when needed. Everything is written inside of it.
        basename: first part of the name ("grid"); its files are numbered by themselves.
        suffix: last part of the name ("-mask").
        name: the whole stem, in place of pattern and number.
        is_short: no pattern, the number alone (grids).
    """

    folder: Path
    basename: str = ""
    suffix: str = ""
    name: str | None = None
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class SavedImage:
    """Files that were written.

    Attributes:
        path: the picture.
        text_path: the infotext beside it.
        small_path: the small JPEG beside it.
        warnings: sentences about what was done differently from what was asked.
    """

    path: Path
    text_path: Path | None = None
    small_path: Path | None = None
    warnings: tuple[str, ...] = ()


def save_options(settings: Settings, *, grid: bool = False) -> SaveOptions:
    """The options that the settings ask for."""
    to_folders = settings.grid_save_to_dirs if grid else settings.save_to_dirs
    return SaveOptions(
        encode=EncodeOptions(
            format=settings.grid_format if grid else settings.samples_format,
            quality=settings.jpeg_quality,
            lossless=settings.webp_lossless,
        ),
        pattern=settings.samples_filename_pattern,
        folder_pattern=settings.directories_filename_pattern if to_folders else "",
        rules=NameRules(settings.directories_max_prompt_words),
        add_number=settings.save_images_add_number,
        infotext_inside=settings.enable_pnginfo,
        sidecar=settings.save_txt,
        small_copy=settings.export_for_4chan,
        small_copy_bytes=int(settings.img_downscale_threshold * 1024 * 1024),
        small_copy_side=settings.target_side_length,
    )


def save_image(
    image: Image.Image,
    target: Target,
    facts: FileNameFacts,
    infotext: str | None,
    options: SaveOptions,
    texts: Mapping[str, str] = NO_TEXTS,
) -> SavedImage:
    """Write a picture, and what belongs beside it.

    Args:
        infotext: None: there is nothing to say.
        texts: further text chunks of a PNG.
    Raises: StorageError: the disk is full, or the folder cannot be written to; nothing is left
        behind then.
    """
    warnings: list[str] = []
    if not can_encode(image.size, options.encode.format):
        warnings.append(f"The picture is too large for {options.encode.format}: saved as png.")
        options = replace(options, encode=replace(options.encode, format="png"))
    inside = infotext if options.infotext_inside else None
    if inside and not can_hold(inside, options.encode.format):
        warnings.append("The infotext is too long for a JPEG: it is in the text file beside it.")
        options = replace(options, sidecar=True)
    if "[image_hash" in (options.pattern + options.folder_pattern).lower():
        facts = replace(facts, image_hash=hashlib.sha256(image.tobytes()).hexdigest())
    content = encode(image, options.encode, inside, texts)
    path = _publish(content, _folder(target, facts, options), target, facts, options)
    saved = SavedImage(path, warnings=tuple(warnings))
    if options.sidecar and infotext:
        saved = _with_sidecar(saved, infotext)
    if options.small_copy:
        saved = _with_small_copy(saved, image, inside, len(content), options)
    return saved


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file; whoever reads it sees the old content or the new, never a part.

    Raises: StorageError: it could not be written; the old file is untouched.
    """
    temporary = _written(path.parent, content)
    try:
        temporary.replace(path)
    except OSError as error:
        raise storage_error(error, path.parent) from error
    finally:
        temporary.unlink(missing_ok=True)


def storage_error(error: OSError, folder: Path) -> StorageError:
    """A sentence about what went wrong and what helps."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            reason = "the disk is full. Make room, then try again."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            reason = "no permission to write there. Check the folder's permissions."
        case errno.ENOTDIR | errno.EEXIST:
            reason = "a file stands where a folder is needed. Rename it, then try again."
        case _:
            reason = f"{(error.strerror or 'an unknown error').lower()}."
    return StorageError(f"Nothing was saved to {folder}: {reason}")


def _folder(target: Target, facts: FileNameFacts, options: SaveOptions) -> Path:
    parts = folder_parts(options.folder_pattern, facts, options.rules)
    folder = target.folder.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error
    return folder


def _publish(
    content: bytes, folder: Path, target: Target, facts: FileNameFacts, options: SaveOptions
) -> Path:
    """Write a file under a hidden name, then give it its own."""
    temporary = _written(folder, content)
    extension = options.encode.format
    try:
        with _PUBLISHING:
            for stem, may_replace in _stems(folder, target, facts, options):
                path = folder / f"{stem}.{extension}"
                if may_replace:
                    return temporary.replace(path)
                if _renamed(temporary, path):
                    return path
    except OSError as error:
        raise storage_error(error, folder) from error
    finally:
        temporary.unlink(missing_ok=True)
    raise StorageError(f"Nothing was saved to {folder}: no free file name was found.")


def _stems(
    folder: Path, target: Target, facts: FileNameFacts, options: SaveOptions
) -> Iterator[tuple[str, bool]]:
    """Names to try, and whether an existing file of that name may be replaced."""
    if target.name is not None:
        decoration = safe_name(target.name, options.rules, EXTENSION_ROOM) or "picture"
    else:
        decoration = _decoration(target, facts, options)
    if target.name is None and (options.add_number or not decoration):
        basename = safe_name(target.basename, options.rules)
        first = next_number(os.listdir(folder), basename)  # noqa: PTH208 - names alone, and fast
        for number in range(first, first + _TRIES):
            yield numbered_stem(number, basename, decoration), False
        return
    yield decoration, options.overwrite
    for number in range(1, _TRIES):
        yield f"{decoration}-{number}", False


def _decoration(target: Target, facts: FileNameFacts, options: SaveOptions) -> str:
    suffix = safe_name(target.suffix, options.rules)
    if target.is_short:
        return suffix.lstrip("-")
    default = "[seed]" if options.folder_pattern else "[seed]-[prompt_spaces]"
    return (file_stem(options.pattern or default, facts, options.rules) + suffix).lstrip("-")


def _written(folder: Path, content: bytes) -> Path:
    """A new hidden file with that content, on the disk for good."""
    temporary = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(error, folder) from error
    return temporary


def _renamed(temporary: Path, path: Path) -> bool:
    """Give a file its name; False if the name is taken (also by another program meanwhile)."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            return False
        temporary.replace(path)
    return True


def _with_sidecar(saved: SavedImage, infotext: str) -> SavedImage:
    path = saved.path.with_suffix(".txt")
    try:
        write_atomically(path, f"{infotext}\n".encode("utf-8", "replace"))
    except StorageError as error:
        return replace(saved, warnings=(*saved.warnings, f"No text file was written. {error}"))
    return replace(saved, text_path=path)


def _with_small_copy(
    saved: SavedImage, image: Image.Image, infotext: str | None, size: int, options: SaveOptions
) -> SavedImage:
    """Add a JPEG that fits what picture boards accept."""
    side = options.small_copy_side
    if max(image.size) > side:
        factor = side / max(image.size)
        smaller = (max(int(image.width * factor), 1), max(int(image.height * factor), 1))
        image = image.resize(smaller, Image.Resampling.LANCZOS)
    elif size <= options.small_copy_bytes or options.encode.format == "jpg":
        return saved
    stem = saved.path.stem + ("-small" if saved.path.suffix == ".jpg" else "")
    path = saved.path.with_name(f"{stem}.jpg")
    packing = replace(options.encode, format="jpg")
    try:
        write_atomically(path, encode(image, packing, infotext))
    except StorageError as error:
        return replace(saved, warnings=(*saved.warnings, f"No small copy was written. {error}"))
    return replace(saved, small_path=path)
