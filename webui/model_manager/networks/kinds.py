"""LoRA and its relatives: from the parts that a file holds for a layer to the change of its weight.

All parts are float32. A change has the weight's number of values, and is not multiplied yet. The
formulas are those of the papers and of LyCORIS as A1111 applies them:
LoRA (Hu et al. 2021), LoHa and LoKr (Yeh et al. 2023, arXiv:2309.14859), IA3 (Liu et al. 2022),
GLoRA (Chavan et al. 2023), OFT (Qiu et al. 2023), BOFT (Liu et al. 2023), DoRA (Liu et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]
"""What a file holds for one layer, by name: ``lora_up.weight``, ``alpha``, ``hada_w1_a``, ..."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to write a change.

    Args:
        name: as its authors call it.
        sets: the file holds the kind if all parts of one of these sets are there.
        change: (parts, the weight as it is, rank or None) -> the change.
        rank: what alpha is divided by; None where alpha plays no part.
    """

    name: str
    sets: tuple[tuple[str, ...], ...]
    change: Callable[[Parts, Tensor, int | None], Tensor]
    rank: Callable[[Parts], int | None] = lambda _parts: None

    def applies(self, parts: Parts) -> bool:
        """Tell whether the parts are of this kind."""
        return any(all(name in parts for name in names) for names in self.sets)


def _product(first: Tensor, second: Tensor, rank: int | None = None) -> Tensor:
    """Multiply two factors as matrices [o, r] and [r, i...], the first `rank` ranks of them."""
    return first.flatten(1)[:, :rank] @ second.flatten(1)[:rank]


def _tucker(core: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Expand a core [p, q, h, w] by factors [p, o] and [q, i]: [o, i, h, w]."""
    return torch.einsum("pqhw,po,qi->oihw", core, first, second)


def _lora(parts: Parts, _weight: Tensor, rank: int | None) -> Tensor:
    up, down = parts["lora_up.weight"], parts["lora_down.weight"]
    if "lora_mid.weight" not in parts:
        return _product(up, down, rank)
    return _tucker(parts["lora_mid.weight"], up.flatten(1).T, down.flatten(1))


def _loha(parts: Parts, _weight: Tensor, _rank: int | None) -> Tensor:
    def factor(number: int) -> Tensor:
        first, second = parts[f"hada_w{number}_a"], parts[f"hada_w{number}_b"]
        core = parts.get(f"hada_t{number}")
        return _product(first, second) if core is None else _tucker(core, first, second)

    return factor(1) * factor(2)


def _ia3(parts: Parts, weight: Tensor, _rank: int | None) -> Tensor:
    factors = parts["weight"]
    if "on_input" in parts and parts["on_input"].item():
        factors = factors.reshape(1, -1, *[1] * (weight.dim() - 2))
    else:
        factors = factors.reshape(-1, *[1] * (weight.dim() - 1))
    return weight * factors


def _lokr(parts: Parts, _weight: Tensor, _rank: int | None) -> Tensor:
    def factor(number: int) -> Tensor:
        if f"lokr_w{number}" in parts:
            return parts[f"lokr_w{number}"]
        first, second = parts[f"lokr_w{number}_a"], parts[f"lokr_w{number}_b"]
        core = parts.get("lokr_t2") if number == 2 else None
        if core is not None:
            return _tucker(core, first, second)
        return (first @ second.flatten(1)).reshape(len(first), *second.shape[1:])

    small, large = factor(1), factor(2)
    product: Tensor = torch.kron(
        small.reshape(*small.shape, *[1] * (large.dim() - small.dim())), large
    )
    return product


def _lokr_rank(parts: Parts) -> int | None:
    factor = parts.get("lokr_w2_b", parts.get("lokr_w1_b"))
    return None if factor is None else len(factor)


def _glora(parts: Parts, weight: Tensor, _rank: int | None) -> Tensor:
    free = parts["b2.weight"].flatten(1) @ parts["b1.weight"].flatten(1)
    bound = weight.flatten(1) @ parts["a2.weight"].flatten(1) @ parts["a1.weight"].flatten(1)
    return free + bound


def _oft(parts: Parts, weight: Tensor, _rank: int | None) -> Tensor:
    if "oft_blocks" in parts:
        rotations = _cayley(parts["oft_blocks"], parts.get("alpha"), len(weight))
    else:
        rotations = parts["oft_diag"]  # early LyCORIS stored the rotations themselves
    rotate = _butterfly if rotations.dim() == 4 else _rotate_rows
    turned = rotate(rotations, weight.flatten(1))
    if "rescale" in parts:
        turned = turned * parts["rescale"].reshape(-1, 1)
    return turned - weight.flatten(1)


def _cayley(blocks: Tensor, alpha: Tensor | None, width: int) -> Tensor:
    """Make rotations of blocks [..., n, n]; COFT keeps them near the identity by alpha * width."""
    skew = blocks - blocks.mT
    limit = 0.0 if alpha is None else float(alpha) * width
    if limit:
        norm = skew.norm()
        skew = skew * ((norm.clamp(max=limit) + 1e-8) / (norm + 1e-8))
    identity = torch.eye(blocks.shape[-1], device=blocks.device)
    rotations: Tensor = (identity + skew) @ torch.linalg.inv(identity - skew)
    return rotations


def _rotate_rows(rotations: Tensor, weight: Tensor) -> Tensor:
    """Turn the rows of a weight [k * n, i] block by block with rotations [k, n, n]."""
    count, size = len(rotations), rotations.shape[-1]
    if count * size != len(weight):  # [n, n]-blocks of which the number was not stored
        raise ValueError(f"{count} blocks of {size} rows for a weight of {len(weight)} rows")
    blocks = weight.reshape(count, size, -1)
    return (rotations.mT @ blocks).reshape(weight.shape)


def _butterfly(rotations: Tensor, weight: Tensor) -> Tensor:
    """Turn the rows in several rounds [m, d, b, b], each mixing rows twice as far apart (BOFT)."""
    size = rotations.shape[-1]
    turned = weight
    for number, blocks in enumerate(rotations):
        stride = 2**number * (size // 2)
        order = torch.arange(len(weight), device=weight.device)
        order = order.reshape(-1, 2, stride).transpose(1, 2).reshape(-1)
        rows = turned[order].reshape(-1, size, weight.shape[1])
        turned = torch.empty_like(turned)
        turned[order] = (blocks @ rows).reshape(weight.shape)
    return turned


KINDS = (
    Kind(
        "LoRA",
        (("lora_up.weight", "lora_down.weight"),),
        _lora,
        lambda parts: len(parts["lora_down.weight"]),
    ),
    Kind(
        "LoHa",
        (("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),),
        _loha,
        lambda parts: len(parts["hada_w1_b"]),
    ),
    Kind("IA3", (("weight",),), _ia3),
    Kind(
        "LoKr",
        (
            ("lokr_w1", "lokr_w2"),
            ("lokr_w1_a", "lokr_w1_b", "lokr_w2"),
            ("lokr_w1", "lokr_w2_a", "lokr_w2_b"),
            ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"),
        ),
        _lokr,
        _lokr_rank,
    ),
    Kind("full", (("diff",),), lambda parts, _weight, _rank: parts["diff"]),
    Kind("norm", (("w_norm", "b_norm"),), lambda parts, _weight, _rank: parts["w_norm"]),
    Kind("GLoRA", (("a1.weight", "a2.weight", "alpha", "b1.weight", "b2.weight"),), _glora),
    Kind("OFT", (("oft_blocks",), ("oft_diag",)), _oft),
)
"""In the order in which they are tried."""
