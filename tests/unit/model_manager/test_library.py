from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from webui.errors import ModelNotFound
from webui.flags import MODEL_FLAGS, parse
from webui.model_manager.catalog import Catalog
from webui.model_manager.index import FileIndex
from webui.model_manager.kinds import KINDS, LORA, VAE
from webui.model_manager.library import Library


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


def library(models: Path, **further: tuple[Path, ...]) -> Library:
    index = FileIndex(models.parent / "cache" / "models.sqlite")
    return Library(Catalog([models / "Stable-diffusion"], index), models, index, further)


def names(shelf: Library, kind: str) -> list[str]:
    return [file.name for file in shelf.catalog(kind).files()]


def test_every_kind_has_its_folders_and_suffixes(models: Path) -> None:
    write(models / "Stable-diffusion/a.safetensors")
    write(models / "Stable-diffusion/a.vae.pt")
    write(models / "VAE/b.vae.pt")
    write(models / "Lora/style/c.safetensors")
    write(models / "Lora/style/c.png")
    write(models / "LyCORIS/d.pt")
    write(models / "../embeddings/e.png")
    write(models / "../embeddings/e.preview.png")
    write(models / "hypernetworks/f.pt")
    write(models / "ControlNet/g.pth")
    write(models / "ESRGAN/h.pth")
    write(models / "GFPGAN/i.pth")
    shelf = library(models)
    assert {kind.id: names(shelf, kind.id) for kind in KINDS} == {
        "checkpoint": ["a.safetensors"],
        "vae": ["b.vae.pt"],
        "lora": ["d.pt", "style/c.safetensors"],
        "embedding": ["e.png"],
        "hypernetwork": ["f.pt"],
        "controlnet": ["g.pth"],
        "upscaler": ["h.pth"],
        "face_restoration": ["i.pth"],
    }


def test_an_unknown_kind_is_a_sentence(models: Path) -> None:
    with pytest.raises(ModelNotFound, match="no kind of model"):
        library(models).catalog("../checkpoint")


def test_flags_name_further_folders(tmp_path: Path, models: Path) -> None:
    far = write(tmp_path / "a1111" / "far.safetensors").parent
    flags = parse(["--lora-dir", str(far), "--vae-dir", str(far), "--vae-dir", str(models)])
    assert flags.model_dirs["vae"] == (far, models)
    assert set(flags.model_dirs) == set(MODEL_FLAGS) == {kind.id for kind in KINDS[1:]}
    assert names(library(models, **flags.model_dirs), LORA.id) == ["far.safetensors"]


def test_companions_are_found_beside_a_file(models: Path) -> None:
    folder = write(models / "Lora/cat.safetensors").parent
    for name in ("cat.preview.webp", "cat.txt", "cat.json", "dog.description.txt"):
        write(folder / name)
    write(folder / "dog.pt")
    cat, dog = library(models).catalog("lora").files()
    assert cat.sidecars.preview == folder / "cat.preview.webp"
    assert cat.sidecars.description == folder / "cat.txt"
    assert cat.sidecars.notes == folder / "cat.json"
    assert dog.sidecars.preview is None
    assert dog.sidecars.description == folder / "dog.description.txt"


def test_a_lora_is_known_by_its_tensors_too(models: Path) -> None:
    tensors = os.urandom(5_000_000)
    header = b"{}" + b" " * 4_500_000
    content = len(header).to_bytes(8, "little") + header + tensors
    write(models / "Lora/a.safetensors", content)
    write(models / "Lora/b.pt", b"pickle")
    shelf = library(models)
    shelf.catalog("lora")
    assert shelf.unhashed.is_set()
    while shelf.hash_next(lambda: False):
        pass
    kept = library(models).catalog("lora").files()
    first, second = (file.hashes for file in kept)
    assert first is not None
    assert second is not None
    assert first.sha256 == hashlib.sha256(content).hexdigest()
    assert first.addnet == hashlib.sha256(tensors).hexdigest()
    assert second.addnet == second.sha256 == hashlib.sha256(b"pickle").hexdigest()


def test_what_cannot_be_used_is_told(models: Path) -> None:
    write(models / "VAE/good.pt")
    broken = models / "VAE/broken.pt"
    broken.symlink_to(models / "gone.pt")
    catalog = library(models).catalog(VAE.id)
    assert [file.name for file in catalog.files()] == ["good.pt"]
    assert catalog.problems() == {broken: "a link to a file that is gone"}


def test_a_file_that_vanishes_before_it_is_hashed_is_told(models: Path) -> None:
    path = write(models / "VAE/a.pt")
    catalog = library(models).catalog(VAE.id)
    path.unlink()
    while catalog.hash_next(lambda: False):
        pass
    assert list(catalog.problems()) == [path]
