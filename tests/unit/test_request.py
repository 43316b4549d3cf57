"""The request: JSON round trip, ranges with sentences, resolving, batches, hires sizes."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from webui.errors import InvalidRequest
from webui.request import (
    Defaults,
    GenerationRequest,
    Hires,
    Init,
    Inpaint,
    Refiner,
    Seed,
    SoftInpainting,
    from_json,
    hires_target,
    plan_batches,
    resolve,
    to_json,
    validated,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "vectors"
DEFAULTS = Defaults(checkpoint="model.safetensors [0123456789]", native_size=(128, 128))


def full_request() -> GenerationRequest:
    inpaint = Inpaint(mask="b" * 64, latent_mask="c" * 64, soft=SoftInpainting(schedule_bias=2))
    return GenerationRequest(
        prompt="a red apple, 사과",
        styles=("one", "two"),
        hires=Hires(scale=1.5, checkpoint="other"),
        refiner=Refiner(checkpoint="third", switch_at=0.5),
        init=Init(images=("a" * 64,), inpaint=inpaint),
        overrides={"eta_ddim": 0.5},
        units={"controlnet": [{"weight": 1}]},
    )


def test_json_gives_the_same_request_again() -> None:
    assert from_json(to_json(full_request())) == full_request()
    assert from_json(to_json(GenerationRequest())) == GenerationRequest()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("width", 100, "multiple of 8"),
        ("width", 32, "at least 64"),
        ("height", 100_000, "at most 8192"),
        ("steps", 0, "at least 1"),
        ("steps", 1_000_000, "at most 1000"),
        ("batch_size", 1000, "at most 64"),
        ("cfg_scale", float("nan"), "cfg scale"),
    ],
)
def test_out_of_range_is_a_sentence(field: str, value: object, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        validated(GenerationRequest(**{field: value}))  # type: ignore[arg-type]
    assert caught.value.field == field


def test_too_many_pixels_in_all() -> None:
    with pytest.raises(InvalidRequest, match="pixels"):
        validated(GenerationRequest(width=8192, height=4096))


def test_resolve_fills_everything() -> None:
    done = resolve(GenerationRequest(), DEFAULTS, random.Random(0))
    assert done.size == (128, 128)
    assert done.checkpoint == DEFAULTS.checkpoint
    assert 0 <= done.seed.seed < 4294967294
    assert 0 <= done.seed.subseed < 4294967294
    assert done.saving.samples is True
    assert done.tiling is False
    assert resolve(done, DEFAULTS, random.Random(1)) == done


def test_size_of_img2img_follows_the_picture() -> None:
    defaults = replace(DEFAULTS, init_size=(203, 150))
    request = GenerationRequest(init=Init(images=("a" * 64,)))
    assert resolve(request, defaults, random.Random(0)).size == (200, 152)
    scaled = GenerationRequest(init=Init(images=("a" * 64,), scale_by=2))
    assert resolve(scaled, defaults, random.Random(0)).size == (400, 296)


def test_seeds_of_batches() -> None:
    request = GenerationRequest(batch_size=2, batch_count=2, seed=Seed(seed=10, subseed=100))
    batches = list(plan_batches(request))
    assert [batch.seeds for batch in batches] == [(10, 11), (12, 13)]
    assert [batch.subseeds for batch in batches] == [(100, 101), (102, 103)]
    varied = replace(request, seed=Seed(seed=10, subseed=100, subseed_strength=0.5))
    assert [batch.seeds for batch in plan_batches(varied)] == [(10, 10), (10, 10)]


def test_hires_targets_are_a1111s() -> None:
    recorded = json.loads((GOLDEN / "functions_hires_target.json").read_text())
    for key, expected in recorded.items():
        width, height, scale, resize_w, resize_h = (float(part) for part in key[1:-1].split(","))
        hires = Hires(scale=scale, resize_width=int(resize_w), resize_height=int(resize_h))
        target = hires_target(int(width), int(height), hires)
        assert [target.width, target.height] == expected["upscale_to"], key
        crop = [target.crop_width // 8, target.crop_height // 8]
        assert crop == expected["truncate_latent"], key
