from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.api.conftest import client_of
from webui.prompt.styles import Style
from webui.services import Services
from webui.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden" / "api"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["samplers", "schedulers", "latent-upscale-modes"])
def test_lists_are_a1111s(client: TestClient, name: str) -> None:
    assert client.get(f"/sdapi/v1/{name}").json() == golden(name)


def test_checkpoints_are_listed(client: TestClient) -> None:
    found = {one["model_name"]: one for one in client.get("/sdapi/v1/sd-models").json()}
    assert set(found["tinyA"]) == {"title", "model_name", "hash", "sha256", "filename", "config"}
    assert found["tinyA"]["filename"].endswith("tinyA.safetensors")
    assert found["tinyA"]["config"].endswith("tinyA.yaml")
    assert found["tinyA"]["title"].startswith("tinyA.safetensors")


def test_upscalers_begin_like_a1111s(client: TestClient) -> None:
    found = client.get("/sdapi/v1/upscalers").json()
    assert [one["name"] for one in found][:3] == ["None", "Lanczos", "Nearest"]
    assert set(found[0]) == {"name", "model_name", "model_path", "model_url", "scale"}


def test_styles_are_listed(client: TestClient, services: Services) -> None:
    services.styles.save("Ink", "ink drawing", "photo")
    expected = {"name": "Ink", "prompt": "ink drawing", "negative_prompt": "photo"}
    assert expected in client.get("/sdapi/v1/prompt-styles").json()
    assert services.styles.get("Ink") == Style("Ink", "ink drawing", "photo")
    services.styles.delete("Ink")


@pytest.mark.parametrize(
    "name",
    ["sd-vae", "loras", "hypernetworks", "face-restorers", "realesrgan-models", "extensions"],
)
def test_what_cannot_be_used_is_not_listed(client: TestClient, name: str) -> None:
    assert client.get(f"/sdapi/v1/{name}").json() == []


def test_embeddings_and_scripts_have_their_shape(client: TestClient) -> None:
    assert client.get("/sdapi/v1/embeddings").json() == {"loaded": {}, "skipped": {}}
    assert client.get("/sdapi/v1/scripts").json()["img2img"] == ["soft inpainting"]


@pytest.mark.parametrize("name", ["checkpoints", "vae", "embeddings", "loras"])
def test_refreshing_looks_for_files_again(client: TestClient, name: str) -> None:
    answer = client.post(f"/sdapi/v1/refresh-{name}")
    assert (answer.status_code, answer.json()) == (200, None)


def test_a_new_file_is_found_by_refreshing(client: TestClient, services: Services) -> None:
    folder = services.paths.models / "Stable-diffusion"
    copy = folder / "copy.safetensors"
    copy.write_bytes((folder / "tinyA.safetensors").read_bytes())
    try:
        client.post("/sdapi/v1/refresh-checkpoints")
        names = [one["model_name"] for one in client.get("/sdapi/v1/sd-models").json()]
        assert "copy" in names
    finally:
        copy.unlink()
        client.post("/sdapi/v1/refresh-checkpoints")


def test_memory_is_told_in_bytes(client: TestClient) -> None:
    ram = client.get("/sdapi/v1/memory").json()["ram"]
    assert ram["free"] + ram["used"] == ram["total"]
    assert ram["used"] > 50_000_000


def test_options_are_all_there(client: TestClient, services: Services) -> None:
    found = client.get("/sdapi/v1/options").json()
    assert set(found) == set(Settings.model_fields)
    assert found["sd_model_checkpoint"] == services.model_status().title


def test_options_are_changed(client: TestClient, services: Services) -> None:
    answer = client.post("/sdapi/v1/options", json={"jpeg_quality": 91, "send_seed": False})
    assert (answer.status_code, answer.json()) == (200, None)
    assert services.settings.current.jpeg_quality == 91
    assert client.get("/sdapi/v1/options").json()["send_seed"] is False
    client.post("/sdapi/v1/options", json={"jpeg_quality": 80, "send_seed": True})


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"nosuch": 1}, 422),
        ({"jpeg_quality": 0}, 422),
        ({"jpeg_quality": 50, "nosuch": 1}, 422),
        ({"sd_model_checkpoint": "nosuch"}, 404),
        ({"jpeg_quality": 50, "sd_model_checkpoint": "nosuch"}, 404),
        ([], 422),
    ],
)
def test_a_bad_change_changes_nothing(
    client: TestClient, services: Services, changes: Any, status: int
) -> None:
    before = services.settings.current
    answer = client.post("/sdapi/v1/options", json=changes)
    assert answer.status_code == status, answer.text
    assert services.settings.current == before


def test_a_checkpoint_is_chosen_by_any_of_its_names(client: TestClient, services: Services) -> None:
    client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "easel-emoji"})
    assert services.settings.current.sd_model_checkpoint.startswith("easel-emoji.safetensors")
    client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "tinyA"})
    assert services.settings.current.sd_model_checkpoint.startswith("tinyA.safetensors")


def test_what_concerns_the_installation_is_the_administrators(
    shared_app: FastAPI, services: Services
) -> None:
    user = client_of(shared_app, **{"X-User": "someone"})
    answer = user.post("/sdapi/v1/options", json={"sd_checkpoints_limit": 5})
    assert answer.status_code == 403
    assert services.settings.current.sd_checkpoints_limit == 1
    admin = client_of(shared_app, **{"X-User": "admin"})
    assert admin.post("/sdapi/v1/options", json={"sd_checkpoints_limit": 1}).status_code == 200


def test_flags_are_told(client: TestClient) -> None:
    found = client.get("/sdapi/v1/cmd-flags").json()
    assert (found["device"], found["threads"], found["listen"]) == ("cpu", 1, False)
