from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from webui.errors import InvalidRequest
from webui.request import (
    GenerationRequest,
    Hires,
    Init,
    Inpaint,
    Refiner,
    SamplerOptions,
    Saving,
    Seed,
    SoftInpainting,
    validated,
)
from webui.ui.forms.generation import (
    TABS,
    Tab,
    control_names,
    decode_override,
    defaults,
    encode_override,
    from_request,
    leaves,
    to_request,
    with_leaf,
)

IMAGE, MASK, LATENT_MASK = "a" * 64, "b" * 64, "c" * 64

EVERYTHING = GenerationRequest(
    prompt="a cat",
    negative_prompt="blurry",
    styles=("Neon", "Ink"),
    checkpoint="tiny",
    vae="other",
    width=640,
    height=384,
    sampler="Euler a",
    schedule="Karras",
    steps=33,
    cfg_scale=4.5,
    sampler_options=SamplerOptions(
        eta=0.5, s_churn=1.0, s_tmin=0.1, s_tmax=9.0, s_noise=1.01, s_min_uncond=2.0
    ),
    seed=Seed(
        seed=7, subseed=8, subseed_strength=0.25, resize_from_width=512, resize_from_height=256
    ),
    batch_size=3,
    batch_count=4,
    tiling=True,
    extra_networks=False,
    hires=Hires(
        upscaler="Lanczos",
        steps=9,
        denoising_strength=0.4,
        scale=1.5,
        resize_width=1024,
        resize_height=768,
        checkpoint="other",
        sampler="DDIM",
        schedule="Uniform",
        prompt="detailed",
        negative_prompt="soft",
    ),
    refiner=Refiner(checkpoint="refiner", switch_at=0.6),
    init=Init(
        images=(IMAGE,),
        denoising_strength=0.35,
        resize_mode="crop",
        scale_by=2.0,
        image_cfg_scale=1.2,
        initial_noise_multiplier=1.1,
        inpaint=Inpaint(
            mask=MASK,
            latent_mask=LATENT_MASK,
            mask_blur_x=3,
            mask_blur_y=5,
            invert=True,
            content="latent noise",
            only_masked=True,
            masked_padding=16,
            mask_round=False,
            soft=SoftInpainting(
                schedule_bias=2.0,
                preservation_strength=1.5,
                transition_contrast_boost=8.0,
                mask_influence=0.5,
                difference_threshold=1.0,
                difference_contrast=3.0,
            ),
        ),
    ),
    saving=Saving(samples=False, grid=True),
    overrides={"CLIP_stop_at_last_layers": 2, "emphasis": "No norm"},
    units={"depth": {"weight": 0.5}},
)
"""Every field differs from its default."""


def for_tab(tab: Tab, request: GenerationRequest) -> GenerationRequest:
    """The part of a request that a tab is about."""
    if tab == "txt2img":
        return replace(request, init=None)
    assert request.init is not None
    init = request.init if tab == "inpaint" else replace(request.init, inpaint=None)
    return replace(request, hires=None, init=init)


def test_the_example_leaves_no_field_at_its_default() -> None:
    blank = GenerationRequest(
        hires=Hires(),
        refiner=Refiner(checkpoint=""),
        init=Init(images=(), inpaint=Inpaint(mask="", soft=SoftInpainting())),
    )
    usual = dict(leaves(blank))
    unchanged = [path for path, value in leaves(EVERYTHING) if usual.get(path, ...) == value]
    assert unchanged == []
    assert validated(EVERYTHING) == EVERYTHING


@pytest.mark.parametrize("tab", TABS)
def test_a_request_comes_back_from_the_controls_as_it_was(tab: Tab) -> None:
    wanted = for_tab(tab, EVERYTHING)
    assert to_request(tab, from_request(tab, wanted)) == wanted


@pytest.mark.parametrize("tab", TABS)
def test_every_field_alone_survives_the_controls(tab: Tab) -> None:
    """Names what is missing: a field that the form does not carry."""
    blank = to_request(tab, defaults(tab) | {"init.images": [IMAGE], "init.inpaint.mask": MASK})
    lost = []
    for path, value in leaves(for_tab(tab, EVERYTHING)):
        request = with_leaf(with_parts(blank, path), path, value)
        if request != to_request(tab, from_request(tab, request)):
            lost.append(path)
    assert lost == []


def with_parts(request: GenerationRequest, path: str) -> GenerationRequest:
    """A request that has the optional part which a field lies in."""
    parts: dict[str, Any] = {
        "hires": Hires(),
        "refiner": Refiner(checkpoint="x"),
        "init.inpaint.soft": SoftInpainting(),
    }
    for prefix, part in parts.items():
        if path.startswith(f"{prefix}."):
            request = with_leaf(request, prefix, part)
    return request


@pytest.mark.parametrize("tab", TABS)
def test_a_fresh_page_asks_for_the_request_s_defaults(tab: Tab) -> None:
    values = defaults(tab)
    assert set(values) == set(control_names(tab))
    request = to_request(tab, values | {"init.images": [IMAGE], "init.inpaint.mask": MASK})
    usual = GenerationRequest(width=512, height=512)
    if tab != "txt2img":
        inpaint = Inpaint(mask=MASK) if tab == "inpaint" else None
        usual = replace(usual, init=Init(images=(IMAGE,), inpaint=inpaint))
    assert request == usual


def test_img2img_and_inpaint_start_at_a1111s_denoising_strength() -> None:
    assert defaults("img2img")["init.denoising_strength"] == 0.75
    assert defaults("txt2img")["hires.denoising_strength"] == 0.7


def test_switched_off_parts_are_not_asked_for() -> None:
    values = from_request("txt2img", for_tab("txt2img", EVERYTHING))
    off = {"hires.on": False, "refiner.on": False, "seed.extra": False}
    request = to_request("txt2img", values | off)
    assert request.hires is None
    assert request.refiner is None
    assert request.seed == Seed(seed=7)


def test_what_a_request_leaves_open_leaves_the_controls_alone() -> None:
    values = from_request("txt2img", GenerationRequest(prompt="x"))
    assert "width" not in values
    assert "height" not in values


def test_a_seed_beyond_what_a_browser_counts_exactly_is_carried_whole() -> None:
    request = GenerationRequest(seed=Seed(seed=2**64 - 1))
    values = from_request("txt2img", request)
    assert values["seed.seed"] == -1
    assert values["overrides"] == [encode_override("seed.seed", 2**64 - 1)]
    assert to_request("txt2img", values) == request


def test_an_override_taken_out_of_the_list_no_longer_counts() -> None:
    values = from_request("txt2img", for_tab("txt2img", EVERYTHING))
    kept = [e for e in values["overrides"] if "CLIP_stop_at_last_layers" not in e]
    request = to_request("txt2img", values | {"overrides": kept})
    assert request.overrides == {"emphasis": "No norm"}


def test_entries_that_are_no_overrides_are_passed_over() -> None:
    assert decode_override("typed by hand") is None
    assert decode_override("[1]") is None
    values = defaults("txt2img") | {"overrides": ["typed by hand", '["no.such.field", 1]']}
    assert to_request("txt2img", values).overrides == {}


def test_an_emptied_number_means_the_default() -> None:
    values = defaults("txt2img") | {"seed.seed": None, "steps": None}
    request = to_request("txt2img", values)
    assert (request.seed.seed, request.steps) == (-1, 20)


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [("width", 333, "width"), ("steps", 0, "steps"), ("seed.seed", -5, "seed.seed")],
)
def test_a_value_out_of_range_is_refused_by_its_field(name: str, value: int, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_request("txt2img", defaults("txt2img") | {name: value})
    assert caught.value.field == field
