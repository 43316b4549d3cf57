"""From a checkpoint file to networks with weights: header, family, networks, tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from webui.device import DevicePolicy
from webui.errors import OutOfMemory, UnsupportedModel
from webui.families import detect
from webui.families.base import Blueprint, Family, Networks, tensor_part
from webui.model_manager.tensor_file import TORCH_DTYPES, TensorFile, open_tensor_file

OnProgress = Callable[[float], None]
"""Called with the share of bytes read, 0 to 1; may raise `JobStopped` to give the load up."""

MAX_YAML_BYTES = 256 * 1024
_MAX_FACT_VALUES = 1_000_000
_ALIGNMENT = 256  # bytes; what GPUs and vector units like their tensors to start at


def ignore_progress(fraction: float) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that has passed every check that can be made without reading its weights."""

    file: TensorFile
    family: Family
    blueprint: Blueprint


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Candidate]:
    """Open a checkpoint, find its family and make its networks without weights.

    Args:
        path: the file; a ``.yaml`` of the same name beside it describes its architecture.
    Raises:
        UnsupportedModel: if it is no checkpoint that Easel can load, with the reason.
    """
    with open_tensor_file(path) as file:
        family = detect(path.name, file.header)
        try:
            blueprint = family.build(file.header, read_yaml(path.with_suffix(".yaml")))
        except UnsupportedModel as error:
            raise UnsupportedModel(f"{path.name}: {error}") from error
        yield Candidate(file, family, blueprint)


def read_yaml(path: Path) -> object | None:
    """Return a parsed yaml file, or None if there is none.

    Raises:
        UnsupportedModel: if it is too large or no yaml.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_YAML_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(text) > MAX_YAML_BYTES:
        raise UnsupportedModel(f"{path.name} is too large to be a model's description.")
    try:
        return yaml.safe_load(text) or {}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UnsupportedModel(
            f"{path.name} is not readable as yaml. Correct it or take it away."
        ) from error


def allocate(networks: Networks, policy: DevicePolicy) -> None:
    """Give networks on the meta device memory: one block each, so that it is given back whole.

    Raises:
        OutOfMemory: if the device has not enough.
    """
    policy = sized(policy, networks)
    for role, network in networks.items():
        dtype, memory_format = policy.dtype_of(role), policy.memory_format_of(role)
        places: dict[str, tuple[int, int]] = {}
        total = 0
        for name, parameter in network.named_parameters():
            count = prod(parameter.shape) * dtype.itemsize
            places[name] = (total, total + count)
            total += -(-count // _ALIGNMENT) * _ALIGNMENT
        try:
            block = torch.empty(total, dtype=torch.uint8, device=policy.device)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            raise OutOfMemory(
                f"The checkpoint's {role} needs {total / 2**30:.1f} GB, which {policy.device.type}"
                " has not left. Close other programs, or load fewer models."
            ) from error
        views = {
            name: _view(block[slice(*places[name])].view(dtype), parameter.shape, memory_format)
            for name, parameter in network.named_parameters()
        }
        network.load_state_dict(views, strict=False, assign=True)
        nn.Module.to(network, policy.device)  # buffers


def sized(policy: DevicePolicy, networks: Networks) -> DevicePolicy:
    """Return the policy for a model of these networks."""
    return policy.for_size(sum(parameter.numel() for parameter in networks["unet"].parameters()))


def _view(values: Tensor, shape: torch.Size, memory_format: torch.memory_format) -> Tensor:
    """Give a flat block a tensor's shape, with the channels of a convolution first or last."""
    if len(shape) == 4 and memory_format == torch.channels_last:
        out, channels, height, width = shape
        return values.view(out, height, width, channels).permute(0, 3, 1, 2)
    return values.view(shape)


@torch.no_grad()
def read_weights(
    candidate: Candidate, networks: Networks, on_progress: OnProgress = ignore_progress
) -> None:
    """Read a checkpoint's weights into networks of its architecture, over what they held.

    Raises:
        UnsupportedModel: if the file changes meanwhile; the networks then hold a mixture.
        Whatever `on_progress` raises: likewise.
    """
    targets: dict[str, list[tuple[Tensor, int]]] = {}
    for role, sources in candidate.blueprint.sources.items():
        for name, parameter in networks[role].named_parameters():
            part = tensor_part(sources[name])
            target = parameter.T if part.transposed else parameter
            targets.setdefault(part.name, []).append((target, part.part * len(target)))
    total = sum(tensor.numel() for places in targets.values() for tensor, _ in places)
    done = 0
    for name in candidate.file.header:
        for target, first_row in targets.get(name, ()):
            on_progress(done / total)
            candidate.file.read_into(name, target, first_row)
            done += target.numel()
    on_progress(1.0)


def read_facts(candidate: Candidate) -> dict[str, Tensor]:
    """Read the tensors that a model needs beside its weights, float32 on the CPU.

    Raises:
        UnsupportedModel: if one is larger than facts are, or the file has changed meanwhile.
    """
    facts: dict[str, Tensor] = {}
    for name in candidate.blueprint.facts:
        info = candidate.file.header[name]
        if prod(info.shape) > _MAX_FACT_VALUES or info.dtype not in TORCH_DTYPES:
            raise UnsupportedModel(f"The tensor {name} is not what it should be in a checkpoint.")
        facts[name] = torch.empty(info.shape, dtype=torch.float32)
        candidate.file.read_into(name, facts[name])
    return facts
