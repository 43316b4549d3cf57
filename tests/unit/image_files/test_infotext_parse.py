import json
from pathlib import Path

import pytest

from webui.image_files.infotext_parse import (
    old_first_pass_size,
    parse_infotext,
    rename_loras,
    uses_emphasis,
    version_of,
)
from webui.prompt.styles import Style
from webui.settings import Settings

LINE = "Steps: 20, Sampler: Euler, CFG scale: 7"


def test_every_recorded_text_is_completed_as_recorded(golden: Path, styles: list[Style]) -> None:
    for case in json.loads((golden / "vectors/infotext_parse.json").read_text()):
        settings = Settings(infotext_styles=case["infotext_styles"])
        assert parse_infotext(case["infotext"], settings, styles) == case["parsed"]


def test_png_info_answers_as_recorded(golden: Path) -> None:
    for case in json.loads((golden / "extras/png_info.json").read_text()):
        answer = case["png_info"]
        assert parse_infotext(answer["info"], Settings()) == answer["parameters"]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.10.1", (1, 10, 1, 0)),
        ("v1.9.0", (1, 9, 0, 0)),
        ("v1.7.0-225-gabc123f", (1, 7, 0, 225)),
        ("v1.6.0-RC", (1, 6, 0, -1)),
        ("v1.8.0-rc1", (1, 8, 0, -1)),
        ("1.6", (1, 6, 0, 0)),
        ("f2.0.1v1.10.1-previous-665-gae278f79", None),
        ("ComfyUI", None),
        ("Easel 0.1.0", None),
        ("", None),
    ],
)
def test_versions(text: str, version: tuple[int, ...] | None) -> None:
    assert version_of(text) == version


OLD_KEYS = {
    "Old prompt editing timelines",
    "Pad conds v0",
    "Downcast alphas_cumprod",
}


@pytest.mark.parametrize(
    ("version", "prompt", "sampler", "added"),
    [
        ("1.5.2", "[a:b:0.5]", "DDIM", OLD_KEYS),
        ("1.5.2", "plain", "Euler", {"Downcast alphas_cumprod"}),
        ("v1.6.0", "[a:b:0.5]", "DDIM", {"Downcast alphas_cumprod"}),
        ("v1.7.0-224-gabcdef0", "[a]", "PLMS", {"Downcast alphas_cumprod"}),
        ("v1.7.0-225-gabcdef0", "[a]", "PLMS", set()),
        ("Easel 0.1.0", "[a]", "PLMS", set()),
    ],
)
def test_old_versions_ask_for_their_behaviour(
    version: str, prompt: str, sampler: str, added: set[str]
) -> None:
    text = f"{prompt}\nSteps: 20, Sampler: {sampler}, CFG scale: 7, Version: {version}"
    params = parse_infotext(text, Settings())
    assert {key for key in OLD_KEYS if params.get(key) is True} == added
    assert not OLD_KEYS & parse_infotext(text, Settings(auto_backcompat=False)).keys()


def test_refiners_switched_by_steps_before_1_8() -> None:
    text = f"a\n{LINE}, Refiner: x [1234], Version: v1.7.0"
    assert parse_infotext(text, Settings())["Refiner switch by sampling steps"] is True
    newer = text.replace("1.7.0", "1.8.0")
    assert parse_infotext(newer, Settings())["Refiner switch by sampling steps"] is False


def test_the_first_pass_size_of_old_pictures_becomes_hires_resize() -> None:
    params = parse_infotext(f"a\n{LINE}, Size: 1024x768, First pass size: 512x384", Settings())
    assert (params["Size-1"], params["Size-2"]) == (512, 384)
    assert (params["Hires resize-1"], params["Hires resize-2"]) == (1024, 768)
    computed = parse_infotext(f"a\n{LINE}, Size: 1024x768, First pass size: 0x0", Settings())
    assert (computed["Size-1"], computed["Size-2"]) == old_first_pass_size(1024, 768)
    hostile = parse_infotext(f"a\n{LINE}, Size: 0x0, First pass size: 0x0", Settings())
    assert hostile["Size-1"] == 0


def test_the_old_first_pass_has_about_the_area_of_512_squared() -> None:
    assert old_first_pass_size(1024, 1024) == (512, 512)
    assert old_first_pass_size(1024, 768) == (640, 448)


def test_hypernetwork_keys_become_a_tag() -> None:
    assert parse_infotext(f"a\n{LINE}, Hypernet: h", Settings())["Prompt"] == "a<hypernet:h:1.0>"


def test_add_on_networks_become_lora_tags() -> None:
    keys = (
        "AddNet Enabled: True, AddNet Module 1: LoRA, AddNet Model 1: one(abc123def456), "
        "AddNet Weight A 1: 0.8, AddNet Module 2: LoCon, AddNet Model 2: two(ffffffffffff), "
        "AddNet Module 3: LoRA, AddNet Model 3: three"
    )
    params = parse_infotext(f"a cat\n{LINE}, {keys}", Settings())
    assert params["Prompt"] == "a cat\n<lora:one:0.8><lora:three:1.0>"
    off = keys.replace("Enabled: True", "Enabled: False")
    assert parse_infotext(f"a cat\n{LINE}, {off}", Settings())["Prompt"] == "a cat"


def test_loras_are_renamed_by_their_hashes() -> None:
    text = f'<lora:theirs:1> <lora:other:0.5>\n{LINE}, Lora hashes: "theirs: aa11, other: bb22"'
    params = parse_infotext(text, Settings())
    renamed = rename_loras(params, {"aa11": "mine"}.get)
    assert renamed["Prompt"] == "<lora:mine:1> <lora:other:0.5>"
    assert params["Prompt"] == "<lora:theirs:1> <lora:other:0.5>"


def test_keys_are_skipped_on_request() -> None:
    params = parse_infotext(f"a\n{LINE}", Settings(infotext_skip_pasting=("CFG scale", "RNG")))
    assert "CFG scale" not in params
    assert "RNG" not in params


@pytest.mark.parametrize(
    ("prompt", "weighted"),
    [("a (b)", True), ("a [b]", True), ("a", False), ("a BREAK b", False), ("(a:1.2.3)", True)],
)
def test_emphasis_is_noticed(prompt: str, weighted: bool) -> None:
    assert uses_emphasis("plain", prompt) is weighted
    params = parse_infotext(f"{prompt}\n{LINE}", Settings())
    assert ("Emphasis" in params) is weighted


def test_styles_of_the_hires_prompts_are_removed_with_those_of_the_first(
    styles: list[Style],
) -> None:
    water = "watercolor painting, soft edges"
    hires = f'Hires prompt: "a dog, {water}", Hires negative prompt: "blurry, photo, sharp"'
    text = f"a cat, {water}\nNegative prompt: blurry, photo, sharp\n{LINE}, {hires}"
    params = parse_infotext(text, Settings(), styles)
    assert params["Styles array"] == ["Watercolor"]
    assert (params["Prompt"], params["Hires prompt"]) == ("a cat", "a dog")
    assert (params["Negative prompt"], params["Hires negative prompt"]) == ("blurry", "")
    other = text.replace(f"a dog, {water}", "a dog")
    kept = parse_infotext(other, Settings(), styles)
    assert "Styles array" not in kept
    assert kept["Prompt"] == f"a cat, {water}"
