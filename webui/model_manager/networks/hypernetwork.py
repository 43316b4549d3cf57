"""Hypernetworks: small networks before the keys and values of the UNet's attention."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from webui.errors import UnsupportedModel
from webui.model_manager.pickle_file import load_plain

_ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "swish": nn.Hardswish,
    **{
        kind.__name__.lower(): kind
        for kind in (
            nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh,
            nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid,
            nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink,
        )
    },
}  # fmt: skip
_LAYER = re.compile(r"(?:linear\.)?(\d+)\.(weight|bias)|linear(\d+)\.(weight|bias)")
MAX_LAYERS = 64


@dataclass(frozen=True)
class Hypernetwork:
    """A file's networks.

    Args:
        layers: by width of the attention's context: the networks for keys and for values.
    """

    layers: Mapping[int, tuple[nn.Module, nn.Module]]


class _Residual(nn.Module):
    """x + MLP(x) * multiplier; the multiplier is given with each call."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, multiplier: float) -> Tensor:
        """Return [..., C] in x's dtype."""
        wide = x.float()
        changed: Tensor = wide + self.layers(wide) * multiplier
        return changed.to(x.dtype)


def read_hypernetwork(path: Path) -> Hypernetwork:
    """Read a hypernetwork; nothing in the file is run.

    Raises:
        UnsupportedModel: if the file is damaged, would run code, or is no hypernetwork.
    """
    loaded = load_plain(path)
    if not isinstance(loaded, dict):
        raise _no_hypernetwork(path)
    layers: dict[int, tuple[nn.Module, nn.Module]] = {}
    for width, pair in loaded.items():
        if isinstance(width, int) and isinstance(pair, list | tuple) and len(pair) >= 2:
            keys, values = (_network(path, width, weights, loaded) for weights in pair[:2])
            layers[width] = keys, values
    if not layers:
        raise _no_hypernetwork(path)
    return Hypernetwork(layers)


def _network(
    path: Path, width: int, weights: object, settings: Mapping[object, object]
) -> nn.Module:
    if not isinstance(weights, Mapping):
        raise _no_hypernetwork(path)
    name = settings.get("activation_func") or "linear"
    activation = _ACTIVATIONS.get(str(name).lower())
    if activation is None:
        raise UnsupportedModel(
            f"{path.name} uses the activation {str(name)[:40]!r}, which Easel does not know."
        )
    steps = _steps(path, weights)
    linear = [index for index, step in enumerate(steps) if isinstance(step, nn.Linear)]
    modules: list[nn.Module] = []
    for index, step in enumerate(steps):
        modules.append(step)
        is_last = index == linear[-1]
        if index in linear and (not is_last or bool(settings.get("activate_output", True))):
            modules.append(activation())
    sizes = [(step.in_features, step.out_features) for step in steps if isinstance(step, nn.Linear)]
    ends = [width, *(out for _, out in sizes)]
    if ends[-1] != width or [size[0] for size in sizes] != ends[:-1]:
        raise _no_hypernetwork(path)
    return _Residual(modules).requires_grad_(False).eval()


def _steps(path: Path, weights: Mapping[object, object]) -> list[nn.Linear | nn.LayerNorm]:
    """Return the layers with weights in order; what has none (dropout) does nothing in use."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, value in weights.items():
        match = _LAYER.fullmatch(str(key))
        if match is None or not isinstance(value, Tensor):
            raise _no_hypernetwork(path)
        index = int(match[1] if match[1] is not None else match[3])
        found.setdefault(index, {})[match[2] or match[4]] = value.float()
    if not 0 < len(found) <= MAX_LAYERS:
        raise _no_hypernetwork(path)
    return [_step(path, found[index]) for index in sorted(found)]


def _step(path: Path, tensors: Mapping[str, Tensor]) -> nn.Linear | nn.LayerNorm:
    weight, bias = tensors.get("weight"), tensors.get("bias")
    if weight is None or bias is None or weight.dim() not in (1, 2) or len(bias) != len(weight):
        raise _no_hypernetwork(path)
    with torch.device("meta"):
        step = (
            nn.Linear(weight.shape[1], weight.shape[0])
            if weight.dim() == 2
            else nn.LayerNorm(len(weight))
        )
    step.load_state_dict(dict(tensors), assign=True)
    return step


def _no_hypernetwork(path: Path) -> UnsupportedModel:
    return UnsupportedModel(
        f"{path.name} is no hypernetwork that Easel can read. Download it again, or move it to the"
        " folder of its kind."
    )


@contextmanager
def hypernetworks_in(
    unet: nn.Module, networks: Sequence[tuple[Hypernetwork, float]]
) -> Iterator[None]:
    """Put hypernetworks, each with its multiplier, before all keys and values of a UNet.

    One acts where the context is as wide as one of its layers; several act one after the other.
    """
    device = next(unet.parameters()).device
    for network, _ in networks:
        for pair in network.layers.values():
            for part in pair:
                part.to(device)
    hooks = []
    for name, module in unet.named_modules() if networks else ():
        which = _ATTENTION_INPUTS.get(name.rpartition(".")[2])
        if which is not None:
            hooks.append(module.register_forward_pre_hook(_hook(networks, which)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


_ATTENTION_INPUTS = {"to_k": 0, "to_v": 1}


def _hook(
    networks: Sequence[tuple[Hypernetwork, float]], which: int
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def replace_context(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        context = inputs[0]
        for network, multiplier in networks:
            pair = network.layers.get(context.shape[-1])
            if pair is not None:
                context = pair[which](context, multiplier)
        return (context, *inputs[1:])

    return replace_context
