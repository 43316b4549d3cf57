from __future__ import annotations

import json
from typing import Any

from webui.api.answer import Finished, extra_params, info, ordered, prompts_of
from webui.request import GenerationRequest, Hires, Seed

TEXT = (
    "a cat\nNegative prompt: dog\nSteps: 12, Sampler: DPM++ 2M, Schedule type: Karras, "
    "CFG scale: 7.0, Seed: 3, Size: 64x64, Model hash: 1414bfe088, Model: tinyA, "
    "Denoising strength: 0.6, Hires upscaler: Latent, Version: 9"
)


def picture(index: int, kind: str = "image", **facts: Any) -> dict[str, Any]:
    return {"index": index, "kind": kind, "infotext": TEXT, "seed": 3 + index, "subseed": 8} | facts


def finished(*pictures: dict[str, Any]) -> Finished:
    request = GenerationRequest(
        width=64,
        height=64,
        seed=Seed(seed=3, subseed=8),
        styles=("S",),
        sampler="DPM++ 2M",
        hires=Hires(denoising_strength=0.6),
    )
    return Finished(request, pictures, ["careful"], 0.0)


def test_order_is_grid_pictures_rest() -> None:
    given = [picture(0), picture(1), picture(2, "mask"), picture(3, "grid")]
    assert [one["index"] for one in ordered(given, with_grid=True)] == [3, 0, 1, 2]
    assert [one["index"] for one in ordered(given, with_grid=False)] == [0, 1, 2]


def test_info_has_the_keys_that_a1111_gives() -> None:
    expected = {
        "prompt", "all_prompts", "negative_prompt", "all_negative_prompts", "seed", "all_seeds",
        "subseed", "all_subseeds", "subseed_strength", "width", "height", "sampler_name",
        "cfg_scale", "steps", "batch_size", "restore_faces", "face_restoration_model",
        "sd_model_name", "sd_model_hash", "sd_vae_name", "sd_vae_hash", "seed_resize_from_w",
        "seed_resize_from_h", "denoising_strength", "extra_generation_params",
        "index_of_first_image", "infotexts", "styles", "job_timestamp", "clip_skip",
        "is_using_inpainting_conditioning", "version",
    }  # fmt: skip
    assert set(info(finished(picture(0)))) == expected | {"warnings"}


def test_info_tells_what_was_made() -> None:
    grid = picture(2, "grid")
    mask = picture(3, "mask")
    found = info(finished(grid, picture(0), picture(1), mask))
    assert found["all_prompts"] == ["a cat", "a cat"]
    assert found["all_negative_prompts"] == ["dog", "dog"]
    assert (found["seed"], found["all_seeds"]) == (3, [3, 4])
    assert (found["seed_resize_from_w"], found["denoising_strength"]) == (-1, 0.6)
    assert (found["sd_model_name"], found["sd_model_hash"]) == ("tinyA", "1414bfe088")
    assert found["index_of_first_image"] == 1
    assert len(found["infotexts"]) == 3
    assert found["clip_skip"] == 1
    assert found["warnings"] == ["careful"]
    assert json.loads(json.dumps(found)) == found


def test_extra_params_are_numbers_where_they_are() -> None:
    pairs = {"Steps": "1", "Schedule type": "Karras", "Denoising strength": "0.6", "Mask blur": "4"}
    expected = {"Schedule type": "Karras", "Denoising strength": 0.6, "Mask blur": 4}
    assert extra_params(pairs) == expected
    assert extra_params({"Schedule type": "Automatic"}) == {}
    assert extra_params({"Soft inpainting enabled": "True"}) == {"Soft inpainting enabled": True}


def test_prompts_keep_their_blanks() -> None:
    line = "Steps: 1, Sampler: Euler, Seed: 1"
    assert prompts_of(f"a \n b\nNegative prompt: c \n d\n{line}") == ("a \n b", "c \n d")
    assert prompts_of(f"Negative prompt: c\n{line}") == ("", "c")
    assert prompts_of(f"a\n{line}") == ("a", "")
    assert prompts_of(line) == ("", "")


def test_nothing_made_is_still_an_answer() -> None:
    found = info(finished())
    assert (found["prompt"], found["all_seeds"], found["infotexts"]) == ("", [], [])
