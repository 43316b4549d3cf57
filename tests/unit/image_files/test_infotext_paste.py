import json
from pathlib import Path

import pytest

from webui.errors import InvalidRequest
from webui.image_files.infotext_parse import parse_infotext
from webui.image_files.infotext_paste import Pasted, apply_changes, from_infotext
from webui.prompt.styles import Style
from webui.request import GenerationRequest, Hires, Init, Inpaint, Refiner, SoftInpainting
from webui.sampling.catalog import default_catalog
from webui.settings import Settings

LINE = "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 512x768"


def pasted(line: str, settings: Settings | None = None) -> Pasted:
    settings = settings or Settings()
    return from_infotext(parse_infotext(f"a\n{line}", settings), settings)


def request_of(line: str, start: GenerationRequest | None = None) -> GenerationRequest:
    return apply_changes(start or GenerationRequest(), pasted(line).changes)[0]


def test_overrides_are_the_recorded_ones(golden: Path, styles: list[Style]) -> None:
    checked = 0
    for case in json.loads((golden / "vectors/infotext_parse.json").read_text()):
        settings = Settings(infotext_styles=case["infotext_styles"])
        params = parse_infotext(case["infotext"], settings, styles)
        got = from_infotext(params, settings).overrides
        expected = [row for row in case["override_settings"] if row[1] in Settings.model_fields]
        assert [[o.infotext, o.key, o.value] for o in got] == expected
        checked += len(expected)
    assert checked == 7


def test_plain_fields() -> None:
    request = request_of(LINE)
    assert (request.steps, request.sampler, request.cfg_scale) == (20, "Euler", 7.0)
    assert (request.seed.seed, request.width, request.height) == (5, 512, 768)
    assert request.hires is None
    assert request.refiner is None


def test_what_the_infotext_is_silent_about_is_switched_off() -> None:
    start = GenerationRequest(
        hires=Hires(), refiner=Refiner(checkpoint="x"), styles=("kept",), batch_size=3
    )
    request = request_of(LINE, start)
    assert (request.hires, request.refiner) == (None, None)
    assert (request.styles, request.batch_size) == (("kept",), 3)
    assert request.seed.subseed_strength == 0.0


def test_hires_and_refiner() -> None:
    request = request_of(
        f"{LINE}, Denoising strength: 0.4, Hires upscale: 1.5, Hires steps: 7,"
        ' Hires upscaler: None, Hires sampler: Heun, Hires prompt: "b, c",'
        " Refiner: r [1234567890], Refiner switch at: 0.6"
    )
    assert request.hires == Hires(
        upscaler="None", steps=7, denoising_strength=0.4, scale=1.5, sampler="Heun", prompt="b, c"
    )
    assert request.refiner == Refiner(checkpoint="r [1234567890]", switch_at=0.6)
    resized = request_of(f"{LINE}, Denoising strength: 0.4, Hires resize: 1024x1000")
    assert resized.hires is not None
    assert (resized.hires.resize_width, resized.hires.resize_height) == (1024, 1000)


def test_img2img_fields_are_set_where_there_is_a_picture_and_a_mask() -> None:
    line = (
        f"{LINE}, Denoising strength: 0.4, Mask blur: 9, Mask mode: Inpaint not masked,"
        " Inpaint area: Only masked, Masked area padding: 12, Masked content: latent noise,"
        " Soft inpainting enabled: True, Soft inpainting schedule bias: 2"
    )
    assert request_of(line).init is None
    pictures = GenerationRequest(init=Init(images=("x",)))
    plain = request_of(line, pictures).init
    assert plain == Init(images=("x",), denoising_strength=0.4)
    masked = GenerationRequest(init=Init(images=("x",), inpaint=Inpaint(mask="m")))
    init = request_of(line, masked).init
    assert init is not None
    assert init.inpaint == Inpaint(
        mask="m",
        mask_blur_x=9,
        mask_blur_y=9,
        invert=True,
        content="latent noise",
        only_masked=True,
        masked_padding=12,
        soft=SoftInpainting(schedule_bias=2.0),
    )


def test_old_sampler_names_are_resolved_by_the_catalog() -> None:
    def resolve(sampler: str, schedule: str) -> tuple[str, str]:
        choice = default_catalog().resolve(sampler, schedule)
        return choice.sampler.name, choice.schedule.label

    line = LINE.replace("Euler", "DPM++ SDE Exponential")
    params = parse_infotext(f"a\n{line}", Settings())
    changes = from_infotext(params, Settings(), resolve).changes
    assert (changes["sampler"], changes["schedule"]) == ("DPM++ SDE", "Exponential")


def test_sizes_that_are_no_multiple_of_8_are_those_of_the_latent() -> None:
    request = request_of(LINE.replace("512x768", "500x767"))
    assert (request.width, request.height) == (496, 760)


def test_nonsense_is_left_out_with_a_sentence() -> None:
    line = "Steps: many, Sampler: Euler, CFG scale: 7, Size: 64x100000000, Seed: 1e400"
    read = pasted(line)
    assert "steps" not in read.changes
    assert any("'Steps' is left out: 'many'" in problem for problem in read.problems)
    assert any("'Seed'" in problem for problem in read.problems)
    start = GenerationRequest(steps=33)
    request, problems = apply_changes(start, read.changes)
    assert (request.steps, request.width, request.height) == (33, 64, None)
    assert len(problems) == 1
    assert "height" in problems[0]


def test_parts_with_one_bad_value_are_left_out_whole() -> None:
    read = pasted(f"{LINE}, Hires upscale: 1000, Hires upscaler: Latent")
    request, problems = apply_changes(GenerationRequest(), read.changes)
    assert request.hires is None
    assert request.steps == 20
    assert "hires.scale" in problems[0]


def test_a_request_that_was_invalid_before_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        apply_changes(GenerationRequest(batch_size=1000), {"steps": 3})


def test_the_checkpoint_is_taken_over_only_on_request() -> None:
    line = f"{LINE}, Model hash: 0123456789, Model: m"
    assert pasted(line).overrides == ()
    (override,) = pasted(line, Settings(disable_weights_auto_swap=False)).overrides
    assert (override.key, override.value) == ("sd_model_checkpoint", "0123456789")


def test_settings_that_no_request_may_change_are_never_overridden() -> None:
    line = f"{LINE}, Clip skip: 99, RNG: Moon, samples_filename_pattern: x, ENSD: 31337"
    read = pasted(line)
    assert [(o.key, o.value) for o in read.overrides] == [("eta_noise_seed_delta", 31337)]
    assert len(read.problems) == 2


def test_styles_found_in_the_prompt_are_selected(styles: list[Style]) -> None:
    settings = Settings()
    text = f"a, watercolor painting, soft edges\nNegative prompt: photo, sharp\n{LINE}"
    changes = from_infotext(parse_infotext(text, settings, styles), settings).changes
    assert changes["styles"] == ("Watercolor",)
