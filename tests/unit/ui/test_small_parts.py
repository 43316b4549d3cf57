from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from webui.services import Services
from webui.ui.drafts import recall, recall_pictures, remember, remember_pictures
from webui.ui.forms import summaries
from webui.ui.forms.form import element_id, override_choices
from webui.ui.forms.generation import defaults, encode_override
from webui.ui.locale import LANGUAGES, label, language_of, sentence, tag, words
from webui.ui.pasting import paste, sent
from webui.ui.widgets.size import RATIOS, sides


def plain(text: str) -> str:
    """A text with its marker replaced by the English words."""
    for key, value in words("en").items():
        text = text.replace(label(key), value)
    return text


def test_a_label_must_exist() -> None:
    with pytest.raises(KeyError):
        label("no.such.key")


def test_sentences_are_made_in_the_language_asked_for() -> None:
    assert sentence("en", "styles.saved", name="Neon") == "The style Neon is saved."
    assert "Neon" in sentence("ko", "styles.saved", name="Neon")
    assert sentence("ko", "generate") == "생성"


def test_html_of_a_label_is_escaped() -> None:
    assert tag("p", "generate", title='"<') == (
        '<p data-t="generate" title="&quot;&lt;">Generate</p>'
    )


@pytest.mark.parametrize(
    ("cookies", "accepts", "expected"),
    [
        ({"easel_language": "ko"}, "en", "ko"),
        ({"easel_language": "xx"}, "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ({}, "de-DE,de;q=0.9,ko;q=0.5", "ko"),
        ({}, "fr", "en"),
        ({}, "", "en"),
    ],
)
def test_language_is_the_browser_s_choice_then_what_it_accepts(
    cookies: dict[str, str], accepts: str, expected: str
) -> None:
    request: Any = SimpleNamespace(cookies=cookies, headers={"accept-language": accepts})
    assert language_of(request) == expected


def test_hires_header_says_sizes_upscaler_and_strength() -> None:
    values = defaults("txt2img")
    assert plain(summaries.hires(values)) == "Hires fix · off"
    values |= {"hires.on": True, "hires.scale": 1.5, "hires.upscaler": "Lanczos"}
    assert plain(summaries.hires(values)) == "Hires fix · 512×512 → 768×768, Lanczos, 0.7"
    values |= {"hires.resize_width": 1024, "hires.resize_height": 512}
    assert plain(summaries.hires(values)) == "Hires fix · 512×512 → 1024×512, Lanczos, 0.7"


def test_refiner_header_asks_for_a_checkpoint_until_there_is_one() -> None:
    values = defaults("txt2img")
    assert plain(summaries.refiner(values)) == "Refiner · off"
    values |= {"refiner.on": True}
    assert plain(summaries.refiner(values)) == "Refiner · choose a checkpoint"
    values |= {"refiner.checkpoint": "x.safetensors", "refiner.switch_at": 0.75}
    assert plain(summaries.refiner(values)) == "Refiner · x.safetensors, 0.75"


def test_soft_inpainting_header() -> None:
    assert plain(summaries.soft_inpainting({})) == "Soft inpainting · off"
    on = {"init.inpaint.soft.on": True}
    assert plain(summaries.soft_inpainting(on)) == "Soft inpainting · on"


@pytest.mark.parametrize("native", [(128, 128), (512, 512), (1024, 1024)])
@pytest.mark.parametrize("ratio", RATIOS)
def test_presets_keep_area_and_ratio(ratio: tuple[int, int], native: tuple[int, int]) -> None:
    width, height = sides(ratio, native)
    assert width % 8 == height % 8 == 0
    assert width * height == pytest.approx(native[0] * native[1], rel=0.17)
    assert width / height == pytest.approx(ratio[0] / ratio[1], rel=0.17)


def test_sdxl_presets_are_the_usual_ones() -> None:
    assert sides((16, 9), (1024, 1024)) == (1344, 768)
    assert sides((2, 3), (1024, 1024)) == (832, 1280)


def test_element_ids_are_a1111s() -> None:
    expected = {
        ("txt2img", "prompt"): "txt2img_prompt",
        ("txt2img", "negative_prompt"): "txt2img_neg_prompt",
        ("img2img", "sampler"): "img2img_sampling",
        ("txt2img", "seed.extra"): "txt2img_subseed_show",
        ("txt2img", "hires.upscaler"): "txt2img_hr_upscaler",
        ("txt2img", "hires.checkpoint"): "hr_checkpoint",
        ("img2img", "init.images"): "img2img_image",
        ("inpaint", "init.inpaint.mask"): "img2maskimg",
        ("inpaint", "init.inpaint.only_masked"): "img2img_inpaint_full_res",
        ("txt2img", "overrides"): "txt2img_override_settings",
    }
    assert {key: element_id(*key) for key in expected} == expected  # type: ignore[arg-type]


def test_overrides_are_shown_with_their_words() -> None:
    entries = [
        encode_override("overrides.CLIP_stop_at_last_layers", 2),
        encode_override("sampler_options.eta", 0.5),
        encode_override("units.depth", {"weight": 1}),
        "nonsense",
    ]
    shown = [plain(text) for text, _ in override_choices(entries)]
    assert shown == ["Clip skip: 2", "Eta: 0.5", "units.depth: {'weight': 1}"]


def test_drafts_are_kept_by_owner_and_tab_on_top_of_older_ones(services: Services) -> None:
    remember(services, "ann", "txt2img", {"prompt": "a", "steps": 5})
    remember(services, "ann", "txt2img", {"prompt": "b", "junk": 1})
    remember(services, "ann", "img2img", {"prompt": "c"})
    assert recall(services, "ann", "txt2img") == {"prompt": "b", "steps": 5}
    assert recall(services, "ann", "img2img") == {"prompt": "c"}
    assert recall(services, "bob", "txt2img") == {}


def test_a_draft_that_is_too_long_leaves_the_former_one(services: Services) -> None:
    remember(services, "ann", "txt2img", {"prompt": "short"})
    remember(services, "ann", "txt2img", {"prompt": "x" * (5 * 1024 * 1024)})
    assert recall(services, "ann", "txt2img") == {"prompt": "short"}


def test_pictures_of_a_draft_survive_its_text_and_can_be_emptied(services: Services) -> None:
    remember_pictures(services, "ann", "img2img", {"img2img": "a", "sketch": "b"})
    remember(services, "ann", "img2img", {"prompt": "x"})
    remember_pictures(services, "ann", "img2img", {"sketch": None})
    assert recall_pictures(services, "ann", "img2img") == {"img2img": "a"}
    assert recall(services, "ann", "img2img") == {"prompt": "x"}


INFOTEXT = (
    "a cat\nNegative prompt: blurry\nSteps: 7, Sampler: Euler a, CFG scale: 5.5, Seed: 42, "
    "Size: 256x192, Denoising strength: 0.55, Clip skip: 2, Hires upscale: 2, "
    "Hires upscaler: Latent"
)


def test_pasting_fills_the_controls_and_keeps_the_rest(services: Services) -> None:
    values = defaults("txt2img") | {"batch_count": 3}
    filled = paste(services, INFOTEXT, "txt2img", values)
    assert filled.problems == ()
    expected = {
        "prompt": "a cat",
        "negative_prompt": "blurry",
        "steps": 7,
        "sampler": "Euler a",
        "cfg_scale": 5.5,
        "seed.seed": 42,
        "width": 256,
        "height": 192,
        "batch_count": 3,
        "hires.on": True,
        "hires.denoising_strength": 0.55,
        "overrides": [encode_override("overrides.CLIP_stop_at_last_layers", 2)],
    }
    assert {name: filled.values[name] for name in expected} == expected


@pytest.mark.parametrize("tab", ["img2img", "inpaint"])
def test_pasting_into_img2img_sets_its_strength_and_leaves_its_picture(
    services: Services, tab: Any
) -> None:
    filled = paste(services, INFOTEXT, tab, defaults(tab))
    assert filled.values["init.denoising_strength"] == 0.55
    assert "init.images" not in filled.values
    assert "init.inpaint.mask" not in filled.values


def test_sending_takes_prompts_and_sampling_and_the_seed_where_wanted(services: Services) -> None:
    values = defaults("img2img") | {"init.denoising_strength": 0.3}
    taken = sent(services, INFOTEXT, "img2img", values)
    assert taken["prompt"] == "a cat"
    assert taken["seed.seed"] == 42
    assert "init.denoising_strength" not in taken
    assert "width" not in taken
    services.settings.update({"send_seed": False})
    assert "seed.seed" not in sent(services, INFOTEXT, "img2img", values)


def test_both_languages_are_there() -> None:
    assert set(words("en")) == set(words("ko"))
    assert LANGUAGES == ("en", "ko")
