from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.tiny.small_checkpoints import TEXT_PREFIX, small_config, write_checkpoint
from webui.device import DevicePolicy, device_policy
from webui.errors import Interrupted, UnsupportedModel
from webui.families.base import LoadedModel, Networks, tensor_part
from webui.model_manager.loader import (
    OnProgress,
    allocate,
    ignore_progress,
    open_checkpoint,
    read_facts,
    read_weights,
)

Weights = dict[str, Tensor]
CPU = device_policy("cpu", "float32", "auto")


def load(
    path: Path, policy: DevicePolicy = CPU, on_progress: OnProgress = ignore_progress
) -> LoadedModel:
    with open_checkpoint(path) as candidate:
        networks = candidate.blueprint.networks
        allocate(networks, policy)
        read_weights(candidate, networks, on_progress)
        return candidate.blueprint.assemble(networks, read_facts(candidate))


def values_of(networks: Networks, path: Path) -> Weights:
    """The networks' parameters by the names that the file has for them."""
    with open_checkpoint(path) as candidate:
        sources = candidate.blueprint.sources
    return {
        tensor_part(sources[role][name]).name: parameter
        for role, network in networks.items()
        for name, parameter in network.named_parameters()
    }


def expect_same(networks: Networks, path: Path, weights: Weights, tolerance: float = 0.0) -> None:
    loaded = values_of(networks, path)
    assert len(loaded) == len(weights)
    for name, value in loaded.items():
        expected = weights[name].float()
        assert torch.allclose(
            value.float(), expected.view(value.shape), rtol=tolerance, atol=tolerance
        ), name


def test_every_weight_arrives(weights: Weights, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)
    model = load(path)
    expect_same(model.networks, path, weights)
    for network in model.networks.values():
        assert not network.training
        tensors = [*network.parameters(), *network.buffers()]
        assert {tensor.device.type for tensor in tensors} == {"cpu"}
        assert not any(tensor.requires_grad for tensor in tensors)


@pytest.mark.parametrize(
    "stored", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn]
)
def test_other_formats_are_converted(stored: torch.dtype, weights: Weights, tmp_path: Path) -> None:
    rounded = {name: value.to(stored) for name, value in weights.items()}
    path = write_checkpoint(tmp_path / "small.safetensors", rounded)
    expect_same(load(path).networks, path, rounded)


def test_networks_take_the_formats_of_the_policy(weights: Weights, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)
    cpu = torch.device("cpu")
    policy = DevicePolicy(cpu, torch.bfloat16, torch.float32, torch.float16)
    networks = load(path, policy).networks
    expect_same(networks, path, weights, tolerance=8e-3)
    dtypes = {role: {p.dtype for p in network.parameters()} for role, network in networks.items()}
    assert dtypes == {
        "unet": {torch.bfloat16},
        "vae": {torch.float32},
        "text_encoder": {torch.float16},
    }


def test_a_small_model_is_loaded_whole_under_auto(weights: Weights, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)
    networks = load(path, device_policy("cpu", "auto", "auto")).networks
    assert {p.dtype for network in networks.values() for p in network.parameters()} == {
        torch.float32
    }


def test_the_oldest_files_name_the_text_encoder_otherwise(weights: Weights, tmp_path: Path) -> None:
    old = {key.replace(".text_model.", "."): value for key, value in weights.items()}
    path = write_checkpoint(tmp_path / "old.safetensors", old)
    expect_same(load(path).networks, path, old)


def test_what_a_training_run_leaves_behind_is_passed_over(weights: Weights, tmp_path: Path) -> None:
    more = weights | {
        f"{TEXT_PREFIX}embeddings.position_ids": torch.arange(77)[None],
        "model_ema.decay": torch.tensor(0.99),
        "model_ema.diffusion_modelinput_blocks00weight": torch.zeros(3),
        "first_stage_model.loss.discriminator.weight": torch.zeros(3),
        "betas": torch.zeros(1000),
    }
    path = write_checkpoint(tmp_path / "trained.safetensors", more)
    expect_same(load(path).networks, path, weights)


def test_a_pickle_loads_like_safetensors(weights: Weights, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)
    pickled = path.with_suffix(".ckpt")
    halves = {name: value.half() for name, value in weights.items()}
    torch.save({"state_dict": halves, "global_step": 7}, pickled)
    expect_same(load(pickled).networks, pickled, halves)


def without(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {k: v for k, v in weights.items() if not k.startswith(prefix)}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("cond_stage_model."), "small.safetensors: The file has no text encoder"),
        (without("first_stage_model."), "small.safetensors: The file has no autoencoder"),
        (without("first_stage_model.decoder.conv_in."), "autoencoder .* incomplete: 2 of"),
        (without("model.diffusion_model.out."), "denoising network .* incomplete: 4 of"),
        (without("model."), "small.safetensors is a VAE"),
    ],
)
def test_missing_parts_are_a_sentence(
    change: Callable[[Weights], Weights], sentence: str, weights: Weights, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", change(weights))
    with pytest.raises(UnsupportedModel, match=sentence):
        load(path)


def test_a_yaml_is_needed_for_other_sizes(weights: Weights, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)
    path.with_suffix(".yaml").unlink()
    with pytest.raises(UnsupportedModel, match="needs a yaml of the same name beside it"):
        load(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"model: [1, 2", "not readable as yaml"),
        (b"\x80\x81bad", "not readable as yaml"),
        (b"[" * 20_000, "not readable as yaml"),
        (b"model: !!python/object/apply:os.system ['true']", "not readable as yaml"),
        (b"#" * 300_000, "too large"),
        (b"model: 7", "cannot be used: at model"),
    ],
)
def test_a_yaml_that_is_none_is_a_sentence(
    text: bytes, sentence: str, weights: Weights, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)
    path.with_suffix(".yaml").write_bytes(text)
    with pytest.raises(UnsupportedModel, match=sentence):
        load(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9999])
def test_a_truncated_file_is_a_sentence(share: float, weights: Weights, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnsupportedModel, match="Download it again"):
        load(path)


def test_a_file_that_shrinks_while_it_is_read_is_a_sentence(
    weights: Weights, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)

    def shrink(_fraction: float) -> None:
        with path.open("r+b") as file:
            file.truncate(100_000)

    with pytest.raises(UnsupportedModel, match="has become shorter"):
        load(path, on_progress=shrink)


def test_progress_goes_from_nothing_to_all(weights: Weights, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)
    seen: list[float] = []
    load(path, on_progress=seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) == len(weights) + 1


def test_loading_can_be_given_up(weights: Weights, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors", weights)

    def stop(fraction: float) -> None:
        if fraction > 0.3:
            raise Interrupted

    with pytest.raises(Interrupted):
        load(path, on_progress=stop)


def test_the_yaml_says_what_is_predicted(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    assert load(write_checkpoint(path, weights)).prediction == "epsilon"
    velocity = small_config(parameterization="v")
    assert load(write_checkpoint(path, weights, velocity)).prediction == "v"


def test_the_files_own_schedule_is_taken(weights: Weights, tmp_path: Path) -> None:
    stored = torch.linspace(0.999, 0.005, 1000).half()
    path = write_checkpoint(tmp_path / "s.safetensors", weights | {"alphas_cumprod": stored})
    assert torch.equal(load(path).alphas_cumprod, stored.float())


def test_a_huge_schedule_is_not_read(weights: Weights, tmp_path: Path) -> None:
    huge = {"alphas_cumprod": torch.zeros(1_000_001)}
    path = write_checkpoint(tmp_path / "s.safetensors", weights | huge)
    with pytest.raises(UnsupportedModel, match="alphas_cumprod is not what it should be"):
        load(path)
