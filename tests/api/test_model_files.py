"""Cards, previews and notes of model files over HTTP."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from PIL import Image
from safetensors.torch import save_file
from starlette.testclient import TestClient

from tests.api.conftest import client_of
from webui.model_manager.kinds import LORA
from webui.services import Services

pytestmark = pytest.mark.usefixtures("loras")
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def loras(services: Services) -> Iterator[Path]:
    folder = services.library.folders(LORA)[0]
    for name in ("style/cat.safetensors", "style/ink/dog10.safetensors", "dog2.safetensors"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"ss_output_name": HOSTILE, "ssmd_cover_images": "x" * 1000}
        save_file({"x": torch.ones(1)}, path, metadata)
    (folder / ".old").mkdir()
    (folder / ".old" / "dogs.pt").write_bytes(b"x")
    (folder / "gone.pt").symlink_to(folder / "nowhere.pt")
    (folder / "dog2.txt").write_text("Paints like Rembrandt.")
    Image.new("RGB", (800, 400), "red").save(folder / "style" / "cat.preview.png")
    (folder / "style" / "ink" / "dog10.png").write_text("<script>alert(1)</script>")
    services.library.catalog("lora").refresh()
    yield folder


def found(client: TestClient, **query: Any) -> list[str]:
    answer = client.get("/internal/models/lora", params=query)
    assert answer.status_code == 200, answer.text
    return [card["name"] for card in answer.json()["cards"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["dog2.safetensors", "style/cat.safetensors", "style/ink/dog10.safetensors"]),
        ({"text": "DOG"}, ["dog2.safetensors", "style/ink/dog10.safetensors"]),
        ({"text": "dogs"}, [".old/dogs.pt"]),
        ({"text": "rembrandt"}, ["dog2.safetensors"]),
        ({"folder": "style"}, ["style/cat.safetensors", "style/ink/dog10.safetensors"]),
        ({"folder": "sty"}, []),
        (
            {"sort": "name", "descending": True},
            ["dog2.safetensors", "style/ink/dog10.safetensors", "style/cat.safetensors"],
        ),
        ({"offset": 1, "limit": 1}, ["style/cat.safetensors"]),
    ],
)
def test_cards_are_searched_sorted_and_paged(
    query: dict[str, Any], expected: list[str], client: TestClient
) -> None:
    assert found(client, **query) == expected


def test_a_page_tells_folders_and_what_cannot_be_used(client: TestClient) -> None:
    body = client.get("/internal/models/lora", params={"limit": 1}).json()
    assert body["total"] == 3
    assert body["folders"] == ["style", "style/ink"]
    assert body["problems"] == [{"name": "gone.pt", "reason": "a link to a file that is gone"}]


def test_a_hash_finds_its_file(client: TestClient, services: Services) -> None:
    catalog = services.library.catalog("lora")
    hashes = catalog.hashed(catalog.named("dog2.safetensors")).hashes
    assert hashes is not None
    assert "dog2.safetensors" in found(client, text=hashes.addnet[:12])
    assert found(client, text=hashes.sha256[:10])[0] == "dog2.safetensors"


def test_a_preview_is_a_small_webp_whatever_lies_there(client: TestClient) -> None:
    answer = client.get("/internal/models/lora/preview", params={"name": "style/cat.safetensors"})
    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size == (512, 256)
    page = {"name": "style/ink/dog10.safetensors"}
    assert client.get("/internal/models/lora/preview", params=page).status_code == 404


def test_details_are_text_and_nothing_else(client: TestClient) -> None:
    answer = client.get("/internal/models/lora/details", params={"name": "dog2.safetensors"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["metadata"] == {"ss_output_name": HOSTILE}
    assert answer.json()["description"] == "Paints like Rembrandt."


def test_notes_are_kept_beside_the_file_with_what_others_wrote(
    client: TestClient, loras: Path
) -> None:
    path = loras / "style" / "cat.json"
    path.write_text(json.dumps({"civitai": 5, "preferred weight": "broken"}))
    name = {"name": "style/cat.safetensors"}
    body = {"activation_text": "a cat", "preferred_weight": 0.7, "negative_text": "dog"}
    answer = client.put("/internal/models/lora/notes", params=name, json=body)
    assert answer.status_code == 200, answer.text
    stored = json.loads(path.read_text())
    assert (stored["civitai"], stored["activation text"]) == (5, "a cat")
    card = next(
        card
        for card in client.get("/internal/models/lora").json()["cards"]
        if card["name"] == name["name"]
    )
    assert (card["preferred_weight"], card["negative_text"]) == (0.7, "dog")


@pytest.mark.parametrize("name", ["../cat.safetensors", "/etc/passwd", "a\0b", "cat", ""])
def test_a_name_is_never_a_path(name: str, client: TestClient) -> None:
    for route in ("preview", "details"):
        answer = client.get(f"/internal/models/lora/{route}", params={"name": name})
        assert answer.status_code == 404, route
    answer = client.put("/internal/models/lora/notes", params={"name": name}, json={})
    assert answer.status_code == 404


def test_only_the_administrator_writes_notes(shared_app: FastAPI, loras: Path) -> None:
    with client_of(shared_app, **{"x-user": "bob"}) as bob:
        name = {"name": "dog2.safetensors"}
        answer = bob.put("/internal/models/lora/notes", params=name, json={"notes": "bob was here"})
    assert answer.status_code == 403
    assert not (loras / "dog2.json").exists()
