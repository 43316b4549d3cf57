"""Extensions over HTTP: listed, switched by administrators alone, their units in A1111's bodies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from tests.api.conftest import TINY, client_of, decoded, encoded, txt2img
from webui.services import Services

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
INSTALLED = ("dynamic-thresholding", "light-control")


@pytest.fixture(scope="module", autouse=True)
def installed(services: Services) -> Iterator[None]:
    """Two examples and a broken one, for these tests alone."""
    root = services.paths.data / "extensions"
    for name in INSTALLED:
        shutil.copytree(EXAMPLES / name, root / name)
    (root / "broken").mkdir()
    (root / "broken" / "extension.toml").write_text("schema = 1\n")
    services.extensions.load()
    yield
    shutil.rmtree(root)
    services.extensions.load()


def test_all_are_listed_with_state_and_reason(client: TestClient) -> None:
    rows = {row["name"]: row for row in client.get("/sdapi/v1/extensions").json()}
    assert {name: row["enabled"] for name, row in rows.items()} == {
        "broken": False, "dynamic-thresholding": True, "light-control": True,
    }  # fmt: skip
    assert rows["light-control"]["version"] == "0.1.0"
    mine = {row["id"]: row for row in client.get("/internal/extensions").json()}
    assert mine["broken"]["state"] == "broken"
    assert "extension.toml" in mine["broken"]["reason"]
    assert mine["light-control"]["hooks"] == ["units"]
    assert mine["light-control"]["manifest"]["license"] == "Apache-2.0"


def test_units_by_label_and_name_with_pictures_as_base64(client: TestClient) -> None:
    plain = decoded(txt2img(client)["images"][0])
    control = encoded(Image.linear_gradient("L"))
    copies = [{"picture": control, "weight": 2.0}]
    by_label = txt2img(client, alwayson_scripts={"Light Control": {"args": copies}})
    by_place = txt2img(client, alwayson_scripts={"light-control": {"args": [control, 2.0]}})
    lit = decoded(by_label["images"][0])
    assert lit.tobytes() != plain.tobytes()
    assert decoded(by_place["images"][0]).tobytes() == lit.tobytes()
    assert "Light control weight: 2.0" in by_label["info"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"light-control": {"args": [{"weight": 99}]}}, "at most 4"),
        ({"light-control": {"args": [None, 1, None, 1]}}, "takes 3 values"),
        ({"nobody": {"args": [1]}}, "not found"),
    ],
)
def test_wrong_units_are_refused(client: TestClient, script: dict[str, object], words: str) -> None:
    answer = client.post("/sdapi/v1/txt2img", json=TINY | {"alwayson_scripts": script})
    assert answer.status_code == 422
    assert words in answer.text


def test_only_the_administrator_switches(client: TestClient, shared_app: FastAPI) -> None:
    path = "/internal/extensions/light-control"
    with client_of(shared_app, **{"x-user": "anna"}) as anna:
        assert anna.post(f"{path}/disable").status_code == 403
    with client_of(shared_app) as nobody:
        assert nobody.get("/internal/extensions").status_code == 401
        assert nobody.post(f"{path}/disable").status_code == 401
    assert client.post(f"{path}/disable").json()["state"] == "disabled"
    body = TINY | {"alwayson_scripts": {"light-control": {"args": [{}]}}}
    assert "not found" in client.post("/sdapi/v1/txt2img", json=body).text
    assert client.post(f"{path}/enable").json()["state"] == "loaded"
    assert client.post("/internal/extensions/nobody/enable").status_code == 404
