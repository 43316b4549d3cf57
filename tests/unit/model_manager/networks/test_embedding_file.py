"""Textual inversion files of every format, and what only looks like one."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from webui.errors import UnsupportedModel
from webui.model_manager.networks.embedding_file import read_embedding
from webui.model_manager.networks.embedding_image import masking_row

GOLDEN = Path(__file__).parents[3] / "golden" / "embeddings"
VECTORS = [[0.5, -1.0, 0.25, 2.0], [1.0, 0.0, -0.5, 0.125]]
PICTURE = {
    "string_to_token": {"*": 265},
    "string_to_param": {"*": {"TORCHTENSOR": VECTORS}},
    "name": "inside",
    "step": 12,
    "sd_checkpoint": "abc",
    "sd_checkpoint_name": "model",
}


def test_a1111s_own_format() -> None:
    embedding = read_embedding(GOLDEN / "tistyle.pt")
    assert embedding is not None
    assert (embedding.name, embedding.short_hash) == ("tistyle", "c9365865d09d")
    assert (embedding.vector_count, embedding.width, embedding.step) == (3, 128, 500)


def test_diffusers_format_is_called_like_its_file() -> None:
    embedding = read_embedding(GOLDEN / "tidiff.bin")
    assert embedding is not None
    assert (embedding.name, embedding.short_hash) == ("tidiff", "55a23a777f00")
    assert (embedding.vector_count, embedding.width, embedding.step) == (1, 128, None)


def test_a_parameter_dict_as_pytorch_1_11_stored_it(tmp_path: Path) -> None:
    parameters = torch.nn.ParameterDict()
    parameters.__dict__.clear()
    values = {"*": torch.nn.Parameter(torch.tensor(VECTORS))}
    parameters.__dict__.update(_parameters=values, training=True)
    torch.save({"string_to_param": parameters, "name": "old"}, tmp_path / "old.pt")
    embedding = read_embedding(tmp_path / "old.pt")
    assert embedding is not None
    assert embedding.vectors["any"].tolist() == VECTORS


def test_safetensors_and_pairs(tmp_path: Path) -> None:
    save_file({"emb_params": torch.tensor(VECTORS).half()}, tmp_path / "one.safetensors")
    one = read_embedding(tmp_path / "one.safetensors")
    assert one is not None
    assert one.vectors["any"].tolist() == VECTORS
    assert one.vectors["any"].dtype == torch.float32
    save_file({"clip_l": torch.ones(2, 3), "clip_g": torch.ones(2, 5)}, tmp_path / "xl.safetensors")
    pair = read_embedding(tmp_path / "xl.safetensors")
    assert pair is not None
    assert {slot: v.shape[1] for slot, v in pair.vectors.items()} == {"clip_l": 3, "clip_g": 5}
    assert (pair.vector_count, pair.width) == (2, 8)


def test_a_png_with_the_embedding_in_its_text(tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text("sd-ti-embedding", base64.b64encode(json.dumps(PICTURE).encode()).decode())
    Image.new("RGB", (8, 8)).save(tmp_path / "card.png", pnginfo=text)
    embedding = read_embedding(tmp_path / "card.png")
    assert embedding is not None
    assert embedding.name == "inside"
    assert embedding.vectors["any"].tolist() == VECTORS
    assert (embedding.step, embedding.checkpoint) == (12, "abc")


def with_borders(payload: bytes, picture: np.ndarray) -> Image.Image:
    """Put bytes into borders, low halves at the left, as A1111 lays them out."""
    height = len(picture)
    columns = -(-len(payload) // (height * 3))
    padded = np.zeros(height * columns * 3, dtype=np.uint8)
    padded[: len(payload)] = np.frombuffer(payload, dtype=np.uint8)
    mask = masking_row(padded.size)
    sides = []
    for halves in (padded & 0x0F, padded >> 4):
        block = (halves ^ mask).reshape(height, columns, 3)
        sides.append(block | 0x50)  # the high half of a border's pixels is decoration
    black = np.zeros((height, 1, 3), dtype=np.uint8)
    return Image.fromarray(np.concatenate([sides[0], black, picture, black, sides[1]], axis=1))


def test_a_picture_with_the_embedding_in_its_borders(tmp_path: Path) -> None:
    picture = np.full((16, 24, 3), 201, dtype=np.uint8)
    image = with_borders(zlib.compress(json.dumps(PICTURE).encode()), picture)
    framed = Image.new("RGB", (image.width + 6, image.height + 4))
    framed.paste(image, (3, 2))
    framed.save(tmp_path / "card.png")
    embedding = read_embedding(tmp_path / "card.png")
    assert embedding is not None
    assert embedding.name == "inside"
    assert embedding.vectors["any"].tolist() == VECTORS


def test_the_mask_is_a1111s() -> None:
    state, expected = 0, []
    for _ in range(500):
        state = (1664525 * state + 1013904223) % 2**32
        expected.append(state % 255 & 0x0F)
    assert masking_row(500).tolist() == expected


def test_pictures_without_an_embedding_are_previews(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "plain.png")
    assert read_embedding(tmp_path / "plain.png") is None
    striped = np.full((16, 24, 3), 201, dtype=np.uint8)
    striped[:, 5] = striped[:, 18] = 0
    Image.fromarray(striped).save(tmp_path / "striped.png")
    assert read_embedding(tmp_path / "striped.png") is None
    bomb = with_borders(zlib.compress(b" " * 40_000_000), np.full((64, 8, 3), 201, np.uint8))
    bomb.save(tmp_path / "bomb.png")
    assert read_embedding(tmp_path / "bomb.png") is None
    (tmp_path / "a.preview.png").write_bytes(b"never read")
    assert read_embedding(tmp_path / "a.preview.png") is None


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def test_what_is_no_embedding_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"string_to_param": _Evil()}, protocol=2))
    torch.save([1, 2], tmp_path / "list.pt")
    save_file({"a": torch.ones(2), "b": torch.ones(2)}, tmp_path / "two.safetensors")
    save_file({"emb_params": torch.ones(76, 2)}, tmp_path / "long.safetensors")
    halves = {"clip_l": torch.ones(1, 3), "clip_g": torch.ones(2, 5)}
    save_file(halves, tmp_path / "halves.safetensors")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    for name in ("evil.pt", "list.pt", "two.safetensors", "long.safetensors",
                 "halves.safetensors", "broken.png"):  # fmt: skip
        with pytest.raises(UnsupportedModel, match=name):
            read_embedding(tmp_path / name)
    assert not (tmp_path / "ran").exists()
