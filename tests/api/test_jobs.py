from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from tests.api.conftest import client_of, txt2img
from webui.services import OWNER_LOCAL, Services


@pytest.fixture(scope="module")
def job(client: TestClient) -> Any:
    """A finished job of two pictures, as the list shows it."""
    txt2img(client, prompt="a cat", batch_size=2, save_images=True, force_task_id="txt2img-x")
    return client.get("/internal/jobs").json()[0]


def story(client: TestClient, path: str, **headers: str) -> list[tuple[str, int | None, Any]]:
    """Read a stream that ends: (kind, number, data) of every event."""
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = answer.read().decode()
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in lines:
            number = int(lines["id"]) if "id" in lines else None
            found.append((lines["event"], number, json.loads(lines["data"])))
    return found


def test_own_jobs_are_listed_newest_first(client: TestClient, job: Any) -> None:
    assert (job["alias"], job["state"], job["error"]) == ("txt2img-x", "done", None)
    times = [one["created"] for one in client.get("/internal/jobs?limit=10").json()]
    assert times == sorted(times, reverse=True)
    assert client.get("/internal/jobs?state=running").json() == []
    assert client.get("/internal/jobs?limit=0").status_code == 422


def test_a_job_is_found_by_either_name(client: TestClient, job: Any) -> None:
    by_alias = client.get("/internal/jobs/txt2img-x").json()
    assert by_alias == client.get(f"/internal/jobs/{job['id']}").json()
    assert by_alias["progress"] is None
    kinds = [image["kind"] for image in by_alias["images"]]
    assert kinds.count("image") == 2
    assert by_alias["images"][0]["infotext"].startswith("a cat\n")


def test_the_story_is_told_from_the_beginning_or_from_where_one_was(
    client: TestClient, job: Any
) -> None:
    whole = story(client, f"/internal/jobs/{job['id']}/events")
    kinds = [kind for kind, _, _ in whole]
    assert kinds[0] == "queued" and kinds[-1] == "done"
    images = [data for kind, _, data in whole if kind == "image"]
    assert [(one["index"], one["kind"], one["seed"]) for one in images][:2] == [
        (0, "image", 5),
        (1, "image", 6),
    ]
    middle = whole[2][1]
    rest = story(client, f"/internal/jobs/{job['id']}/events", **{"Last-Event-ID": str(middle)})
    assert rest == whole[3:]


def test_a_picture_is_its_file(client: TestClient, job: Any) -> None:
    answer = client.get(f"/internal/jobs/{job['id']}/images/1")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-disposition"].startswith("inline; filename=")
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert "Seed: 6" in picture.info["parameters"]


def test_a_thumbnail_is_small_and_says_nothing(client: TestClient, job: Any) -> None:
    answer = client.get(f"/internal/jobs/{job['id']}/images/0?thumb=32")
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (32, 32)
        assert "parameters" not in picture.info and "exif" not in picture.info
    assert client.get(f"/internal/jobs/{job['id']}/images/0?thumb=5000").status_code == 422


def test_chosen_pictures_are_saved_with_a_log(
    client: TestClient, job: Any, services: Services
) -> None:
    saved = client.post(f"/internal/jobs/{job['id']}/save", json={"indexes": [0, 1]}).json()
    for name in saved["files"]:
        assert (services.paths.log_images / name).is_file()
    log = (services.paths.log_images / "log.csv").read_text(encoding="utf-8")
    assert saved["files"][1] in log and "a cat" in log


def test_pictures_are_zipped(client: TestClient, job: Any) -> None:
    answer = client.get(f"/internal/jobs/{job['id']}/zip?indexes=1,0")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert len(packed.namelist()) == 2
        assert packed.read(packed.namelist()[0]).startswith(b"\x89PNG")
    for bad in ("", "x", "1;2", "-1", "1," * 2000):
        answer = client.get(f"/internal/jobs/{job['id']}/zip", params={"indexes": bad})
        assert answer.status_code == 422, bad


def test_a_deleted_picture_is_gone(client: TestClient) -> None:
    txt2img(client, force_task_id="to-delete", save_images=True)
    path = "/internal/jobs/to-delete/images/0"
    assert client.get(path).status_code == 200
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404
    events = story(client, "/internal/jobs/to-delete/events")
    assert [data["is_gone"] for kind, _, data in events if kind == "image"] == [True]


def test_a_finished_job_cannot_be_stopped(client: TestClient, job: Any) -> None:
    for path in ("cancel", "skip", "interrupt?when=after", "interrupt", "release"):
        assert client.post(f"/internal/jobs/{job['id']}/{path}").json()["state"] == "done"
    assert client.delete(f"/internal/jobs/{job['id']}").json()["state"] == "done"
    assert client.post(f"/internal/jobs/{job['id']}/interrupt?when=soon").status_code == 422
    assert client.get(f"/internal/jobs/{job['id']}/preview").status_code == 204


PER_JOB = [
    ("GET", ""),
    ("GET", "/events"),
    ("GET", "/preview"),
    ("GET", "/images/0"),
    ("GET", "/images/0?thumb=32"),
    ("DELETE", "/images/0"),
    ("POST", "/interrupt"),
    ("POST", "/skip"),
    ("POST", "/cancel"),
    ("POST", "/release"),
    ("DELETE", ""),
    ("POST", "/save"),
    ("GET", "/zip?indexes=0"),
]


@pytest.mark.parametrize(("method", "path"), PER_JOB)
def test_another_users_job_does_not_exist(
    shared_app: FastAPI, job: Any, method: str, path: str
) -> None:
    other = client_of(shared_app, **{"X-User": "mallory"})
    body = {"indexes": [0]} if path == "/save" else None
    answer = other.request(method, f"/internal/jobs/{job['id']}{path}", json=body)
    assert answer.status_code == 404
    assert "a cat" not in answer.text
    assert other.get("/internal/jobs").json() == []
    task = other.post("/internal/progress", json={"id_task": job["id"]}).json()
    assert not task["completed"]
    owner = client_of(shared_app, **{"X-User": OWNER_LOCAL})
    assert owner.get(f"/internal/jobs/{job['id']}/images/0").status_code == 200


def test_there_is_no_job_without_a_name(client: TestClient) -> None:
    for name in ("nosuch", "%2e%2e", "a" * 5000):
        assert client.get(f"/internal/jobs/{name}").status_code == 404
