"""Users over HTTP: passwords, sessions, keys, and what one user must not see of another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.api.conftest import client_of
from webui.accounts import Accounts, Credential
from webui.api.app import create_app
from webui.api.auth import Passwords, name_of
from webui.services import Services

CANARY = "canary-Pa55word-77f1"
USERS = (Credential("ann", CANARY, is_admin=True), Credential("bob", "bob-password-2"))
PAGE = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}


async def mount_page(app: FastAPI) -> None:
    """Inside a running loop: elsewhere Gradio makes loops that it never closes."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        image, size = gr.Image(type="pil"), gr.Textbox()
        button = gr.Button()
        button.click(lambda picture: str(picture.size), image, size, api_name="size", queue=False)
    gr.mount_gradio_app(app, blocks, path="/", auth_dependency=name_of)


@pytest.fixture(scope="module")
def guarded(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The application with two users and a Gradio page that takes a picture."""
    former = services.accounts
    services.accounts = Accounts(USERS, tmp_path_factory.mktemp("users") / "accounts.json")
    app = create_app(services)
    asyncio.run(mount_page(app))
    yield app
    services.accounts = former


@pytest.fixture
def fresh(guarded: FastAPI, services: Services) -> FastAPI:
    """Without any failed tries yet."""
    guarded.state.passwords._throttle = Passwords(services.accounts)._throttle
    return guarded


def logged_in(app: FastAPI, name: str, password: str) -> TestClient:
    client = client_of(app)
    answer = client.post("/login", data={"username": name, "password": password})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    return client


@pytest.fixture
def ann(fresh: FastAPI) -> TestClient:
    return logged_in(fresh, "ann", CANARY)


@pytest.fixture
def bob(fresh: FastAPI) -> TestClient:
    return logged_in(fresh, "bob", "bob-password-2")


def test_the_page_leads_to_the_login_and_programs_are_refused(fresh: FastAPI) -> None:
    nobody = client_of(fresh)
    answer = nobody.get("/", headers=PAGE, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/")
    refused = nobody.get("/sdapi/v1/options")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    for path in ("/config", "/gradio_api/info", "/gradio_api/file=/etc/passwd", "/theme.css"):
        assert nobody.get(path).status_code == 401, path
    assert nobody.post("/gradio_api/upload", files={"files": b"x"}).status_code == 401


def test_a_session_is_shared_by_page_and_api(fresh: FastAPI) -> None:
    client = client_of(fresh)
    form = {"username": "bob", "password": "bob-password-2", "next": "/account"}
    answer = client.post("/login", data=form, headers=PAGE, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    assert client.get("/sdapi/v1/samplers").status_code == 200
    assert client.get("/config").json()["mode"] == "blocks"
    assert client.get("/api/v1/account").json() == {"name": "bob", "role": "user"}
    client.post("/logout")
    assert client.get("/sdapi/v1/samplers").status_code == 401


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil", "x"])
def test_the_login_leads_nowhere_else(fresh: FastAPI, target: str) -> None:
    form = {"username": "bob", "password": "bob-password-2", "next": target}
    answer = client_of(fresh).post("/login", data=form, headers=PAGE, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_basic_passwords_and_keys_are_for_programs(fresh: FastAPI, bob: TestClient) -> None:
    program = client_of(fresh)
    path = "/api/v1/account"
    assert program.get(path, auth=("ann", CANARY)).json()["role"] == "admin"
    assert program.get(path, auth=("ann", "wrong")).status_code == 401
    made = bob.post("/api/v1/account/keys", json={"label": "script"}).json()
    bearer = {"Authorization": f"Bearer {made['secret']}"}
    assert program.get(path, headers=bearer).json()["name"] == "bob"
    listed = bob.get("/api/v1/account/keys").text
    assert made["id"] in listed and made["secret"] not in listed
    assert bob.delete(f"/api/v1/account/keys/{made['id']}").status_code == 200
    assert program.get(path, headers=bearer).status_code == 401


def test_guessing_is_slowed_down_and_others_are_not_affected(fresh: FastAPI) -> None:
    client = client_of(fresh)
    codes = [client.get("/api/v1/account", auth=("bob", f"{i}")).status_code for i in range(50)]
    assert codes[0] == 401 and codes[-1] == 429
    answer = client.post("/login", data={"username": "bob", "password": "bob-password-3"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert client.get("/api/v1/account", auth=("ann", CANARY)).status_code == 200


def test_programs_that_begin_together_are_all_let_in(fresh: FastAPI, services: Services) -> None:
    services.accounts._remembered.clear()
    client = client_of(fresh)
    with ThreadPoolExecutor(12) as pool:
        ask = partial(client.get, "/api/v1/account", auth=("bob", "bob-password-2"))
        asked = [pool.submit(ask) for _ in range(12)]
        assert {one.result().status_code for one in asked} == {200}


def test_uploads_of_one_user_are_not_anothers(ann: TestClient, bob: TestClient) -> None:
    file = Path(__file__).parents[1] / "golden" / "inputs"
    content = next(file.glob("*.png")).read_bytes()
    [path] = ann.post("/gradio_api/upload", files={"files": ("a.png", content)}).json()
    assert ann.get(f"/gradio_api/file={path}").content == content
    assert bob.get(f"/gradio_api/file={path}").status_code == 404
    twisted = path.replace("/gradio/", "/gradio/../gradio/./")
    for name in (twisted, path.replace("/", "%2F")):
        assert bob.get(f"/gradio_api/file={name}").status_code in (403, 404)
    given = {"path": path, "meta": {"_type": "gradio.FileData"}}
    run = "/gradio_api/run/size"
    assert ann.post(run, json={"data": [given]}).json()["data"][0].startswith("(")
    for named in (given, given | {"path": twisted}, {"url": f"/gradio_api/file={path}"}):
        assert bob.post(run, json={"data": [named]}).status_code == 403


def test_users_may_not_change_the_installation(ann: TestClient, bob: TestClient) -> None:
    change = {"api_forbid_local_requests": False}
    assert bob.post("/sdapi/v1/options", json=change).status_code == 403
    assert bob.get("/internal/sysinfo").status_code == 403
    assert ann.get("/internal/sysinfo").status_code == 200


def test_no_answer_holds_a_secret(
    ann: TestClient, services: Services, fresh: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    token = ann.cookies.get("easel_session_7860") or ""
    secret = ann.post("/api/v1/account/keys", json={"label": "x"}).json()["secret"]
    assert len(token) > 30
    document = fresh.openapi()["paths"]
    for path, methods in document.items():
        if "get" in methods and "{" not in path and not path.endswith("/events"):
            text = ann.get(path).text
            for hidden in (CANARY, token, secret, "$argon2"):
                assert hidden not in text, path
    stored = services.accounts._file
    assert stored.stat().st_mode & 0o077 == 0
    assert all(s not in stored.read_text() for s in (CANARY, token, secret))
    assert CANARY not in caplog.text + repr(services.flags) + repr(USERS)


def test_the_pages_speak_both_languages(fresh: FastAPI) -> None:
    page = client_of(fresh).get("/login", headers={"Accept-Language": "ko-KR"}).text
    assert 'lang="ko"' in page and "비밀번호" in page
    folder = Path(create_app.__code__.co_filename).parent / "locales"
    english, korean = (json.loads((folder / f"{c}.json").read_text()) for c in ("en", "ko"))
    assert english.keys() == korean.keys()


def test_what_is_typed_into_the_address_is_escaped(fresh: FastAPI) -> None:
    page = client_of(fresh).get("/login", params={"next": '/"><script>alert(1)</script>'}).text
    assert "<script>alert" not in page
