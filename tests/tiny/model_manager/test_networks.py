"""Network files of every naming on a real model, and the patcher's promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.tiny.small_checkpoints import write_checkpoint
from webui.device import device_policy
from webui.families.base import LoadedModel
from webui.model_manager.cache import ModelCache
from webui.model_manager.catalog import Catalog
from webui.model_manager.index import FileIndex
from webui.model_manager.networks.lora import read_lora
from webui.model_manager.networks.naming import Layer, layer_names
from webui.model_manager.networks.patcher import Addition, WeightPatcher

ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
TO_Q = f"lora_unet_{ATTENTION.replace('.', '_')}_to_q"
COMPVIS = "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q"
TEXT = "text_model_encoder_layers_0_self_attn_q_proj"


@pytest.fixture(scope="module")
def model(
    weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoadedModel]:
    folder = tmp_path_factory.mktemp("small")
    write_checkpoint(folder / "small.safetensors", weights)
    catalog = Catalog([folder], FileIndex(folder / "index.sqlite"))
    with ModelCache(catalog, device_policy("cpu", "float32", "auto")).use("small") as loaded:
        yield loaded


def put_on(
    patcher: WeightPatcher, model: LoadedModel, path: Path, multiplier: float = 1.0
) -> list[str]:
    """Put a file on a model; what it has that matches nothing."""
    network = read_lora(path)
    matched, missing = network.matched(layer_names(model.networks, model.family_id))
    one = {layer: [Addition(path.stem, c, multiplier, None)] for layer, c in matched.items()}
    errors = patcher.set(one)
    return missing + [f"{name}: {count}" for name, count in errors.items()]


def snapshot(model: LoadedModel) -> dict[str, Tensor]:
    return {
        f"{role}.{name}": parameter.clone()
        for role, network in model.networks.items()
        for name, parameter in network.named_parameters()
    }


def changes(model: LoadedModel, before: dict[str, Tensor]) -> dict[str, Tensor]:
    after = snapshot(model)
    assert after.keys() == before.keys()
    return {k: after[k] - before[k] for k in before if not torch.equal(after[k], before[k])}


def layer(model: LoadedModel, path: str) -> nn.Module:
    return model.networks["unet"].get_submodule(path)


def width_of(model: LoadedModel) -> int:
    weight = layer(model, f"{ATTENTION}.to_q").weight
    assert isinstance(weight, Tensor)
    return len(weight)


def test_all_namings_change_the_same_layers(model: LoadedModel, tmp_path: Path) -> None:
    width = width_of(model)
    torch.manual_seed(0)
    down, up = torch.randn(2, width), torch.randn(width, 2)
    text_down, text_up = torch.randn(2, 16), torch.randn(16, 2)
    text_path = "text_model.encoder.layers.0.self_attn.q_proj"
    files = {
        "kohya": {f"{TO_Q}.lora_down.weight": down, f"{TO_Q}.lora_up.weight": up,
                  f"lora_te_{TEXT}.lora_down.weight": text_down,
                  f"lora_te_{TEXT}.lora_up.weight": text_up},
        "compvis": {f"{COMPVIS}.lora_A.weight": down,
                    f"{COMPVIS}.lora_B.weight": up,
                    f"lora_te1_{TEXT}.lora_down.weight": text_down,
                    f"lora_te1_{TEXT}.lora_up.weight": text_up},
        "peft": {f"unet.{ATTENTION}.to_q.lora_A.weight": down,
                 f"unet.{ATTENTION}.to_q.lora_B.weight": up,
                 f"text_encoder.{text_path}.lora_A.default.weight": text_down,
                 f"text_encoder.{text_path}.lora_B.default.weight": text_up},
        "diffusers": {f"unet.{ATTENTION}.processor.to_q_lora.down.weight": down,
                      f"unet.{ATTENTION}.processor.to_q_lora.up.weight": up,
                      f"text_encoder.{text_path}.lora_linear_layer.down.weight": text_down,
                      f"text_encoder.{text_path}.lora_linear_layer.up.weight": text_up},
    }  # fmt: skip
    before, weights = snapshot(model), WeightPatcher()
    results = []
    for name, tensors in files.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
        assert put_on(weights, model, tmp_path / f"{name}.safetensors", 0.5) == []
        results.append(changes(model, before))
    weights.restore()
    assert changes(model, before) == {}
    assert len(results[0]) == 2
    assert torch.allclose(results[0][f"unet.{ATTENTION}.to_q.weight"], up @ down / 2, atol=1e-4)
    for other in results[1:]:
        assert other.keys() == results[0].keys()
        assert all(torch.equal(other[key], results[0][key]) for key in other)


def test_norms_biases_and_layers_without_a_bias(model: LoadedModel, tmp_path: Path) -> None:
    query = layer(model, f"{ATTENTION}.to_q")
    width = width_of(model)
    tensors = {
        "lora_unet_down_blocks_0_resnets_0_norm1.w_norm": torch.full((32,), 0.25),
        "lora_unet_down_blocks_0_resnets_0_norm1.b_norm": torch.full((32,), 0.5),
        f"{TO_Q}.diff": torch.zeros(width, width),
        f"{TO_Q}.diff_b": torch.full((width,), 2.0),
        "lora_unet_nowhere.diff": torch.zeros(1),
        f"{TO_Q.replace('to_q', 'to_k')}.diff": torch.zeros(3, 5),
    }
    save_file(tensors, tmp_path / "norm.safetensors")
    before, weights, x = snapshot(model), WeightPatcher(), torch.randn(1, width)
    plain = query(x)
    assert put_on(weights, model, tmp_path / "norm.safetensors", 2.0) == [
        "lora_unet_nowhere",
        "norm: 1",
    ]
    assert torch.allclose(query(x), plain + 4, atol=1e-5)
    found = changes(model, before)
    name = "unet.down_blocks.0.resnets.0.norm1"
    assert found.keys() == {f"{name}.weight", f"{name}.bias"}
    assert torch.allclose(found[f"{name}.weight"], torch.full((32,), 0.5))
    assert torch.allclose(found[f"{name}.bias"], torch.full((32,), 1.0))
    weights.restore()
    assert changes(model, before) == {}
    assert torch.equal(query(x), plain)


def test_half_precision_weights_are_changed_in_single_precision(tmp_path: Path) -> None:
    linear = nn.Linear(4, 4, bias=False).bfloat16().requires_grad_(False)
    base = linear.weight.clone()
    save_file({"lora_unet_x.diff": torch.full((4, 4), 0.001)}, tmp_path / "a.safetensors")
    change = read_lora(tmp_path / "a.safetensors").changes["lora_unet_x"]
    place = Layer("unet", "x", linear)
    weights = WeightPatcher()
    weights.set({place: [Addition("a", change, 1.0, None)] * 50})
    expected = (base.float() + 0.05).bfloat16()
    assert torch.equal(linear.weight, expected)
    weights.set({})
    assert torch.equal(linear.weight, base)


def test_a_failure_half_way_restores_everything(model: LoadedModel, tmp_path: Path) -> None:
    class Exhausted:
        """A change that cannot be computed for want of memory."""

        def add_to(self, *_: object) -> None:
            raise torch.OutOfMemoryError("no memory left")

        def factors(self, *_: object) -> None:
            """It is no product."""

    save_file({f"{TO_Q}.weight": torch.ones(64)}, tmp_path / "a.safetensors")
    before, weights = snapshot(model), WeightPatcher()
    names = layer_names(model.networks, model.family_id)
    change = read_lora(tmp_path / "a.safetensors").changes[TO_Q]
    first = {names[TO_Q]: [Addition("a", change, 1.0, None)]}
    last = {names[f"lora_te_{TEXT}"]: [Addition("b", Exhausted(), 1.0, None)]}  # type: ignore[arg-type]
    with pytest.raises(torch.OutOfMemoryError):
        weights.set(first | last)
    assert changes(model, before) == {}
