"""Hypernetworks against their formula, written out."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from webui.errors import UnsupportedModel
from webui.model_manager.networks.hypernetwork import hypernetworks_in, read_hypernetwork

WIDTH = 4


class Attention(nn.Module):
    """As much of an attention as hypernetworks see."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, 3, bias=False) for _ in range(3))


def weights(indexes: tuple[int, int], norm: int | None = None, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    first, last = indexes
    made = {
        f"linear.{first}.weight": torch.randn(8, WIDTH),
        f"linear.{first}.bias": torch.randn(8),
        f"linear.{last}.weight": torch.randn(WIDTH, 8),
        f"linear.{last}.bias": torch.randn(WIDTH),
    }
    if norm is not None:
        made |= {f"linear.{norm}.weight": torch.randn(8), f"linear.{norm}.bias": torch.randn(8)}
    return made


def stored(folder: Path, pair: tuple[Any, Any], **settings: object) -> Path:
    path = folder / "h.pt"
    content: dict[object, object] = {WIDTH: pair, "layer_structure": [1, 2, 1]}
    torch.save(content | settings, path)
    return path


def test_keys_and_values_go_through_their_own_network(tmp_path: Path) -> None:
    for_keys, for_values = weights((0, 1)), weights((0, 1), seed=1)
    network = read_hypernetwork(stored(tmp_path, (for_keys, for_values), activation_func="linear"))
    unet, x = Attention(WIDTH), torch.randn(2, 5, WIDTH)
    plain = [layer(x) for layer in (unet.to_q, unet.to_k, unet.to_v)]

    def through(made: dict[str, Tensor], multiplier: float) -> Tensor:
        hidden = x @ made["linear.0.weight"].T + made["linear.0.bias"]
        return x + (hidden @ made["linear.1.weight"].T + made["linear.1.bias"]) * multiplier

    with hypernetworks_in(unet, [(network, 0.5)]):
        assert torch.equal(unet.to_q(x), plain[0])
        for layer, made in ((unet.to_k, for_keys), (unet.to_v, for_values)):
            assert torch.allclose(layer(x), through(made, 0.5) @ layer.weight.T, atol=1e-5)
    assert torch.equal(unet.to_k(x), plain[1])
    with hypernetworks_in(unet, [(network, 1.0), (network, 1.0)]):
        once = through(for_keys, 1.0)
        hidden = once @ for_keys["linear.0.weight"].T + for_keys["linear.0.bias"]
        twice = once + hidden @ for_keys["linear.1.weight"].T + for_keys["linear.1.bias"]
        assert torch.allclose(unet.to_k(x), twice @ unet.to_k.weight.T, rtol=1e-4, atol=1e-4)
    wider = Attention(6)
    y = torch.randn(1, 6)
    expected = wider.to_k(y)
    with hypernetworks_in(wider, [(network, 1.0)]):
        assert torch.equal(wider.to_k(y), expected)


@pytest.mark.parametrize(("last", "is_active"), [(True, True), (False, False)])
def test_activation_norm_and_dropout(tmp_path: Path, last: bool, is_active: bool) -> None:
    # Linear, ReLU, LayerNorm, Dropout, Linear, ...: what has no weights leaves a gap in the numbers
    made = weights((0, 4), norm=2)
    path = stored(
        tmp_path, (made, made), activation_func="relu", is_layer_norm=True,
        activate_output=last, use_dropout=True, dropout_structure=[0, 0.3, 0],
    )  # fmt: skip
    (part, _) = read_hypernetwork(path).layers[WIDTH]
    x = torch.randn(3, WIDTH)
    hidden = torch.relu(x @ made["linear.0.weight"].T + made["linear.0.bias"])
    hidden = layer_norm(hidden, (8,), made["linear.2.weight"], made["linear.2.bias"])
    output = hidden @ made["linear.4.weight"].T + made["linear.4.bias"]
    output = torch.relu(output) if is_active else output
    assert torch.allclose(part(x, 2.0), x + output * 2, rtol=1e-4, atol=1e-4)


def test_the_first_format_numbers_from_one(tmp_path: Path) -> None:
    made = weights((0, 1))
    names = {"linear.0": "linear1", "linear.1": "linear2"}
    old = {f"{names[key[:8]]}{key[8:]}": value for key, value in made.items()}
    torch.save({WIDTH: (old, old)}, tmp_path / "old.pt")
    x = torch.randn(1, WIDTH)
    new = read_hypernetwork(stored(tmp_path, (made, made))).layers[WIDTH][0]
    assert torch.equal(read_hypernetwork(tmp_path / "old.pt").layers[WIDTH][0](x, 1.0), new(x, 1.0))


def test_what_is_no_hypernetwork_is_a_sentence(tmp_path: Path) -> None:
    made = weights((0, 1))
    wrong = {**made, "linear.1.weight": torch.randn(WIDTH, 7)}
    cases: tuple[tuple[tuple[Any, Any], dict[str, object]], ...] = (
        ((made, wrong), {}),
        ((made, {"linear.x": torch.ones(1)}), {}),
        ((made, made), {"activation_func": "eval"}),
    )
    for pair, settings in cases:
        with pytest.raises(UnsupportedModel, match=r"h\.pt"):
            read_hypernetwork(stored(tmp_path, pair, **settings))
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(print, protocol=2))
    with pytest.raises(UnsupportedModel, match="refused"):
        read_hypernetwork(tmp_path / "evil.pt")
