from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from webui.model_manager.kinds import LORA
from webui.model_manager.networks.content import network_hash, read_content, read_notes
from webui.model_manager.networks.files import NetworkFiles, folder_scan
from webui.model_manager.networks.stock import lora_alias


def write(path: Path, alias: str | None = None, **notes: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    notes |= {"ss_output_name": alias} if alias else {}
    save_file({"x": torch.zeros(2)}, path, metadata=notes or None)
    return path


def loras(folder: Path) -> NetworkFiles:
    return NetworkFiles(folder_scan([folder], LORA), lora_alias)


def test_a_file_is_found_by_stem_and_alias_in_any_sub_folder(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "v10.safetensors", "style")
    write(tmp_path / "V9.safetensors")
    files = loras(tmp_path)
    assert [file.name for file in files.files()] == ["v10", "V9"]
    found = files.find("style")
    assert found is not None
    assert found.name == "v10"
    assert files.find("v9") is None
    assert files.alias(found) == "style"


def test_an_ambiguous_alias_means_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", "same")
    write(tmp_path / "b.safetensors", "same")
    write(tmp_path / "c.safetensors", "none")
    files = loras(tmp_path)
    assert files.find("same") is None
    assert files.find("none") is None
    assert files.is_ambiguous("Same")
    assert files.find("a") is not None


def test_a_new_file_is_found_without_a_refresh(tmp_path: Path) -> None:
    files = loras(tmp_path)
    assert files.find("new") is None
    write(tmp_path / "new.safetensors")
    assert files.find("new") is not None


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken.safetensors").symlink_to(tmp_path / "nothing")
    assert [file.name for file in loras(tmp_path).files()] == ["a"]


def test_a_lora_is_known_by_its_tensors_not_by_its_notes(tmp_path: Path) -> None:
    one = write(tmp_path / "one.safetensors")
    other = write(tmp_path / "other.safetensors", "noted")
    assert network_hash(one, without_header=True) == network_hash(other, without_header=True)
    assert network_hash(one) != network_hash(other)


def test_notes_are_parsed_and_put_in_a1111s_order(tmp_path: Path) -> None:
    notes = {"z": "1", "ss_tag_frequency": '{"a": {"b": 1}}', "ssmd_cover_images": "[]"}
    path = write(tmp_path / "a.safetensors", **notes, ss_sd_model_name="m")
    read = read_notes(path)
    assert list(read) == ["ss_sd_model_name", "ss_tag_frequency", "z"]
    assert read["ss_tag_frequency"] == {"a": {"b": 1}}
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    assert read_notes(tmp_path / "b.safetensors") == {}


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float16, torch.bfloat16])
def test_content_is_read_in_the_files_formats(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {"scalar": torch.ones((), dtype=dtype), "rows": torch.ones(2, 3).to(dtype)}
    save_file(tensors, tmp_path / "a.safetensors")
    content = read_content(tmp_path / "a.safetensors")
    assert {name: (t.dtype, t.tolist()) for name, t in content.tensors.items()} == {
        name: (t.dtype, t.tolist()) for name, t in tensors.items()
    }
