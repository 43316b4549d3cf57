import errno
import hashlib
import os
import resource
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from webui.errors import StorageError
from webui.image_files.filenames import FileNameFacts
from webui.image_files.metadata import EncodeOptions, read_metadata
from webui.image_files.save import (
    SaveOptions,
    Target,
    save_image,
    save_options,
    storage_error,
    write_atomically,
)
from webui.settings import Settings, changed

FACTS = FileNameFacts(created=datetime(2026, 3, 4, tzinfo=UTC), seed=1234, prompt="a cat")
OPTIONS = SaveOptions()
PICTURE = Image.new("RGB", (16, 8), "red")
INFOTEXT = "a cat\nSteps: 20, Sampler: Euler, Seed: 1234"


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_default_name_and_folder(tmp_path: Path) -> None:
    target = Target(tmp_path / "txt2img-images")
    options = save_options(Settings())
    first = save_image(PICTURE, target, FACTS, INFOTEXT, options)
    second = save_image(PICTURE, target, replace(FACTS, seed=1235), INFOTEXT, options)
    assert first.path == tmp_path / "txt2img-images/2026-03-04/00001-1234.png"
    assert second.path.name == "00002-1235.png"
    assert read_metadata(first.path.read_bytes()).infotext == INFOTEXT
    assert files(tmp_path) == [
        "txt2img-images/2026-03-04/00001-1234.png",
        "txt2img-images/2026-03-04/00002-1235.png",
    ]


def test_settings_decide_on_names_and_formats() -> None:
    settings = changed(
        Settings(),
        {
            "samples_format": "webp",
            "grid_format": "jpg",
            "jpeg_quality": 55,
            "webp_lossless": True,
            "samples_filename_pattern": "[steps]",
            "grid_save_to_dirs": False,
            "save_images_add_number": False,
            "enable_pnginfo": False,
            "save_txt": True,
            "export_for_4chan": False,
            "img_downscale_threshold": 2.0,
            "target_side_length": 1000,
            "directories_max_prompt_words": 3,
        },
    )
    samples, grids = save_options(settings), save_options(settings, grid=True)
    assert samples.encode == EncodeOptions(format="webp", quality=55, lossless=True)
    assert grids.encode.format == "jpg"
    assert (samples.folder_pattern, grids.folder_pattern) == ("[date]", "")
    assert (samples.pattern, samples.rules.max_words) == ("[steps]", 3)
    assert not samples.add_number
    assert not samples.infotext_inside
    assert not samples.small_copy
    assert samples.sidecar
    assert (samples.small_copy_bytes, samples.small_copy_side) == (2 * 1024 * 1024, 1000)


def test_names_of_grids_suffixes_and_given_names(tmp_path: Path) -> None:
    flat = replace(OPTIONS, folder_pattern="")

    def name(target: Target, options: SaveOptions = flat) -> str:
        return save_image(PICTURE, target, FACTS, None, options).path.name

    assert name(Target(tmp_path, basename="grid", is_short=True)) == "grid-0001.png"
    assert name(Target(tmp_path, basename="grid", is_short=True)) == "grid-0002.png"
    assert name(Target(tmp_path)) == "00001-1234-a cat.png"
    assert name(Target(tmp_path, suffix="-mask")) == "00002-1234-a cat-mask.png"
    assert name(Target(tmp_path, name="../given")) == ".._given.png"
    assert name(Target(tmp_path), replace(flat, pattern="[none]", add_number=False)) == "00003.png"


def test_a_given_name_is_kept_even_where_it_is_as_long_as_a_numbered_one(tmp_path: Path) -> None:
    options = replace(OPTIONS, folder_pattern="", pattern="[prompt]")
    facts = replace(FACTS, prompt="\U0001f408" * 500)
    numbered = save_image(PICTURE, Target(tmp_path, suffix="-mask"), facts, None, options).path
    (tmp_path / "again").mkdir()
    target = Target(tmp_path / "again", name=numbered.stem)
    assert save_image(PICTURE, target, facts, None, options).path.name == numbered.name


def test_without_numbers_files_are_replaced_or_counted(tmp_path: Path) -> None:
    options = replace(OPTIONS, folder_pattern="", pattern="same", add_number=False)
    blue = Image.new("RGB", (16, 8), "blue")
    first = save_image(PICTURE, Target(tmp_path), FACTS, None, options)
    again = save_image(blue, Target(tmp_path), FACTS, None, options)
    assert first.path == again.path
    with Image.open(again.path) as image:
        assert image.getpixel((0, 0)) == (0, 0, 255)
    kept = replace(options, overwrite=False)
    names = [save_image(blue, Target(tmp_path), FACTS, None, kept).path.name for _ in range(2)]
    assert names == ["same-1.png", "same-2.png"]


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "avif"])
def test_every_format_carries_its_infotext(tmp_path: Path, kind: str) -> None:
    options = replace(OPTIONS, encode=EncodeOptions(format=kind))  # type: ignore[arg-type]
    saved = save_image(PICTURE, Target(tmp_path), FACTS, INFOTEXT, options)
    assert saved.path.suffix == f".{kind}"
    assert read_metadata(saved.path.read_bytes()).infotext == INFOTEXT
    silent = save_image(
        PICTURE, Target(tmp_path), FACTS, INFOTEXT, replace(options, infotext_inside=False)
    )
    assert read_metadata(silent.path.read_bytes()).infotext is None


def test_the_infotext_can_stand_beside_the_picture(tmp_path: Path) -> None:
    options = replace(OPTIONS, sidecar=True)
    saved = save_image(PICTURE, Target(tmp_path), FACTS, "猫\nSteps: 1", options)
    assert saved.text_path == saved.path.with_suffix(".txt")
    assert saved.text_path.read_text(encoding="utf-8") == "猫\nSteps: 1\n"


def test_an_infotext_too_long_for_a_jpeg_goes_into_the_text_file(tmp_path: Path) -> None:
    options = replace(OPTIONS, encode=EncodeOptions(format="jpg"))
    long = f"{'x' * 40_000}\nSteps: 1"
    saved = save_image(PICTURE, Target(tmp_path), FACTS, long, options)
    assert saved.text_path is not None
    assert saved.text_path.read_text(encoding="utf-8") == f"{long}\n"
    assert any("too long for a JPEG" in warning for warning in saved.warnings)


def test_a_picture_too_large_for_its_format_is_saved_as_png(tmp_path: Path) -> None:
    options = replace(OPTIONS, encode=EncodeOptions(format="webp"), small_copy=False)
    saved = save_image(Image.new("L", (16_400, 1)), Target(tmp_path), FACTS, None, options)
    assert saved.path.suffix == ".png"
    assert any("too large for webp" in warning for warning in saved.warnings)


def test_a_small_copy_stands_beside_large_pictures(tmp_path: Path) -> None:
    options = replace(OPTIONS, small_copy_side=64)
    saved = save_image(Image.new("RGB", (256, 128)), Target(tmp_path), FACTS, INFOTEXT, options)
    assert saved.small_path == saved.path.with_suffix(".jpg")
    with Image.open(saved.small_path) as small:
        assert small.size == (64, 32)
    assert read_metadata(saved.small_path.read_bytes()).infotext == INFOTEXT
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    heavy = replace(options, small_copy_bytes=2000)
    copied = save_image(noise, Target(tmp_path), FACTS, None, heavy)
    assert copied.small_path is not None
    light = save_image(noise, Target(tmp_path), FACTS, None, options)
    assert light.small_path is None
    jpeg = replace(options, encode=EncodeOptions(format="jpg"))
    beside = save_image(Image.new("RGB", (256, 128)), Target(tmp_path), FACTS, None, jpeg)
    assert beside.small_path == beside.path.with_name(f"{beside.path.stem}-small.jpg")


def test_the_hash_of_the_pixels_can_stand_in_the_name(tmp_path: Path) -> None:
    options = replace(OPTIONS, folder_pattern="", pattern="[image_hash<10>]")
    saved = save_image(PICTURE, Target(tmp_path), FACTS, None, options)
    assert (
        saved.path.stem.removeprefix("00001-") == hashlib.sha256(PICTURE.tobytes()).hexdigest()[:10]
    )


def test_threads_never_take_the_same_number(tmp_path: Path) -> None:
    target = Target(tmp_path)
    paths: list[Path] = []

    def work(worker: int) -> None:
        for index in range(10):
            facts = replace(FACTS, seed=worker * 100 + index)
            paths.append(save_image(PICTURE, target, facts, None, OPTIONS).path)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = sorted(int(path.name.partition("-")[0]) for path in paths)
    assert numbers == list(range(1, 81))
    assert len(files(tmp_path)) == 80


def test_files_obey_the_umask(tmp_path: Path) -> None:
    saved = save_image(PICTURE, Target(tmp_path), FACTS, None, OPTIONS)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(saved.path.stat().st_mode) == 0o666 & ~mask


def test_a_hostile_prompt_stays_inside_the_folder(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    options = replace(OPTIONS, folder_pattern="[prompt]/[prompt_words]", pattern="[prompt]")
    for prompt in ("/../../x", "a\0b", "a\nb", "\U0001f408" * 500, "\ud800", "..", "CON"):
        facts = replace(FACTS, prompt=prompt)
        saved = save_image(PICTURE, Target(outputs), facts, None, options)
        assert saved.path.resolve().is_relative_to(outputs.resolve())
        assert saved.path.is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["outputs"]


@pytest.fixture
def tiny_files() -> Iterator[None]:
    """No file may grow beyond 4000 bytes: the system refuses to write more, as a full disk does."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.usefixtures("tiny_files")
def test_a_write_that_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    save_image(PICTURE, Target(tmp_path), FACTS, None, OPTIONS)
    with pytest.raises(StorageError, match="the disk is full"):
        save_image(noise, Target(tmp_path), FACTS, None, OPTIONS)
    assert files(tmp_path) == ["2026-03-04/00001-1234.png"]


def test_a_full_disk_gives_a_sentence(tmp_path: Path) -> None:
    error = storage_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    assert "the disk is full" in str(error)
    denied = storage_error(PermissionError(errno.EACCES, "denied"), tmp_path)
    assert "no permission" in str(denied)
    other = storage_error(OSError(errno.EIO, "Input/output error"), tmp_path)
    assert str(other).endswith("input/output error.")


def test_a_file_in_the_folders_place_is_reported(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        save_image(PICTURE, Target(tmp_path / "outputs"), FACTS, None, OPTIONS)
    assert files(tmp_path) == ["outputs"]


def test_nothing_is_left_behind_when_the_name_cannot_be_given(tmp_path: Path) -> None:
    options = replace(OPTIONS, folder_pattern="", pattern="taken", add_number=False)
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(StorageError):
        save_image(PICTURE, Target(tmp_path), FACTS, None, options)
    assert files(tmp_path) == []


def test_replacing_a_file_keeps_the_old_one_on_failure(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_atomically(file, b"old")
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"
    with pytest.raises(StorageError):
        write_atomically(tmp_path / "nowhere" / "a.txt", b"x")
    assert files(tmp_path) == ["a.txt"]


def test_a_text_file_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    options = replace(OPTIONS, folder_pattern="", pattern="p", add_number=False, sidecar=True)
    (tmp_path / "p.txt").mkdir()
    saved = save_image(PICTURE, Target(tmp_path), FACTS, INFOTEXT, options)
    assert saved.path.is_file()
    assert saved.text_path is None
    assert any("No text file was written" in warning for warning in saved.warnings)
