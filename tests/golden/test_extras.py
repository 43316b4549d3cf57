"""Pictures of A1111's Extras, replayed through the HTTP API: the same pixels, the same words."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from starlette.testclient import TestClient

from tools.parity import GOLDEN, easel
from webui.paths import PROGRAM

CASES = sorted((GOLDEN / "extras").glob("*init*.json"))


@pytest.fixture(scope="module")
def client(
    tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    networks = tmp_path_factory.mktemp("networks")
    (networks / "upscalers").mkdir()
    shutil.copy(GOLDEN / "extras" / "tinyesrgan_x4.pth", networks / "upscalers")
    with easel(tiny_checkpoints, None, networks) as running:
        yield running


def _sent(record: dict[str, Any]) -> dict[str, Any]:
    picture = (GOLDEN / "inputs" / record["request"]["image"][1:]).read_bytes()
    return {**record["request"], "image": base64.b64encode(picture).decode()}


def _read(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def _opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_picture_and_words_are_a1111s(client: TestClient, case: Path) -> None:
    record = json.loads(case.read_text(encoding="utf-8"))
    answer = client.post(record["endpoint"], json=_sent(record))
    if "error" in record:
        assert answer.status_code == 422
        assert "nosuch" in answer.text
        return
    body = answer.json()
    assert body["html_info"] == record["html_info"]
    ours, theirs = _opened(body["image"]), _read(case.with_suffix(".png"))
    assert (ours.size, ours.mode) == (theirs.size, theirs.mode)
    difference = np.asarray(ours, dtype=int) - np.asarray(theirs, dtype=int)
    assert np.abs(difference).max() <= 1
    said = record["html_info"].removeprefix("<p>").removesuffix("</p>")
    assert ours.info.get("extras", "") == ours.info.get("postprocessing", "") == said


def test_hires_fix_uses_the_same_upscalers(client: TestClient) -> None:
    request = {
        "prompt": "a",
        "steps": 2,
        "seed": 5,
        "width": 64,
        "height": 64,
        "enable_hr": True,
        "hr_scale": 1.5,
        "denoising_strength": 0.4,
    }
    made = {}
    for upscaler in ("tinyesrgan_x4", "Lanczos"):
        body = client.post("/sdapi/v1/txt2img", json={**request, "hr_upscaler": upscaler}).json()
        made[upscaler] = _opened(body["images"][0])
        assert made[upscaler].size == (96, 96)
        assert f"Hires upscaler: {upscaler}" in made[upscaler].info["parameters"]
    ours, filtered = (np.asarray(image, dtype=int) for image in made.values())
    assert np.abs(ours - filtered).max() > 5


def test_original_infotext_is_kept_in_a_batch(client: TestClient) -> None:
    said = "a red cat\nSteps: 3, Seed: 7"
    first = client.post(
        "/sdapi/v1/txt2img", json={"prompt": "a", "steps": 1, "width": 64, "height": 64}
    ).json()
    own = _opened(first["images"][0]).info["parameters"]
    files = [{"data": first["images"][0], "name": "one.png"}, {"data": _named(said), "name": "2"}]
    request = {"imageList": files, "upscaler_1": "Nearest", "upscaling_resize": 2}
    body = client.post("/sdapi/v1/extra-batch-images", json=request).json()
    one, two = (_opened(text) for text in body["images"])
    assert (one.size, one.info["parameters"]) == ((128, 128), own)
    assert (two.size, two.info["parameters"]) == ((32, 16), said)
    assert two.info["extras"] == "Postprocess upscale by: 2.0, Postprocess upscaler: Nearest"


def _named(infotext: str) -> str:
    info, out = PngInfo(), io.BytesIO()
    info.add_text("parameters", infotext)
    Image.new("RGB", (16, 8), "red").save(out, "PNG", pnginfo=info)
    return base64.b64encode(out.getvalue()).decode()


def test_lists_name_the_shipped_and_the_users_files(client: TestClient) -> None:
    rows = {row["name"]: row for row in client.get("/sdapi/v1/upscalers").json()}
    shipped = ["realesr-animevideov3", "realesrgan-x4plus-anime"]
    assert list(rows) == ["None", "Lanczos", "Nearest", *shipped, "tinyesrgan_x4"]
    path = PROGRAM / "models" / "upscalers" / "realesr-animevideov3.safetensors"
    assert rows["realesr-animevideov3"]["model_path"] == str(path)
    names = [row["name"] for row in client.get("/sdapi/v1/realesrgan-models").json()]
    assert names == shipped


def test_shipped_upscaler_restores_a_drawing(client: TestClient) -> None:
    original = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(original)
    draw.ellipse((30, 40, 220, 230), "gold", "black", 6)
    draw.line((10, 240, 245, 20), "navy", 5)
    small, out = original.resize((64, 64), Image.Resampling.BOX), io.BytesIO()
    small.save(out, "PNG")
    request = {
        "image": base64.b64encode(out.getvalue()).decode(),
        "upscaler_1": "realesr-animevideov3",
        "upscaling_resize": 4,
    }
    ours = _opened(client.post("/sdapi/v1/extra-single-image", json=request).json()["image"])
    assert ours.size == (256, 256)
    theirs = small.resize((256, 256), Image.Resampling.NEAREST)
    wanted = np.asarray(original, dtype=float)

    def error(image: Image.Image) -> float:
        return float(((np.asarray(image, dtype=float) - wanted) ** 2).mean())

    assert error(ours) < error(theirs) / 2
