"""ncnn files become what spandrel loads."""

from __future__ import annotations

import struct

import pytest
import torch
from safetensors.torch import load_file

from tools.ncnn_upscalers import HALF_FLAG, read_layers, state_dict
from webui.paths import PROGRAM

PARAM = """7767517
4 4
Input        data   0 1 data
Convolution  first  1 1 data a 0=2 1=1 5=1 6=6
PReLU        slope  1 1 a b 0=2
Convolution  last   1 1 b output 0=1 1=1 5=1 6=2
"""


def _content() -> bytes:
    halves = torch.arange(6, dtype=torch.float16).numpy().tobytes()
    first = struct.pack("<I", HALF_FLAG) + halves + struct.pack("<2f", 0.5, -0.5)
    slope = struct.pack("<2f", 0.1, 0.2)
    last = struct.pack("<I2f", 0, 7, 8) + struct.pack("<f", 9)
    return first + slope + last


def test_reads_both_formats_of_weights_in_order() -> None:
    tensors = state_dict(read_layers(PARAM, _content()))
    assert list(tensors) == [
        "body.0.weight",
        "body.0.bias",
        "body.1.weight",
        "body.2.weight",
        "body.2.bias",
    ]
    assert tensors["body.0.weight"].shape == (2, 3, 1, 1)
    assert tensors["body.0.weight"].flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert tensors["body.1.weight"].tolist() == pytest.approx([0.1, 0.2])
    assert tensors["body.2.weight"].flatten().tolist() == [7, 8]
    assert tensors["body.2.bias"].tolist() == [9]


@pytest.mark.parametrize("content", [_content()[:-4], _content() + b"\0\0\0\0"])
def test_refuses_files_that_do_not_belong_together(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"than its \.param file says"):
        read_layers(PARAM, content)


@pytest.mark.parametrize(
    ("name", "first", "tensors"),
    [
        ("realesr-animevideov3", "body.0.weight", 53),
        ("realesrgan-x4plus-anime", "conv_first.weight", 192),
    ],
)
def test_shipped_files_are_small_halves(name: str, first: str, tensors: int) -> None:
    shipped = load_file(PROGRAM / "models" / "upscalers" / f"{name}.safetensors")
    assert shipped[first].shape == (64, 3, 3, 3)
    assert {tensor.dtype for tensor in shipped.values()} == {torch.float16}
    assert len(shipped) == tensors
