from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from tests.tiny.small_checkpoints import UNET_SIZES, small_config, small_weights, write_checkpoint
from webui.device import device_policy
from webui.errors import Interrupted, ModelNotFound, UnsupportedModel
from webui.families.base import LoadedModel
from webui.model_manager.cache import ModelCache
from webui.model_manager.catalog import Catalog
from webui.model_manager.index import FileIndex

Weights = dict[str, Tensor]
NAMES = ("one", "two", "three")
MARK = "cond_stage_model.transformer.text_model.final_layer_norm.weight"


@pytest.fixture
def folder(weights: Weights, tmp_path: Path) -> Path:
    """Three checkpoints of one architecture, told apart by one vector: all 1, all 2, all 3."""
    folder = tmp_path / "models"
    folder.mkdir()
    for number, name in enumerate(NAMES, start=1):
        marked = weights | {MARK: torch.full((16,), float(number))}
        write_checkpoint(folder / f"{name}.safetensors", marked)
    return folder


@pytest.fixture
def make_cache(folder: Path, tmp_path: Path) -> Callable[[int], ModelCache]:
    def make(limit: int) -> ModelCache:
        catalog = Catalog([folder], FileIndex(tmp_path / "index.sqlite"))
        return ModelCache(catalog, device_policy("cpu", "float32", "auto"), limit)

    return make


def mark_of(model: LoadedModel) -> float:
    values = model.networks["text_encoder"].get_parameter("final_layer_norm.weight")
    assert values.min() == values.max()
    return float(values[0])


def names_of(cache: ModelCache) -> list[str]:
    return [version.path.stem for version in cache.loaded()]


def break_half_way(fraction: float) -> None:
    if fraction > 0.5:
        raise Interrupted


def test_a_model_stays_and_is_not_read_again(make_cache: Callable[[int], ModelCache]) -> None:
    cache = make_cache(1)
    seen: list[float] = []
    with cache.use("one", seen.append) as first:
        assert mark_of(first) == 1
    reads = len(seen)
    with cache.use("one.safetensors", seen.append) as second:
        assert second is first
    assert len(seen) == reads > 1


def test_the_model_used_longest_ago_goes(make_cache: Callable[[int], ModelCache]) -> None:
    cache = make_cache(2)
    for name in ("one", "two", "one", "three"):
        with cache.use(name) as model:
            assert mark_of(model) == NAMES.index(name) + 1
    assert names_of(cache) == ["one", "three"]


def test_a_swap_overwrites_in_place(make_cache: Callable[[int], ModelCache]) -> None:
    cache = make_cache(1)
    with cache.use("one") as model:
        unet = model.networks["unet"]
        address = next(unet.parameters()).data_ptr()
    for name in ("two", "three", "one"):
        with cache.use(name) as model:
            assert model.networks["unet"] is unet
            assert next(unet.parameters()).data_ptr() == address
            assert mark_of(model) == NAMES.index(name) + 1


def test_another_architecture_frees_the_former(
    folder: Path, make_cache: Callable[[int], ModelCache]
) -> None:
    other = small_config(unet_config={"params": UNET_SIZES | {"num_heads": 4}})
    write_checkpoint(folder / "other.safetensors", small_weights(), other)
    cache = make_cache(1)
    with cache.use("one") as model:
        former = weakref.ref(model.networks["unet"])
    del model
    freed: list[bool] = []
    with cache.use("other", lambda _fraction: freed.append(former() is None)) as model:
        unet = model.networks["unet"]
        assert isinstance(unet, UNet2DConditionModel)
        assert unet.config["attention_head_dim"] == (4, 4)
    assert all(freed)
    assert names_of(cache) == ["other"]


def test_a_model_in_use_is_left_alone(make_cache: Callable[[int], ModelCache]) -> None:
    cache = make_cache(1)
    with cache.use("one") as base:
        with cache.use("two") as refiner:
            assert (mark_of(base), mark_of(refiner)) == (1, 2)
        assert mark_of(base) == 1
        with cache.use("one") as again:
            assert again is base
    assert len(cache.loaded()) == 1


def test_a_file_that_fails_a_check_changes_nothing(
    folder: Path, make_cache: Callable[[int], ModelCache]
) -> None:
    cache = make_cache(1)
    with cache.use("one") as model:
        pass
    broken = folder / "two.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1000])
    with pytest.raises(UnsupportedModel, match="incomplete"), cache.use("two"):
        pass
    with pytest.raises(ModelNotFound), cache.use("nowhere"):
        pass
    with cache.use("one") as again:
        assert again is model
        assert mark_of(again) == 1


def test_a_load_given_up_half_way_leaves_no_mixture(
    make_cache: Callable[[int], ModelCache],
) -> None:
    cache = make_cache(1)
    with cache.use("one"):
        pass
    with pytest.raises(Interrupted), cache.use("two", break_half_way):
        pass
    for name in ("one", "two"):
        with cache.use(name) as model:
            assert mark_of(model) == NAMES.index(name) + 1


def test_an_error_while_a_model_is_in_use_does_not_lose_it(
    make_cache: Callable[[int], ModelCache],
) -> None:
    cache = make_cache(1)
    with pytest.raises(ZeroDivisionError), cache.use("one") as model:
        raise ZeroDivisionError
    with cache.use("one") as again:
        assert again is model


def test_a_file_replaced_on_disk_is_read_again(
    folder: Path, weights: Weights, make_cache: Callable[[int], ModelCache]
) -> None:
    cache = make_cache(2)
    with cache.use("one"):
        pass
    replaced = weights | {MARK: torch.full((16,), 9.0), "note": torch.zeros(1)}
    write_checkpoint(folder / "one.safetensors", replaced)
    cache.refresh()
    with cache.use("one") as model:
        assert mark_of(model) == 9


def test_the_limit_can_change(make_cache: Callable[[int], ModelCache]) -> None:
    cache = make_cache(3)
    for name in NAMES:
        with cache.use(name):
            pass
    cache.set_limit(2)
    assert names_of(cache) == ["two", "three"]
    cache.clear()
    assert names_of(cache) == []


def test_memory_is_given_back(make_cache: Callable[[int], ModelCache]) -> None:
    cache = make_cache(1)
    with cache.use("one") as model:
        unet = weakref.ref(model.networks["unet"])
    del model
    cache.clear()
    gc.collect()
    assert unet() is None


def test_threads_get_what_they_ask_for(make_cache: Callable[[int], ModelCache]) -> None:
    cache = make_cache(1)
    wrong: list[tuple[str, float]] = []

    def work(names: list[str]) -> None:
        for name in names:
            with cache.use(name) as model:
                for _ in range(20):
                    if mark_of(model) != NAMES.index(name) + 1:
                        wrong.append((name, mark_of(model)))

    orders = [["one", "two", "three"], ["three", "one", "two"], ["two", "two", "one"]]
    threads = [threading.Thread(target=work, args=(order * 3,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache.loaded()) == 1


def test_info_without_loading(make_cache: Callable[[int], ModelCache]) -> None:
    cache = make_cache(1)
    info = cache.info("two")
    assert (info.name, info.title, info.short_hash) == ("two", "two.safetensors", None)
    assert (info.family_id, info.native_width, info.native_height) == ("sd1", 512, 512)
    hashed = cache.hashed_info("two")
    assert hashed.short_hash is not None
    assert hashed.title == f"two.safetensors [{hashed.short_hash}]"
    assert cache.info("two") == hashed
    assert cache.loaded() == ()
