from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.api.conftest import TINY, decoded, encoded, post, txt2img
from webui.services import Services

GREY = Image.new("RGB", (64, 64), "gray")


def info_of(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer["info"])
    return found


def files(services: Services) -> set[Path]:
    return {path for path in services.paths.outputs.rglob("*") if path.is_file()}


def test_txt2img_answers_pictures_with_their_infotext(client: TestClient) -> None:
    answer = txt2img(client, prompt="a cat", negative_prompt="dog", batch_size=2, n_iter=2)
    pictures = [decoded(text) for text in answer["images"]]
    info = info_of(answer)
    assert [picture.size for picture in pictures] == [(64, 64)] * 4
    assert info["all_seeds"] == [5, 6, 7, 8]
    assert info["all_prompts"] == ["a cat"] * 4
    assert info["sd_model_name"] == "tinyA"
    assert (info["sampler_name"], info["steps"], info["cfg_scale"]) == ("Euler", 2, 7.0)
    assert [picture.info["parameters"] for picture in pictures] == info["infotexts"]
    assert info["infotexts"][1].startswith("a cat\nNegative prompt: dog\nSteps: 2, Sampler: Euler,")
    assert "Seed: 6" in info["infotexts"][1]
    assert info["warnings"] == []


def test_a_picture_of_a_batch_is_the_single_picture(client: TestClient) -> None:
    batch = txt2img(client, prompt="a cat", batch_size=2)["images"][1]
    single = txt2img(client, prompt="a cat", seed=6)["images"][0]
    difference = np.asarray(decoded(batch)).astype(int) - np.asarray(decoded(single))
    assert np.abs(difference).max() <= 1


def test_the_body_is_echoed_with_its_defaults(client: TestClient) -> None:
    parameters = txt2img(client, prompt="a cat")["parameters"]
    assert parameters["prompt"] == "a cat"
    assert (parameters["cfg_scale"], parameters["n_iter"]) == (7.0, 1)
    assert parameters["sampler_index"] == "Euler"


def test_without_size_the_checkpoints_own_is_used(client: TestClient, services: Services) -> None:
    own = {choice.name: choice for choice in services.checkpoints()}["easel-emoji"]
    body = {"steps": 1, "override_settings": {"sd_model_checkpoint": own.title}}
    answer = post(client, "/sdapi/v1/txt2img", **body)
    assert decoded(answer["images"][0]).size == (own.width, own.height)
    assert answer["parameters"]["width"] == own.width


def test_nothing_is_saved_unless_asked(client: TestClient, services: Services) -> None:
    before = files(services)
    txt2img(client, batch_size=2)
    assert files(services) == before
    answer = txt2img(client, batch_size=2, save_images=True)
    new = {path.parent.parent.name for path in files(services) - before}
    assert "txt2img-images" in new
    assert info_of(answer)["index_of_first_image"] == 1
    assert len(answer["images"]) == 3
    assert decoded(answer["images"][0]).size == (128, 64)


def test_send_images_false_sends_none(client: TestClient) -> None:
    answer = txt2img(client, send_images=False)
    assert answer["images"] == []
    assert len(info_of(answer)["infotexts"]) == 1


def test_img2img_keeps_what_is_not_masked(client: TestClient) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (24, 24, 40, 40))
    answer = post(
        client,
        "/sdapi/v1/img2img",
        **TINY | {"steps": 6},
        init_images=[encoded(GREY)],
        mask=encoded(mask),
        mask_blur=0,
        inpaint_full_res=False,
        denoising_strength=1.0,
    )
    picture = np.asarray(decoded(answer["images"][0]).convert("RGB")).astype(int)
    difference = np.abs(picture - np.asarray(GREY)).max(axis=2)
    assert difference[:16].max() == 0
    assert difference[26:38, 26:38].max() > 5
    assert info_of(answer)["denoising_strength"] == 1.0
    assert "Inpaint area" not in info_of(answer)["extra_generation_params"]


def test_init_images_are_echoed_only_on_request(client: TestClient) -> None:
    body: dict[str, Any] = {**TINY, "init_images": [encoded(GREY)], "denoising_strength": 0.5}
    assert post(client, "/sdapi/v1/img2img", **body)["parameters"]["init_images"] is None
    with_them = post(client, "/sdapi/v1/img2img", **body, include_init_images=True)
    assert with_them["parameters"]["init_images"] == body["init_images"]


def test_img2img_without_a_picture_is_404(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/img2img", json=TINY)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Init image not found"


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"steps": 0}, 422, "steps"),
        ({"width": 60}, 422, "width"),
        ({"width": 8192, "height": 8200}, 422, "height"),
        ({"prompt": 3}, 422, "prompt"),
        ({"override_settings": {"samples_filename_pattern": "x"}}, 422, None),
        ({"override_settings": {"emphasis": "nosuch"}}, 422, "emphasis"),
        ({"override_settings": {"sd_model_checkpoint": "nosuch"}}, 404, None),
        ({"script_name": "nosuch"}, 422, "script_name"),
    ],
)
def test_bad_requests_get_a_sentence(
    client: TestClient, fields: dict[str, Any], status: int, field: str | None
) -> None:
    answer = client.post("/sdapi/v1/txt2img", json=TINY | fields)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["errors"].endswith(".") and len(body["errors"]) < 400
    if field is not None:
        assert body["field"] == field


@pytest.mark.parametrize("picture", ["", "%%%", "data:image/png;base64,", "aGVsbG8=", "http://x/a"])
def test_bad_pictures_get_a_sentence(client: TestClient, picture: str) -> None:
    answer = client.post("/sdapi/v1/img2img", json={**TINY, "init_images": [picture]})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"].endswith(".")


def test_what_was_sent_is_not_echoed_in_errors(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={**TINY, "steps": "canary-token"})
    assert answer.status_code == 422
    assert "canary" not in answer.text


def test_what_is_unknown_is_reported(client: TestClient) -> None:
    answer = txt2img(client, nosuch=1, sampler_name="k_euler", override_settings={"other": 1})
    text = " ".join(info_of(answer)["warnings"])
    assert "nosuch" in text and "k_euler" in text and "other" in text
    assert info_of(answer)["sampler_name"] == "DPM++ 2M"


def test_settings_are_overridden_for_one_request(client: TestClient, services: Services) -> None:
    before = services.settings.current
    answer = txt2img(client, override_settings={"CLIP_stop_at_last_layers": 2})
    assert info_of(answer)["clip_skip"] == 2
    assert services.settings.current == before


def test_settings_stay_where_the_body_says_so(client: TestClient, services: Services) -> None:
    try:
        txt2img(
            client,
            override_settings={"emphasis": "No norm"},
            override_settings_restore_afterwards=False,
        )
        assert services.settings.current.emphasis == "No norm"
    finally:
        services.settings.update({"emphasis": "Original"})


def test_an_infotext_fills_the_rest(client: TestClient) -> None:
    text = (
        "a fish\nNegative prompt: fog\nSteps: 3, Sampler: DDIM, CFG scale: 2, Seed: 9, Size: 72x80"
    )
    answer = post(client, "/sdapi/v1/txt2img", infotext=text, steps=2, width=64)
    info = info_of(answer)
    assert (info["prompt"], info["seed"], info["sampler_name"]) == ("a fish", 9, "DDIM")
    assert (info["steps"], info["width"], info["height"]) == (2, 64, 80)


def test_progress_preview_and_interrupt(client: TestClient) -> None:
    answers: list[Any] = []
    body = TINY | {"steps": 500, "n_iter": 8, "force_task_id": "task(one)", "width": 128}
    work = threading.Thread(
        target=lambda: answers.append(client.post("/sdapi/v1/txt2img", json=body))
    )
    work.start()
    try:
        progress = _until(lambda: client.get("/sdapi/v1/progress").json(), _has_begun)
        state = progress["state"]
        assert (state["job"], state["job_count"], state["sampling_steps"]) == (
            "scripts_txt2img", 8, 500,
        )  # fmt: skip
        assert 0 < progress["progress"] < 1
        task = {"id_task": "task(one)"}
        own = _until(
            lambda: client.post("/internal/progress", json=task).json(),
            lambda found: found["live_preview"] is not None,
        )
        assert own["active"] and not own["completed"]
        assert own["live_preview"].startswith("data:image/")
        again = task | {"id_live_preview": own["id_live_preview"], "live_preview": False}
        assert client.post("/internal/progress", json=again).json()["live_preview"] is None
        assert (
            client.get("/sdapi/v1/progress?skip_current_image=true").json()["current_image"] is None
        )
        assert client.get("/internal/pending-tasks").json() == {"size": 0, "tasks": []}
    finally:
        assert client.post("/sdapi/v1/interrupt").json() == {}
        work.join(30)
    assert answers[0].status_code == 200
    assert len(answers[0].json()["images"]) < 8
    assert "interrupted" in " ".join(info_of(answers[0].json())["warnings"])
    assert client.post("/internal/progress", json=task).json()["completed"]


def _has_begun(progress: Any) -> bool:
    return bool(progress["state"]["sampling_step"] > 1)


def _until(ask: Any, is_so: Any) -> Any:
    """Ask until it is so."""
    for _ in range(2000):
        found = ask()
        if is_so(found):
            return found
    raise AssertionError(f"never: {found}")


def test_idle_progress_has_a1111s_shape(client: TestClient) -> None:
    golden = json.loads(
        (Path(__file__).parents[1] / "golden" / "api" / "progress.json").read_text(encoding="utf-8")
    )
    found = client.get("/sdapi/v1/progress").json()
    assert set(found) == set(golden)
    assert set(found["state"]) == set(golden["state"])
    assert (found["progress"], found["current_image"], found["state"]["job"]) == (0.0, None, "")
    assert client.post("/sdapi/v1/interrupt").status_code == 200
    assert client.post("/sdapi/v1/skip").json() is None


def test_an_unknown_task_is_neither_active_nor_completed(client: TestClient) -> None:
    found = client.post("/internal/progress", json={"id_task": "nosuch"}).json()
    assert (found["active"], found["queued"], found["completed"]) == (False, False, False)
