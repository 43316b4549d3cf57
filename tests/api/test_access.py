"""Every route, asked by those who may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import Mount
from starlette.testclient import TestClient

from tests.api.conftest import ORIGIN, client_of
from webui.services import Services

FOREIGN: list[dict[str, str]] = [
    {"Host": "rebind.example"},
    {"Host": "rebind.example:7860"},
    {"Host": "127.0.0.1.:7860"},
    {"Host": "192.0.2.7:7860"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8080"},
    {"Origin": "http://[::1]:7860"},
    {"Origin": "https://127.0.0.1:7861"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
]


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """(method, path) of every route and mount, path parameters filled."""
    for route in app.routes:
        path = re.sub(r"\{[^}]*\}", "0", getattr(route, "path", ""))
        if isinstance(route, Mount):
            yield "GET", f"{path}/easel.js"
            continue
        for method in getattr(route, "methods", None) or {"GET"}:
            yield method, path


def flat_routes(app: FastAPI) -> list[tuple[str, str]]:
    document = app.openapi()["paths"]
    listed = {
        (method.upper(), re.sub(r"\{[^}]*\}", "0", path))
        for path, methods in document.items()
        for method in methods
    }
    return sorted(listed | {pair for pair in routes_of(app) if pair[1]})


def test_the_list_of_routes_is_complete(app: FastAPI) -> None:
    paths = {path for _, path in flat_routes(app)}
    assert {"/sdapi/v1/txt2img", "/internal/jobs/0/images/0", "/internal/assets/easel.js"} <= paths
    assert len(paths) > 40


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_strangers_pages_are_refused_everywhere(
    client: TestClient, app: FastAPI, headers: dict[str, str]
) -> None:
    for method, path in flat_routes(app):
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == 403, (method, path)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_preflights_are_refused(client: TestClient, app: FastAPI) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for _, path in flat_routes(app):
        assert client.options(path, headers=headers).status_code == 403


def test_own_page_is_let_in(client: TestClient) -> None:
    own = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
    assert client.get("/internal/status", headers=own).status_code == 200
    assert client.get("/internal/status", headers={"Host": "localhost:7860"}).status_code == 200


def test_forms_of_other_sites_change_nothing(client: TestClient, services: Services) -> None:
    before = services.settings.current
    kinds: list[dict[str, Any]] = [
        {"data": {"jpeg_quality": "1"}},
        {"files": {"file": b"x"}},
        {"content": '{"jpeg_quality": 1}', "headers": {"Content-Type": "text/plain"}},
        {"json": {"jpeg_quality": 1}},
    ]
    for kind in kinds:
        headers = {"Origin": "http://evil.example", **kind.pop("headers", {})}
        answer = client.post("/sdapi/v1/options", headers=headers, **kind)
        assert answer.status_code == 403
    assert services.settings.current == before


def test_without_identity_nothing_but_the_public_paths(shared_app: FastAPI) -> None:
    nobody = client_of(shared_app)
    public = {("GET", "/internal/ping"), ("GET", "/login")}
    for method, path in flat_routes(shared_app):
        if (method, path) == ("POST", "/login"):  # public too; says that nothing was sent
            assert nobody.post(path).status_code in (404, 422)
            continue
        answer = nobody.request(method, path)
        expected = 200 if (method, path) in public else 401
        assert answer.status_code == expected, (method, path)


def test_every_answer_bears_the_security_headers(client: TestClient) -> None:
    for path in ("/sdapi/v1/options", "/nosuch", "/internal/assets/easel.js", "/openapi.json"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        assert "default-src 'none'" in headers["content-security-policy"], path


def test_a_body_without_end_is_refused(client: TestClient) -> None:
    answer = client.post("/internal/pictures", headers={"Content-Length": "999999999999"})
    assert answer.status_code == 413
    assert "at most" in answer.json()["errors"]


def test_unknown_paths_answer_in_the_same_shape(client: TestClient) -> None:
    answer = client.get("/sdapi/v1/nosuch")
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "detail", "body", "errors", "field"}
