from __future__ import annotations

import base64
import io
import zlib
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from starlette.testclient import TestClient

from tests.api.conftest import encoded, post
from webui.services import Services

GOLDEN = Path(__file__).parents[1] / "golden"
TEXT = "a cat\nSteps: 3, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64"


def png(**texts: str) -> bytes:
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    Image.new("RGB", (8, 8)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def test_status_names_model_and_queue(client: TestClient, services: Services) -> None:
    found = client.get("/internal/status").json()
    assert found["model"]["title"] == services.model_status().title
    assert found["model"]["state"] in ("loading", "ready")
    assert found["queue"] == {"waiting": 0, "running": 0}
    assert found["jobs"] == []
    assert client.get("/internal/ping").json() == {}


def test_tokens_are_counted(client: TestClient) -> None:
    body = {"prompt": "a red apple", "styles": [], "steps": 20, "negative": False}
    assert post(client, "/internal/token-count", **body) == {"used": 3, "limit": 75}
    long = body | {"prompt": ", ".join(["apple"] * 60)}
    assert post(client, "/internal/token-count", **long) == {"used": 119, "limit": 150}


def test_picture_info(client: TestClient) -> None:
    content = png(parameters=TEXT, other="<b>x</b>")
    found = client.post("/internal/picture-info", content=content).json()
    assert found["infotext"] == TEXT
    assert ["other", "<b>x</b>"] in found["items"]
    assert client.post("/internal/picture-info", content=png()).json()["infotext"] == ""


@pytest.mark.parametrize("path", ["/internal/picture-info", "/internal/pictures"])
@pytest.mark.parametrize("content", [b"", b"hello", b"<svg onload=alert(1)>", png()[:40]])
def test_what_is_no_picture_is_refused(client: TestClient, path: str, content: bytes) -> None:
    answer = client.post(path, content=content)
    assert answer.status_code == 422
    assert answer.json()["errors"].endswith(".")


def test_a_huge_picture_is_refused_unread(client: TestClient) -> None:
    header = png()
    size = (50_000).to_bytes(4, "big") * 2
    chunk = b"IHDR" + size + header[24:29]
    bomb = header[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[33:]
    answer = client.post("/internal/pictures", content=bomb)
    assert answer.status_code == 422
    assert "50000 x 50000" in answer.json()["errors"]


def test_an_uploaded_picture_gets_a_name(client: TestClient, services: Services) -> None:
    content = png()
    name = client.post("/internal/pictures", content=content).json()["picture"]
    assert services.pictures.read(name) == content


def test_png_info_reads_a1111s_pictures(client: TestClient) -> None:
    picture = Image.new("RGB", (8, 8))
    nothing = post(client, "/sdapi/v1/png-info", image=encoded(picture))
    assert nothing["info"] == "" and nothing["items"] == {}
    found = post(
        client, "/sdapi/v1/png-info", image=base64.b64encode(png(parameters=TEXT)).decode()
    )
    assert found["info"] == TEXT
    assert found["parameters"]["Prompt"] == "a cat"
    assert (found["parameters"]["Size-1"], found["parameters"]["Seed"]) == ("64", "1")


def test_the_pages_files_are_served_anew(client: TestClient) -> None:
    answer = client.get("/internal/assets/easel.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    again = client.get(
        "/internal/assets/easel.js", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304
    for path in ("../app.py", "%2e%2e/app.py", "..%2fapp.py", "nosuch.js"):
        assert client.get(f"/internal/assets/{path}").status_code in (404, 405)
