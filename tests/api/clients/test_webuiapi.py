"""PyPI's `webuiapi`, as its users call it; what it gets is what a direct request gets."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops

from tests.api.conftest import decoded

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import webuiapi  # type: ignore[import-untyped]

TINY = {"width": 64, "height": 64, "steps": 2, "seed": 5, "sampler_name": "Euler"}


@pytest.fixture(scope="module")
def api(port: int) -> Iterator[Any]:
    made = webuiapi.WebUIApi(host="127.0.0.1", port=port)
    yield made
    made.session.close()


@pytest.fixture(scope="module")
def direct(port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/sdapi/v1", timeout=60) as client:
        yield client


def same(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox() is None


def test_txt2img(api: Any, direct: httpx.Client) -> None:
    got = api.txt2img(prompt="a cat", cfg_scale=5, batch_size=2, **TINY)
    body = TINY | {"prompt": "a cat", "cfg_scale": 5, "batch_size": 2}
    expected = direct.post("/txt2img", json=body).json()
    assert len(got.images) == len(expected["images"]) == 2
    assert all(same(a, decoded(b)) for a, b in zip(got.images, expected["images"], strict=True))
    assert got.info["all_seeds"] == [5, 6]
    assert got.image.info["parameters"].startswith("a cat\n")


def test_hires(api: Any) -> None:
    got = api.txt2img(
        prompt="a cat", enable_hr=True, hr_scale=2, hr_upscaler=webuiapi.HiResUpscaler.Latent,
        hr_second_pass_steps=1, denoising_strength=0.6, **TINY,
    )  # fmt: skip
    assert got.image.size == (128, 128)


def test_img2img_and_inpainting(api: Any) -> None:
    picture = Image.new("RGB", (64, 64), "red")
    got = api.img2img(images=[picture], prompt="a cat", denoising_strength=0.5, **TINY)
    assert got.image.size == (64, 64) and not same(got.image, picture)
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (32, 0, 64, 64))
    painted = api.img2img(
        images=[picture], mask_image=mask, mask_blur=0, inpaint_full_res=False,
        denoising_strength=0.9, prompt="a cat", **TINY,
    )  # fmt: skip
    assert same(painted.image.crop((0, 0, 32, 64)), picture.crop((0, 0, 32, 64)))


def test_the_requests_run_in_threads(api: Any) -> None:
    async def both() -> list[Any]:
        made = [api.txt2img(prompt=p, use_async=True, **TINY) for p in ("a cat", "a dog")]
        return list(await asyncio.gather(*made))

    first, second = asyncio.run(both())
    assert not same(first.image, second.image)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get_samplers", "samplers"),
        ("get_schedulers", "schedulers"),
        ("get_upscalers", "upscalers"),
        ("get_latent_upscale_modes", "latent-upscale-modes"),
        ("get_loras", "loras"),
        ("get_sd_models", "sd-models"),
        ("get_sd_vae", "sd-vae"),
        ("get_hypernetworks", "hypernetworks"),
        ("get_face_restorers", "face-restorers"),
        ("get_realesrgan_models", "realesrgan-models"),
        ("get_prompt_styles", "prompt-styles"),
        ("get_embeddings", "embeddings"),
        ("get_cmd_flags", "cmd-flags"),
        ("get_options", "options"),
        ("get_scripts", "scripts"),
    ],
)
def test_lists(api: Any, direct: httpx.Client, method: str, path: str) -> None:
    assert getattr(api, method)() == direct.get(f"/{path}").json()


def test_options_models_and_progress(api: Any, direct: httpx.Client) -> None:
    options = api.get_options()
    assert api.set_options(options | {"jpeg_quality": 77}) is None
    assert direct.get("/options").json()["jpeg_quality"] == 77
    api.set_options({"jpeg_quality": 80})
    assert api.get_progress()["state"]["job_count"] == 0
    assert api.util_get_model_names() == sorted(one["title"] for one in api.get_sd_models())
    assert api.util_get_current_model().startswith("tinyA")
    assert "Euler" in api.util_get_sampler_names()
    assert "karras" in api.util_get_scheduler_names()
    api.util_set_model("tinyA")
    api.util_wait_for_ready(check_interval=0.05)
    assert api.refresh_checkpoints() is None
    assert api.get_memory()["ram"]["used"] > 0
    assert api.interrupt() == {}
    assert api.skip() is None


def test_png_info(api: Any) -> None:
    made = api.txt2img(prompt="a cat", **TINY)
    assert api.png_info(made.image).info.startswith("a cat\n")


def test_what_is_not_there_is_an_error(api: Any) -> None:
    with pytest.raises(RuntimeError, match="501"):
        api.interrogate(Image.new("RGB", (64, 64)))
    with pytest.raises(RuntimeError, match="422"):
        api.txt2img(prompt="x", script_name="nosuch", **TINY)
