"""Seconds to switch a LoRA on SD 1.5's full size, over one pass over the weights that it touches.

The pass copies each touched weight from memory into the model. The LoRA has rank 16 on all linear
layers of the UNet's attention, in half precision.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from webui.families import ldm
from webui.model_manager.networks.kinds import KINDS
from webui.model_manager.networks.lora import Change
from webui.model_manager.networks.naming import Layer
from webui.model_manager.networks.patcher import Addition, WeightPatcher

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def main(arguments: Sequence[str]) -> int:
    """Print all times and ratios; the peers take turns."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench lora", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    given = parser.parse_args(arguments)
    layers = _layers(DTYPES[given.dtype])
    one, other = (_lora(layers, given.rank, name) for name in ("one", "other"))
    size = sum(part.nbytes for adds in one.values() for part in adds[0].change.parts.values())
    copies = [(weight, weight.clone()) for weight in map(_weight, layers)]
    patcher = WeightPatcher()
    patcher.set(one)
    passes, switches = [], []
    for _ in range(given.rounds):
        passes.append(_seconds(lambda: _copy(copies)))
        switches.append(_seconds(lambda: patcher.set(other)))
        switches.append(_seconds(lambda: patcher.set(one)))
    ours, peer = statistics.median(switches), statistics.median(passes)
    touched = sum(copy.nbytes for _, copy in copies)
    print(f"LoRA of {size / 1e6:.0f} MB over {touched / 1e6:.0f} MB of {given.dtype} weights")
    print(f"switch {ours:.3f} s, one pass {peer:.3f} s, ratio {ours / peer:.2f}")
    return 0


def _layers(dtype: torch.dtype) -> list[Layer]:
    with torch.device("meta"):
        unet = ldm.build_unet(ldm.UNetParams())
    found = []
    for path, module in unet.named_modules():
        if "transformer_blocks" in path and isinstance(module, nn.Linear):
            shape = module.weight.shape
            module.weight = nn.Parameter(torch.randn(shape, dtype=dtype), requires_grad=False)
            found.append(Layer("unet", path, module))
    return found


def _lora(layers: Sequence[Layer], rank: int, name: str) -> dict[Layer, list[Addition]]:
    made = {}
    for layer in layers:
        rows, columns = _weight(layer).shape
        parts = {
            "lora_up.weight": torch.randn(rows, rank).half(),
            "lora_down.weight": torch.randn(rank, columns).half(),
        }
        made[layer] = [Addition(name, Change(KINDS[0], parts), 0.7, None)]
    return made


@torch.no_grad()
def _copy(copies: Sequence[tuple[Tensor, Tensor]]) -> None:
    for weight, copy in copies:
        weight.copy_(copy)


def _weight(layer: Layer) -> Tensor:
    weight = layer.module.weight
    assert isinstance(weight, Tensor)
    return weight


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
