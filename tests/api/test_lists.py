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
    ["sd-vae", "loras", "hypernetworks", "face-restorers", "extensions"],
)
def test_what_cannot_be_used_is_not_listed(client: TestClient, name: str) -> None:
    assert client.get(f"/sdapi/v1/{name}").json() == []


def test_embeddings_and_scripts_have_their_shape(client: TestClient) -> None:
    assert client.get("/sdapi/v1/embeddings").json() == {"loaded": {}, "skipped": {}}
    assert "soft inpainting" in client.get("/sdapi/v1/scripts").json()["img2img"]


def test_always_on_scripts_have_a1111s_arguments(client: TestClient) -> None:
    found = {(s["name"], s["is_img2img"]): s for s in client.get("/sdapi/v1/script-info").json()}
    expected = {
        (s["name"], s["is_img2img"]): s
        for s in golden("script-info")
        if s["is_alwayson"] and s["name"] != "Hypertile"
    }
    assert set(found) == set(expected)
    for key, script in expected.items():
        if key[0] == "refiner":  # lists the checkpoints that there are
            script["args"][1]["choices"] = found[key]["args"][1]["choices"]
            assert any("tinyA" in title for title in script["args"][1]["choices"])
        assert found[key] == script


def test_a1111s_other_settings_are_kept_and_sent_back(
    client: TestClient, services: Services
) -> None:
    everything = client.get("/sdapi/v1/options").json()
    assert client.post("/sdapi/v1/options", json=everything).status_code == 200
    client.post("/sdapi/v1/options", json={"compact_prompt_box": True})
    assert client.get("/sdapi/v1/options").json()["compact_prompt_box"] is True
    assert '"compact_prompt_box": true' in services.paths.config.read_text()


def test_a_model_is_unloaded_and_loaded_again(client: TestClient, services: Services) -> None:
    assert client.post("/sdapi/v1/unload-checkpoint").json() == {}
    assert services.loaded_models() == 0
    assert client.post("/sdapi/v1/reload-checkpoint").json() == {}
    assert services.loaded_models() == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("interrogate", {"image": "x", "model": "nosuch"}, 404),
        ("interrogate", {}, 404),
        ("interrogate", {"image": "x"}, 501),
        ("create/embedding", {"name": "x"}, 501),
        ("train/hypernetwork", {"name": "x"}, 501),
        ("train/nosuch", {}, 422),
        ("server-stop", {}, 404),
        ("server-restart", {}, 404),
    ],
)
def test_what_is_not_there_says_so(
    client: TestClient, path: str, body: dict[str, Any], status: int
) -> None:
    answer = client.post(f"/sdapi/v1/{path}", json=body)
    assert answer.status_code == status
    assert answer.json()["errors"]


def test_the_documentation_names_every_route(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page.text
    assert "http" not in page.text.replace("http address", "")
    assert float(page.headers["x-process-time"]) > 0


def test_facts_for_reports(client: TestClient) -> None:
    assert client.get("/internal/sysinfo").json()["CommandLine"]["device"] == "cpu"
    hints = client.get("/internal/quicksettings-hint").json()
    assert {"name": "jpeg_quality", "label": "jpeg_quality"} in hints
    assert client.get("/internal/profile-startup").json()["total"] > 0


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
    assert set(found) >= set(Settings.model_fields)
    assert found["token_merging_ratio"] == 0.0
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
    client: TestClient, shared_app: FastAPI, services: Services
) -> None:
    user = client_of(shared_app, **{"X-User": "someone"})
    answer = user.post("/sdapi/v1/options", json={"sd_checkpoints_limit": 5})
    assert answer.status_code == 403
    assert services.settings.current.sd_checkpoints_limit == 1
    for key in ("compact_prompt_box", "api_forbid_local_requests"):
        other = client.get("/sdapi/v1/options").json()[key] is False
        assert user.post("/sdapi/v1/options", json={key: other}).status_code == 403
    admin = client_of(shared_app, **{"X-User": "admin"})
    assert admin.post("/sdapi/v1/options", json={"sd_checkpoints_limit": 1}).status_code == 200


def test_flags_are_told(client: TestClient) -> None:
    found = client.get("/sdapi/v1/cmd-flags").json()
    assert (found["device"], found["threads"], found["listen"]) == ("cpu", 1, False)
    assert (found["xformers"], found["api"]) == (False, True)
