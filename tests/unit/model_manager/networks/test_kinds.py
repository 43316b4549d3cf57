"""Each kind's formula, written out a second time over small matrices."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from webui.model_manager.networks.kinds import KINDS
from webui.model_manager.networks.lora import Change

torch.manual_seed(0)
WEIGHT = torch.randn(6, 4)
CONVOLUTION = torch.randn(6, 4, 3, 3)


def rn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def change_of(base: Tensor, rank: int | None = None, /, **parts: Tensor) -> Tensor:
    named = {name.replace("__", "."): part for name, part in parts.items()}
    kind = next(kind for kind in KINDS if kind.applies(named))
    return Change(kind, named).change(base, rank)


def test_lora_scales_by_alpha_over_rank_and_may_use_the_first_ranks_only() -> None:
    up, down = rn(6, 4), rn(4, 4)
    parts = {"lora_up__weight": up, "lora_down__weight": down, "alpha": torch.tensor(2.0)}
    assert torch.allclose(change_of(WEIGHT, **parts), up @ down / 2)
    assert torch.allclose(change_of(WEIGHT, 3, **parts), up[:, :3] @ down[:3] / 2)
    scaled = change_of(WEIGHT, scale=torch.tensor(0.3), **parts)
    assert torch.allclose(scaled, up @ down * 0.3, atol=1e-6)


def test_lora_of_a_convolution() -> None:
    up, down, mid = rn(6, 2, 1, 1), rn(2, 4, 3, 3), rn(2, 2, 3, 3)
    plain = change_of(CONVOLUTION, lora_up__weight=up, lora_down__weight=down)
    assert torch.allclose(plain, torch.einsum("or,rihw->oihw", up[:, :, 0, 0], down), atol=1e-5)
    small = rn(2, 4, 1, 1)
    parts = {"lora_up__weight": up, "lora_down__weight": small, "lora_mid__weight": mid}
    expected = torch.einsum("nmhw,in,mj->ijhw", mid, up[..., 0, 0], small[..., 0, 0])
    assert torch.allclose(change_of(CONVOLUTION, **parts), expected, atol=1e-5)


def test_loha_multiplies_two_products_value_by_value() -> None:
    a, b, c, d = rn(6, 2), rn(2, 4), rn(6, 3)[:, :2], rn(2, 4) * 2
    parts = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d}
    expected = (a @ b) * (c @ d)
    assert torch.allclose(change_of(WEIGHT, **parts, alpha=torch.tensor(4.0)), expected * 2)
    core = rn(2, 2, 3, 3)
    factors = {"hada_w1_a": rn(2, 6), "hada_w2_a": rn(2, 6), "hada_w1_b": b, "hada_w2_b": d}
    one = torch.einsum("pqhw,po,qi->oihw", core, rn(2, 6), b)
    two = torch.einsum("pqhw,po,qi->oihw", core, rn(2, 6), d)
    found = change_of(CONVOLUTION, **factors, hada_t1=core, hada_t2=core)
    assert torch.allclose(found, one * two, rtol=1e-4, atol=1e-4)


def test_lokr_is_a_kronecker_product() -> None:
    small, large = rn(2, 2), rn(3, 2)
    assert torch.allclose(
        change_of(WEIGHT, lokr_w1=small, lokr_w2=large, alpha=torch.tensor(9.0)),
        torch.kron(small, large),
    )
    a, b = rn(3, 2), rn(2, 2)
    factored = change_of(WEIGHT, lokr_w1=small, lokr_w2_a=a, lokr_w2_b=b, alpha=torch.tensor(1.0))
    assert torch.allclose(factored, torch.kron(small, a @ b) / 2, atol=1e-6)
    kernel = rn(3, 2, 3, 3)
    found = change_of(CONVOLUTION, lokr_w1=small, lokr_w2=kernel)
    assert torch.allclose(found[3:, 2:], small[1, 1] * kernel)


def test_ia3_scales_rows_or_columns() -> None:
    rows, columns = rn(6), rn(4)
    out = change_of(WEIGHT, weight=rows, on_input=torch.tensor(False))
    assert torch.allclose(out, WEIGHT * rows[:, None])
    inward = change_of(WEIGHT, weight=columns, on_input=torch.tensor(True))
    assert torch.allclose(inward, WEIGHT * columns)


def test_full_norm_and_glora() -> None:
    assert torch.equal(change_of(WEIGHT, diff=WEIGHT * 2), WEIGHT * 2)
    norm = change_of(rn(6), w_norm=rn(6) * 3, b_norm=rn(6))
    assert torch.equal(norm, rn(6) * 3)
    a1, a2, b1, b2 = rn(2, 4), rn(4, 2), rn(2, 4) * 2, rn(6, 2)
    parts = {"a1__weight": a1, "a2__weight": a2, "b1__weight": b1, "b2__weight": b2}
    found = change_of(WEIGHT, **parts, alpha=torch.tensor(7.0))
    assert torch.allclose(found, b2 @ b1 + WEIGHT @ a2 @ a1, atol=1e-5)


def rotations(blocks: Tensor) -> Tensor:
    skew = blocks - blocks.transpose(-1, -2)
    identity = torch.eye(blocks.shape[-1])
    inverse: Tensor = torch.linalg.inv(identity - skew)
    return (identity + skew) @ inverse


def test_oft_turns_blocks_of_rows() -> None:
    blocks = rn(2, 3, 3) * 0.1
    turned = WEIGHT + change_of(WEIGHT, oft_blocks=blocks)
    expected = torch.cat([rotations(blocks)[i].T @ WEIGHT[3 * i : 3 * i + 3] for i in (0, 1)])
    assert torch.allclose(turned, expected, atol=1e-5)
    assert torch.allclose(turned.norm(dim=0), WEIGHT.norm(dim=0), atol=1e-5)
    early = WEIGHT + change_of(WEIGHT, oft_diag=rotations(blocks))
    assert torch.allclose(early, expected, atol=1e-5)
    rescaled = WEIGHT + change_of(WEIGHT, oft_blocks=blocks, rescale=rn(6, 1))
    assert torch.allclose(rescaled, expected * rn(6, 1), atol=1e-5)


def test_coft_keeps_rotations_small() -> None:
    blocks, alpha = rn(2, 3, 3), torch.tensor(0.01)
    skew = blocks - blocks.mT
    limited = blocks * (0.01 * 6 / skew.norm())
    found = change_of(WEIGHT, oft_blocks=blocks, alpha=alpha)
    assert torch.allclose(found, change_of(WEIGHT, oft_blocks=limited), atol=1e-5)


def test_boft_mixes_rows_further_apart_in_each_round() -> None:
    weight, blocks = rn(8, 4), rn(2, 4, 2, 2) * 0.2
    turned = weight.clone()
    for number, stride in enumerate((1, 2)):
        places = itertools.product(range(4 // stride), range(stride), (0, 1))
        order = [c * 2 * stride + g * stride + k for c, k, g in places]
        after = torch.empty_like(turned)
        for block in range(4):
            rows = order[2 * block : 2 * block + 2]
            after[rows] = rotations(blocks)[number, block] @ turned[rows]
        turned = after
    assert torch.allclose(weight + change_of(weight, oft_blocks=blocks), turned, atol=1e-5)


def test_dora_keeps_the_stored_norm_of_each_column() -> None:
    up, down, norms = rn(6, 2), rn(2, 4), rn(1, 4).abs() + 1
    parts = {"lora_up__weight": up, "lora_down__weight": down}
    merged = WEIGHT + change_of(WEIGHT, dora_scale=norms, **parts)
    assert torch.allclose(merged.norm(dim=0), norms[0], atol=1e-5)
    direction = WEIGHT + up @ down
    assert torch.allclose(merged / merged.norm(dim=0), direction / direction.norm(dim=0), atol=1e-5)
    rows = rn(6).abs() + 1  # PEFT has a norm for each row
    merged = WEIGHT + change_of(WEIGHT, lora_magnitude_vector=rows, **parts)
    assert torch.allclose(merged.norm(dim=1), rows, atol=1e-5)


def test_a_bias_in_the_file_adds_to_the_change() -> None:
    bias = rn(6, 4)
    found = change_of(WEIGHT, diff=WEIGHT, bias=bias)
    assert torch.allclose(found, WEIGHT + bias)


def test_an_inpainting_network_gets_zeros_for_its_further_channels() -> None:
    wide = torch.randn(6, 9, 3, 3)
    found = change_of(wide, diff=CONVOLUTION)
    assert torch.equal(found[:, :4], CONVOLUTION)
    assert not found[:, 4:].any()


def test_a_change_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        change_of(WEIGHT, diff=CONVOLUTION)
