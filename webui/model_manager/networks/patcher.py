"""Weights with changes on top: base + sum of changes, and back to the base bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from webui.model_manager.networks.lora import Change
from webui.model_manager.networks.naming import Layer


class Addition(NamedTuple):
    """A change and how much of it.

    Args:
        network: its name, for counting errors.
        multiplier: 1.0 as trained.
        rank: use only so many ranks; None: all.
    """

    network: str
    change: Change
    multiplier: float
    rank: int | None


class WeightPatcher:
    """Keeps the base of the weights that it changes, for one model.

    While nothing is on top, it holds no memory. Changes that depend on the weight see what those
    before them made of it, as in A1111.
    """

    def __init__(self) -> None:
        self._base: dict[nn.Parameter, Tensor] = {}
        self._added_biases: list[nn.Module] = []

    @torch.no_grad()
    def set(self, additions: Mapping[Layer, Sequence[Addition]]) -> Counter[str]:
        """Put changes on the base, in place of all earlier ones.

        Returns: by network, the layers whose shape its changes do not fit; they are left out.
        Raises: whatever PyTorch raises for lack of memory; the base is restored then.
        """
        errors: Counter[str] = Counter()
        former = dict(self._base)
        self._drop_added_biases()
        try:
            for layer, ones in additions.items():
                weight = layer.module.weight
                assert isinstance(weight, nn.Parameter)
                self._set_weight(weight, ones, errors)
                former.pop(weight, None)
                bias = self._set_bias(layer.module, ones, errors)
                if bias is not None:
                    former.pop(bias, None)
        except BaseException:
            self.restore()
            raise
        for parameter in former:
            parameter.copy_(self._base.pop(parameter))
        return errors

    @torch.no_grad()
    def restore(self) -> None:
        """Bring the base back."""
        self._drop_added_biases()
        for parameter, base in self._base.items():
            parameter.copy_(base)
        self._base.clear()

    def forget(self) -> None:
        """Let go of the base, because other weights were read over it."""
        self._drop_added_biases()
        self._base.clear()

    def _based(self, parameter: nn.Parameter) -> Tensor:
        if parameter not in self._base:
            self._base[parameter] = parameter.detach().clone()
        return self._base[parameter]

    def _set_weight(
        self, weight: nn.Parameter, additions: Sequence[Addition], errors: Counter[str]
    ) -> None:
        base = self._based(weight)
        in_place = weight.dtype == torch.float32 and weight.is_contiguous()
        if in_place:
            changed = weight.detach().copy_(base)
        else:
            changed = base.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        for one in additions:
            try:
                one.change.add_to(changed, one.multiplier, one.rank)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, ValueError, IndexError):
                errors[one.network] += 1
        if not in_place:
            weight.copy_(changed)

    def _set_bias(
        self, module: nn.Module, additions: Sequence[Addition], errors: Counter[str]
    ) -> nn.Parameter | None:
        changes = [(one, one.change.bias_change()) for one in additions]
        wanted = [(one, change) for one, change in changes if change is not None]
        if not wanted:
            return None
        parameter, weight = module._parameters.get("bias"), module.weight
        assert isinstance(weight, Tensor)
        if parameter is not None:
            total = self._based(parameter).float()
        else:
            total = torch.zeros(len(weight), device=weight.device)
        for one, change in wanted:
            try:
                total = total + change.to(total.device).reshape(total.shape) * one.multiplier
            except RuntimeError:
                errors[one.network] += 1
        if parameter is not None:
            parameter.copy_(total)
            return parameter
        # an attribute hides the missing parameter from forward, but is not listed as a weight
        module.__dict__["bias"] = total.to(weight.dtype)
        self._added_biases.append(module)
        return None

    def _drop_added_biases(self) -> None:
        for module in self._added_biases:
            del module.__dict__["bias"]
        self._added_biases.clear()
