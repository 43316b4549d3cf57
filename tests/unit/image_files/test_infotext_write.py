from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from webui.image_files.infotext_parse import parse_infotext
from webui.image_files.infotext_paste import apply_changes, from_infotext
from webui.image_files.infotext_write import PictureFacts, infotext_pairs, to_infotext
from webui.request import GenerationRequest, Hires, SamplerOptions, validated
from webui.sampling.catalog import default_catalog
from webui.settings import Settings

PICTURES = Path(__file__).parents[2] / "golden" / "pictures"
NAMES = [str(p.relative_to(PICTURES)) for p in sorted(PICTURES.rglob("*.json"))]
WITHOUT_SCRIPTS = [
    name
    for name in NAMES
    if '"info"' in (text := (PICTURES / name).read_text(encoding="utf-8"))
    and '"script_name"' not in text
]
Case = tuple[GenerationRequest, list[PictureFacts], Settings, list[str]]
Recorded = Callable[[str], Case]


@pytest.mark.parametrize("name", WITHOUT_SCRIPTS)
def test_requests_give_the_recorded_infotext(name: str, recorded: Recorded) -> None:
    request, facts, settings, texts = recorded(name)
    assert [to_infotext(request, fact, settings) for fact in facts] == texts


@pytest.mark.parametrize("name", WITHOUT_SCRIPTS)
def test_what_a_request_wrote_gives_the_request_again(name: str, recorded: Recorded) -> None:
    request, facts, settings, texts = recorded(name)
    now = Settings(randn_source="CPU")
    pasted = from_infotext(parse_infotext(texts[0], now), now)
    choice = default_catalog().resolve(request.sampler, request.schedule)
    start = GenerationRequest(init=request.init)
    got, problems = apply_changes(start, pasted.changes)
    assert problems == pasted.problems == ()
    assert got.prompt == facts[0].prompt
    refiner, hires = request.refiner, request.hires
    if refiner and facts[0].refiner:
        refiner = replace(refiner, checkpoint=facts[0].refiner)
    elif refiner:
        refiner = None  # it never took over, and the text is silent
    if hires and hires.resize_width:
        hires = replace(hires, scale=Hires().scale)  # not written beside the size
    seed = replace(request.seed, subseed=got.seed.subseed)
    wanted = replace(
        request,
        prompt=got.prompt,
        negative_prompt=facts[0].negative_prompt,
        schedule=choice.effective_schedule.label,
        sampler_options=SamplerOptions(),
        seed=replace(seed, seed=facts[0].seed),
        tiling=None,
        refiner=refiner,
        hires=hires,
    )
    assert got == wanted
    told = {override.key: override.value for override in pasted.overrides}
    assert (
        told.items()
        <= {
            **settings.model_dump(),
            **_written_settings(request, facts[0]),
        }.items()
    )


def _written_settings(request: GenerationRequest, facts: PictureFacts) -> dict[str, object]:
    eta = request.sampler_options.eta
    return {"tiling": request.tiling, "sd_vae": facts.vae_name} | (
        {"eta_ancestral": eta, "eta_ddim": eta} if eta is not None else {}
    )


def test_the_recorded_cases_are_many() -> None:
    assert len(WITHOUT_SCRIPTS) > 70


CATALOG = default_catalog()


def facts_of(sampler: str, schedule: str = "Automatic", **more: object) -> PictureFacts:
    choice = CATALOG.resolve(sampler, schedule)
    base = PictureFacts(
        prompt="a",
        negative_prompt="",
        seed=1,
        subseed=2,
        sampler=choice.sampler,
        schedule=choice.effective_schedule,
        model_name="m",
        model_hash="0123456789",
    )
    return replace(base, **more)  # type: ignore[arg-type]


def pairs_of(
    request: GenerationRequest, facts: PictureFacts, settings: Settings | None = None
) -> dict[str, object]:
    pairs = infotext_pairs(request, facts, settings or Settings())
    return {key: value for key, value in pairs.items() if value is not None}


REQUEST = validated(GenerationRequest(width=64, height=64))


def test_options_are_recorded_only_where_the_sampler_takes_them() -> None:
    settings = Settings(
        s_churn=1.0,
        s_tmax=5.0,
        s_noise=1.05,
        eta_ancestral=0.5,
        sigma_min=0.1,
        rho=2.0,
        sgm_noise_multiplier=True,
        always_discard_next_to_last_sigma=True,
    )
    euler = pairs_of(REQUEST, facts_of("Euler"), settings)
    assert (euler["Sigma churn"], euler["Sigma tmax"], euler["Sigma noise"]) == (1.0, 5.0, 1.05)
    assert "Eta" not in euler
    assert "Schedule min sigma" not in euler, "the model's own schedule takes no range"
    karras = pairs_of(REQUEST, facts_of("DPM++ 2S a", "Karras"), settings)
    assert (karras["Schedule min sigma"], karras["Schedule rho"]) == (0.1, 2.0)
    assert (karras["Eta"], karras["Sigma noise"]) == (0.5, 1.05)
    assert karras["SGM noise multiplier"] is True
    assert karras["Discard penultimate sigma"] is True
    assert "Discard penultimate sigma" not in pairs_of(REQUEST, facts_of("DPM2"), settings)
    ddim = pairs_of(REQUEST, facts_of("DDIM"), settings)
    assert not {"Eta", "Sigma churn", "SGM noise multiplier", "Schedule rho"} & ddim.keys()


def test_hires_keys_stand_only_where_the_second_pass_differs() -> None:
    request = replace(REQUEST, hires=Hires(steps=5, sampler="DPM++ 2M", prompt="b"))
    second = CATALOG.resolve("DPM++ 2M")
    facts = facts_of(
        "Euler a",
        hires_sampler=second.sampler,
        hires_schedule=second.effective_schedule,
        hires_prompt="b",
        hires_checkpoint="other [0000000000]",
    )
    pairs = pairs_of(request, facts)
    assert [key for key in pairs if key.startswith("Hires")] == [
        "Hires checkpoint",
        "Hires sampler",
        "Hires prompt",
        "Hires schedule type",
        "Hires upscale",
        "Hires steps",
        "Hires upscaler",
    ]
    assert pairs["Hires schedule type"] == "Karras"


def test_parts_of_the_line_can_be_switched_off() -> None:
    settings = Settings(
        add_model_name_to_info=False,
        add_model_hash_to_info=False,
        add_vae_name_to_info=False,
        add_vae_hash_to_info=False,
        add_version_to_infotext=False,
        add_user_name_to_info=True,
    )
    facts = facts_of("Euler", vae_name="v", vae_hash="1", version="Easel 1", user="ann")
    pairs = pairs_of(REQUEST, facts, settings)
    assert not {"Model", "Model hash", "VAE", "VAE hash", "Version"} & pairs.keys()
    assert pairs["User"] == "ann"
    assert "User" not in pairs_of(REQUEST, facts)


def test_keys_of_extensions_stand_before_ours_after_ours_or_at_their_old_place() -> None:
    facts = facts_of(
        "Euler",
        leading={"Script": "X/Y/Z plot"},
        networks={"Lora hashes": "x: 1"},
        trailing={"ControlNet 0": "canny", "Token merging ratio": 0.5},
        version="Easel 1",
    )
    settings = Settings(randn_source="NV")
    keys = list(pairs_of(REQUEST, facts, settings))
    assert keys[-6:] == [
        "Token merging ratio",
        "RNG",
        "Script",
        "Lora hashes",
        "ControlNet 0",
        "Version",
    ]


def test_how_the_prompt_was_read_is_recorded_only_where_it_matters() -> None:
    settings = Settings(emphasis="No norm", use_old_scheduling=True)
    plain = pairs_of(REQUEST, facts_of("Euler"), settings)
    assert not {"Emphasis", "Old prompt editing timelines"} & plain.keys()
    weighted = pairs_of(REQUEST, facts_of("Euler", prompt="(a)"), settings)
    assert weighted["Emphasis"] == "No norm"
    edited = pairs_of(REQUEST, facts_of("Euler", prompt="[a:b:1.0]"), settings)
    assert edited["Old prompt editing timelines"] is True
    assert "Emphasis" not in edited
