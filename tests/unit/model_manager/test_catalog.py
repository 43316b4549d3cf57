from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from webui.errors import ModelNotFound
from webui.model_manager.catalog import Catalog
from webui.model_manager.hashes import HashWorker, hash_file
from webui.model_manager.index import FileIndex


@pytest.fixture
def index(tmp_path: Path) -> FileIndex:
    return FileIndex(tmp_path / "cache" / "models.sqlite")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(catalog: Catalog) -> list[str]:
    return [file.name for file in catalog.files()]


def hash_all(catalog: Catalog) -> None:
    while catalog.hash_next(lambda: False):
        pass


def test_finds_checkpoints_in_sub_folders_in_natural_order(folder: Path, index: FileIndex) -> None:
    for name in (
        "model10.safetensors",
        "Model2.ckpt",
        "sub/deep/a.SafeTensors",
        "model.vae.safetensors",
        "model2.yaml",
        "readme.txt",
        "weights.pt",
    ):
        write(folder / name)
    assert names(Catalog([folder], index)) == [
        "Model2.ckpt",
        "model10.safetensors",
        "sub/deep/a.SafeTensors",
    ]


def test_a_missing_folder_is_an_empty_one(folder: Path, index: FileIndex) -> None:
    assert names(Catalog([folder / "nowhere"], index)) == []


def test_links_are_followed_but_not_round_in_circles(
    tmp_path: Path, folder: Path, index: FileIndex
) -> None:
    elsewhere = write(tmp_path / "elsewhere" / "far.ckpt").parent
    (folder / "linked").symlink_to(elsewhere)
    (folder / "file.safetensors").symlink_to(elsewhere / "far.ckpt")
    (folder / "loop").symlink_to(folder)
    (folder / "broken.ckpt").symlink_to(folder / "gone.ckpt")
    assert names(Catalog([folder], index)) == ["file.safetensors", "linked/far.ckpt"]


def test_two_files_of_one_name_are_both_there(tmp_path: Path, index: FileIndex) -> None:
    first = write(tmp_path / "first" / "a.ckpt", b"1")
    second = write(tmp_path / "second" / "a.ckpt", b"2")
    catalog = Catalog([first.parent, second.parent], index)
    assert names(catalog) == ["a.ckpt", "second/a.ckpt"]
    assert catalog.find("a.ckpt").path == first
    assert catalog.find("second/a.ckpt").path == second


def test_every_name_of_a_file_finds_it(folder: Path, index: FileIndex) -> None:
    content = os.urandom(0x110000)
    path = write(folder / "sub" / "some model.safetensors", content)
    write(folder / "another.ckpt")
    catalog = Catalog([folder], index)
    hash_all(catalog)
    whole = hashlib.sha256(content).hexdigest()
    old = hashlib.sha256(content[0x100000:]).hexdigest()[:8]
    short = whole[:10]
    found = catalog.find("some model")
    assert (found.title, found.short_hash) == (f"sub/some model.safetensors [{short}]", short)
    assert found.model_name == "sub_some model"
    for name in (
        "sub/some model.safetensors",
        f"sub/some model.safetensors [{short}]",
        f"sub/some model.safetensors [{old}]",
        "sub_some model",
        f"some model [{short}]",
        old,
        short,
        whole,
        "me mod",  # part of a title
        "some model [0123456789]",  # a hash that is not this file's
    ):
        assert catalog.find(name).path == path, name


def test_of_several_titles_the_shortest_is_meant(folder: Path, index: FileIndex) -> None:
    write(folder / "dream-xl-long-name.ckpt")
    short = write(folder / "dream-xl.ckpt")
    assert Catalog([folder], index).find("dream").path == short


def test_a_file_put_there_later_is_found(folder: Path, index: FileIndex) -> None:
    catalog = Catalog([folder], index)
    path = write(folder / "new.ckpt")
    assert catalog.find("new").path == path


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../secret",
        "../secret.ckpt",
        "/etc/passwd",
        "..\\secret.ckpt",
        "\\\\server\\share\\secret.ckpt",
        "C:\\secret.ckpt",
        "model.ckpt\0.png",
        "CON",
        "m" * 4000,
        "%2e%2e/secret.ckpt",
    ],
)
def test_a_name_is_never_a_path(name: str, tmp_path: Path, folder: Path, index: FileIndex) -> None:
    write(tmp_path / "secret.ckpt")
    write(folder / "model.ckpt")
    with pytest.raises(ModelNotFound, match="There is no checkpoint") as caught:
        Catalog([folder], index).find(name)
    assert len(str(caught.value)) < 500


def test_hashes_are_kept_until_the_file_changes(folder: Path, index: FileIndex) -> None:
    path = write(folder / "a.ckpt", b"first")
    hash_all(Catalog([folder], index))
    again = Catalog([folder], index)
    assert again.files()[0].short_hash == hashlib.sha256(b"first").hexdigest()[:10]
    assert not again.unhashed.is_set()
    write(path, b"second, longer")
    again.refresh()
    assert again.files()[0].hashes is None
    assert again.unhashed.is_set()


def test_a_damaged_index_is_made_anew(tmp_path: Path, folder: Path) -> None:
    write(folder / "a.ckpt")
    write(tmp_path / "models.sqlite", b"this is no database" * 100)
    catalog = Catalog([folder], FileIndex(tmp_path / "models.sqlite"))
    hash_all(catalog)
    assert catalog.files()[0].hashes is not None


def test_a_file_that_vanishes_is_a_sentence_and_holds_nothing_up(
    folder: Path, index: FileIndex
) -> None:
    gone = write(folder / "a.ckpt", b"a")
    stays = write(folder / "b.ckpt", b"b")
    catalog = Catalog([folder], index)
    gone.unlink()
    with pytest.raises(ModelNotFound, match=r"a\.ckpt cannot be read: No such file"):
        catalog.hashed(catalog.files()[0])
    hash_all(catalog)
    assert catalog.find("b").hashes == hash_file(stays)
    catalog.refresh()
    assert names(catalog) == ["b.ckpt"]


def test_a_worker_hashes_old_and_new_files(folder: Path, index: FileIndex) -> None:
    write(folder / "old.ckpt", b"old")
    catalog = Catalog([folder], index)
    worker = HashWorker(catalog)
    worker.start()
    write(folder / "new.ckpt", b"new")
    expected = hashlib.sha256(b"new").hexdigest()
    assert catalog.hashed(catalog.find("new")).hashes == hash_file(folder / "new.ckpt")
    worker.stop()
    known = catalog.find("new").hashes
    assert known is not None
    assert known.sha256 == expected


def test_waiting_for_a_hash_from_several_threads_computes_it_once(
    folder: Path, index: FileIndex
) -> None:
    write(folder / "a.ckpt", os.urandom(1_000_000))
    catalog = Catalog([folder], index)
    file = catalog.files()[0]
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(catalog.hashed(file).short_hash))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = hash_file(file.path)
    assert expected is not None
    assert found == [expected.short] * 4


def test_hashing_stops_when_asked(folder: Path) -> None:
    assert hash_file(write(folder / "a.ckpt", b"content"), lambda: True) is None


def test_a_file_of_less_than_a_megabyte_has_the_old_hash_of_nothing(folder: Path) -> None:
    hashes = hash_file(write(folder / "a.ckpt", b"content"))
    assert hashes is not None
    assert hashes.old == hashlib.sha256(b"").hexdigest()[:8]
