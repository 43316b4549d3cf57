"""The Muon optimiser for weight matrices and convolutions, with Adam for the rest.

Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the step
is scaled to Adam's typical size as in Liu et al. 2025 (arXiv:2502.16982), section 2.2.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonalise(matrix: Tensor) -> Tensor:
    """Move a matrix's singular values near 1 by Newton-Schulz iterations in bfloat16.

    Args:
        matrix: [rows, columns], any float type.
    Returns: same shape, bfloat16.
    """
    a, b, c = COEFFICIENTS
    x: Tensor = matrix.bfloat16()
    wide = x.shape[0] <= x.shape[1]
    if not wide:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.T


def matrix_view(tensor: Tensor) -> Tensor:
    """A convolution as a matrix [output, rest]; a matrix as itself."""
    return tensor.flatten(1)


def cut(flat: Tensor, sizes: Sequence[int]) -> Iterator[Tensor]:
    """Cut a row of numbers into parts of these sizes."""
    start = 0
    for size in sizes:
        yield flat[start : start + size]
        start += size


def gradient_of(parameter: Tensor) -> Tensor:
    """The gradient; zeros if the loss did not depend on the parameter."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


class Muon(torch.optim.Optimizer):
    """Momentum whose direction is orthogonalised; work is shared out among processes."""

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.01) -> None:
        """Take matrices and convolutions only (two dimensions or more)."""
        super().__init__(params, {"lr": lr, "momentum": 0.95, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter from its gradient; `closure` is not used."""
        del closure
        rank, processes = (
            (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        )
        for group in self.param_groups:
            updates = [
                self._update(parameter, group, mine=index % processes == rank)
                for index, parameter in enumerate(group["params"])
            ]
            if processes > 1:
                flat = torch.cat([update.flatten() for update in updates])
                dist.all_reduce(flat)
                sizes = [update.numel() for update in updates]
                updates = [
                    part.view_as(update)
                    for part, update in zip(cut(flat, sizes), updates, strict=True)
                ]
            for parameter, update in zip(group["params"], updates, strict=True):
                rows, columns = update.shape
                scale = 0.2 * max(rows, columns) ** 0.5 * group["lr"]
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.reshape(parameter.shape), alpha=-scale)

    def _update(self, parameter: Tensor, group: dict[str, Any], *, mine: bool) -> Tensor:
        """The direction of one parameter as a bfloat16 matrix; zeros if another process has it."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        gradient, momentum = gradient_of(parameter), state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        looked_ahead = matrix_view(torch.lerp(gradient, momentum, group["momentum"]))
        if mine:
            return orthogonalise(looked_ahead)
        return torch.zeros_like(looked_ahead, dtype=torch.bfloat16)
