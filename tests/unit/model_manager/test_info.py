from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from webui.errors import UnsupportedModel
from webui.model_manager.catalog import Catalog
from webui.model_manager.index import FileIndex
from webui.model_manager.info import ModelInfo, describe_checkpoint

UNET = "model.diffusion_model.input_blocks.0.0.weight"


def describe(tmp_path: Path, metadata: dict[str, str], *, key: str = UNET) -> ModelInfo:
    folder = tmp_path / "models"
    folder.mkdir()
    save_file({key: torch.zeros(8, 4, 3, 3)}, folder / "a b.safetensors", metadata=metadata)
    catalog = Catalog([folder], FileIndex(tmp_path / "index.sqlite"))
    return describe_checkpoint(catalog.files()[0])


@pytest.mark.parametrize(
    ("stated", "size"),
    [
        ("128x128", (128, 128)),
        (" 640 X 960 ", (640, 960)),
        ("512×768", (512, 768)),
        ("100x100", (512, 512)),
        ("32x32", (512, 512)),
        ("99999x99999", (512, 512)),
        ("wide", (512, 512)),
        ("", (512, 512)),
    ],
)
def test_a_checkpoint_may_name_its_native_size(
    stated: str, size: tuple[int, int], tmp_path: Path
) -> None:
    info = describe(tmp_path, {"modelspec.resolution": stated})
    assert (info.native_width, info.native_height) == size


def test_what_is_known_without_loading(tmp_path: Path) -> None:
    info = describe(tmp_path, {"modelspec.title": "A model"})
    assert (info.name, info.title) == ("a b", "a b.safetensors")
    assert (info.family_id, info.family_label) == ("sd1", "SD 1.x")
    assert info.metadata["modelspec.title"] == "A model"
    assert info.path == tmp_path / "models" / "a b.safetensors"
    assert info.short_hash is None


def test_a_file_of_another_kind_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"a b\.safetensors is a LoRA"):
        describe(tmp_path, {}, key="lora_unet_x.lora_up.weight")
