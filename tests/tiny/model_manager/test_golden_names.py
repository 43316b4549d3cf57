from __future__ import annotations

import json
from pathlib import Path

import pytest

from webui.model_manager.catalog import Catalog
from webui.model_manager.index import FileIndex

RECORDED = Path(__file__).parents[2] / "golden" / "vectors" / "checkpoint_names.json"


@pytest.fixture(scope="module")
def catalog(tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    index = FileIndex(tmp_path_factory.mktemp("index") / "models.sqlite")
    catalog = Catalog([tiny_checkpoints], index)
    while catalog.hash_next(lambda: False):
        pass
    return catalog


@pytest.mark.parametrize("name", ["tinyA.safetensors", "tinyB.safetensors", "tinyV.safetensors"])
def test_hashes_titles_and_lookups_are_a1111s(name: str, catalog: Catalog) -> None:
    recorded = json.loads(RECORDED.read_text())[name]
    file = catalog.find(name)
    assert file.hashes is not None
    assert file.hashes.sha256 == recorded["sha256"]
    assert file.hashes.old == recorded["hash_old"]
    assert file.short_hash == recorded["shorthash"]
    assert file.title == recorded["title"]
    assert file.model_name == recorded["model_name"]
    for key in recorded["ids"]:
        assert catalog.find(key) == file, key
