"""The OpenAPI document: valid, and no request that it allows makes Easel fail."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from tests.api.conftest import client_of
from webui.api.app import create_app
from webui.flags import Flags
from webui.paths import make_paths
from webui.services import Services, build

EXAMPLES = 4
SKIPPED = ("/events",)
"""Streams that do not end by themselves."""


def test_the_document_is_valid(app: FastAPI) -> None:
    document = app.openapi()
    validate(document)
    names = [o["operationId"] for m in document["paths"].values() for o in m.values()]
    assert len(names) == len(set(names))


@pytest.fixture(scope="module")
def quiet(tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An Easel of its own that takes jobs but runs none, so that nothing waits for pictures."""
    del tiny_checkpoints
    built = build(Flags(device="cpu"), make_paths(tmp_path_factory.mktemp("quiet")))
    yield built
    built.queue.close()
    built._index.close()


def test_no_request_makes_it_fail(quiet: Services) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis
        from hypothesis import HealthCheck, Phase, given, settings
    app = create_app(quiet)
    schema = schemathesis.openapi.from_dict(app.openapi())
    client = client_of(app)
    waits = ("/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/sdapi/v1/reload-checkpoint")
    asked = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        if operation.path.endswith(SKIPPED) or operation.path in waits:
            continue

        def ask(case: Any) -> None:
            nonlocal asked
            answer = send(client, case)
            assert answer.status_code < 500 or answer.status_code == 501, case.formatted_path
            asked += 1

        run = given(case=operation.as_strategy())(ask)
        settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(run)()
    assert asked > 100


def send(client: TestClient, case: Any) -> Any:
    sent = case.as_transport_kwargs(base_url=str(client.base_url))
    kept = {k: v for k, v in sent.items() if k in ("method", "url", "params", "json")}
    if isinstance(sent.get("data"), str | bytes):
        kept["content"] = sent["data"]
    headers = {k: v for k, v in sent["headers"].items() if k.lower() == "content-type"}
    return client.request(**kept, headers=headers)


def test_a_job_is_found_by_its_id_after_a_restart(tiny_checkpoints: Path, tmp_path: Path) -> None:
    del tiny_checkpoints
    body = {"prompt": "a cat", "width": 64, "height": 64}
    ids = []
    for _ in range(2):
        built = build(Flags(device="cpu"), make_paths(tmp_path))
        client = client_of(create_app(built))
        answer = client.post("/api/v1/jobs", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "queued" and answer.json()["position"] == 1
        ids.append(answer.json()["id"])
        assert [one["id"] for one in client.get("/api/v1/jobs").json()] == [ids[0]]
        built.queue.close()
        built._index.close()
    assert ids[0] == ids[1]


def test_a_full_queue_says_when_to_come_again(quiet: Services) -> None:
    client = client_of(create_app(quiet))
    queue = quiet.queue
    former, queue._max_waiting_per_owner = queue._max_waiting_per_owner, 0
    answer = client.post("/api/v1/jobs", json={"prompt": "x"})
    queue._max_waiting_per_owner = former
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
