"""The checkpoint merger over HTTP, on real files."""

from __future__ import annotations

import time
from typing import Any

from starlette.testclient import TestClient

from tests.api.conftest import client_of, post
from webui.services import Services


def finished(client: TestClient, job_id: str) -> Any:
    while True:
        job = next(one for one in client.get("/internal/jobs").json() if one["id"] == job_id)
        if job["state"] in ("done", "failed", "interrupted"):
            return job
        time.sleep(0.05)


def test_a_merge_runs_in_the_queue_and_its_result_is_listed(
    client: TestClient, services: Services
) -> None:
    body = {"primary": "tinyA", "interpolation": "No interpolation", "custom_name": "halved"}
    job = post(client, "/internal/merge", save_as_half=True, **body)
    assert finished(client, job["id"])["state"] == "done"
    found = [model["model_name"] for model in client.get("/sdapi/v1/sd-models").json()]
    made = services.library.catalog("checkpoint").named("halved.safetensors")
    try:
        assert "halved" in found
        assert made.hashes is not None
    finally:
        made.path.unlink()
        made.path.with_suffix(".yaml").unlink()
        services.refresh_models()


def test_a_merge_without_its_files_is_refused(client: TestClient) -> None:
    answer = client.post("/internal/merge", json={"primary": "tinyA"})
    assert answer.status_code == 422
    assert "Choose the checkpoint B." in answer.text
    answer = client.post("/internal/merge", json={"primary": "tinyA", "secondary": "../gone"})
    assert answer.status_code == 404


def test_only_the_administrator_merges(shared_app: Any) -> None:
    with client_of(shared_app, **{"x-user": "bob"}) as bob:
        answer = bob.post("/internal/merge", json={"primary": "tinyA", "secondary": "tinyA"})
    assert answer.status_code == 403
