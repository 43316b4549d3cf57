"""Weights with changes on top: base + sum of changes, and back to the base bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from webui.model_manager.networks.lora import Change
from webui.model_manager.networks.naming import Layer

BLOCK_VALUES = 512 * 1024
"""Smaller blocks cost more in calls than they save in memory traffic."""


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
        factors = _joint_factors(weight, additions)
        if factors is not None:
            self._set_product(weight, base, *factors)
            return
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

    def _set_product(self, weight: Tensor, base: Tensor, up: Tensor, down: Tensor) -> None:
        """Set weight = base + up @ down, some rows at a time, so that they stay in the cache.

        Args:
            weight, base: contiguous, of any floating dtype; bfloat16 is multiplied as it is, with
                sums in float32, others in float32.
            up, down: float32, [o, r] and [r, i].
        """
        rows, old, columns = weight.detach().flatten(1), base.flatten(1), down.shape[1]
        direct = weight.dtype in (torch.float32, torch.bfloat16)
        if direct:
            up, down = up.to(weight.dtype), down.to(weight.dtype)
        at_once = max(1, BLOCK_VALUES // columns)
        for first in range(0, len(rows), at_once):
            some = rows[first : first + at_once]
            wide = some if direct else torch.empty_like(some, dtype=torch.float32)
            wide.copy_(old[first : first + at_once])
            wide.addmm_(up[first : first + at_once], down)
            if wide is not some:
                some.copy_(wide)

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


def _joint_factors(weight: Tensor, additions: Sequence[Addition]) -> tuple[Tensor, Tensor] | None:
    """Return changes that are all low-rank as one product, float32, scales and all; else None."""
    if not weight.is_contiguous() or weight.dim() < 2:
        return None
    ups, downs = [], []
    for one in additions:
        factors = one.change.factors(weight.shape, one.rank)
        if factors is None:
            return None
        up, down = factors
        scale = one.change.scale * one.multiplier
        ups.append(up.to(weight.device, torch.float32) * scale)
        downs.append(down.to(weight.device, torch.float32))
    return torch.cat(ups, dim=1), torch.cat(downs)
