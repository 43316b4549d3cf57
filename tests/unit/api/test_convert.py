from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from webui.api.convert import to_request
from webui.api.schemas import Img2ImgBody, Txt2ImgBody
from webui.errors import InvalidRequest
from webui.image_files.infotext_parse import parse_infotext
from webui.image_files.infotext_paste import from_infotext
from webui.images.codec import bytes_of_base64
from webui.request import Hires, Init, Inpaint, Refiner, Saving, Seed, SoftInpainting, validated
from webui.settings import Settings

PICTURE = base64.b64encode(b"picture").decode()
MASK = base64.b64encode(b"mask").decode()


def keep(content: bytes) -> str:
    return content.hex().ljust(64, "0")


def from_text(**fields: Any) -> Any:
    return to_request(Txt2ImgBody(**fields), keep)


def from_picture(**fields: Any) -> Any:
    return to_request(Img2ImgBody(init_images=[PICTURE], **fields), keep)


def test_defaults_are_those_of_a1111s_api() -> None:
    request = from_text().request
    assert (request.steps, request.cfg_scale) == (50, 7.0)
    assert (request.sampler, request.schedule) == ("Euler", "Automatic")
    assert (request.width, request.height) == (None, None)
    assert request.saving == Saving(samples=False, grid=False)
    assert request.hires is None and request.init is None and request.refiner is None


def test_img2img_defaults_are_those_of_a1111s_api() -> None:
    request = from_picture(mask=MASK).request
    assert request.init == Init(
        images=(keep(b"picture"),),
        denoising_strength=0.75,
        resize_mode="stretch",
        image_cfg_scale=1.0,
        inpaint=Inpaint(
            mask=keep(b"mask"), content="fill", only_masked=True, masked_padding=0, mask_blur_x=4
        ),
    )


def test_null_is_the_same_as_absent() -> None:
    names = [*Txt2ImgBody.model_fields]
    assert from_text(**dict.fromkeys(names)) == from_text()


def test_every_field_arrives() -> None:
    converted = from_text(
        prompt="a",
        negative_prompt="b",
        styles=["S"],
        seed=7,
        subseed=8,
        subseed_strength=0.5,
        seed_resize_from_w=512,
        seed_resize_from_h=256,
        sampler_name="DPM++ 2M",
        scheduler="exponential",
        batch_size=2,
        n_iter=3,
        steps=11,
        cfg_scale=4.5,
        width=320,
        height=384,
        tiling=True,
        eta=0.3,
        s_churn=1,
        s_tmin=2,
        s_tmax=3,
        s_noise=1.01,
        s_min_uncond=0.2,
        save_images=True,
        refiner_checkpoint="R",
        refiner_switch_at=0.6,
        override_settings={"sd_model_checkpoint": "M", "sd_vae": "V", "emphasis": "None"},
    )
    request = converted.request
    assert converted.warnings == ()
    assert (request.prompt, request.negative_prompt, request.styles) == ("a", "b", ("S",))
    assert request.seed == Seed(
        seed=7, subseed=8, subseed_strength=0.5, resize_from_width=512, resize_from_height=256
    )
    assert (request.sampler, request.schedule) == ("DPM++ 2M", "Exponential")
    assert (request.batch_size, request.batch_count, request.steps) == (2, 3, 11)
    assert (request.width, request.height, request.cfg_scale) == (320, 384, 4.5)
    options = request.sampler_options
    assert (options.eta, options.s_churn, options.s_tmin, options.s_tmax) == (0.3, 1, 2, 3)
    assert (options.s_noise, options.s_min_uncond) == (1.01, 0.2)
    assert request.tiling is True
    assert request.saving == Saving()
    assert request.refiner == Refiner(checkpoint="R", switch_at=0.6)
    assert (request.checkpoint, request.vae) == ("M", "V")
    assert request.overrides == {"emphasis": "None"}
    assert validated(request) == request


@pytest.mark.parametrize(
    ("name", "scheduler", "expected"),
    [
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "Automatic")),
        ("Euler a", "karras", ("Euler a", "Karras")),
        ("Euler SGMUniform", None, ("Euler", "SGM Uniform")),
        ("Euler", "Automatic", ("Euler", "Automatic")),
    ],
)
def test_sampler_names(name: str, scheduler: str | None, expected: tuple[str, str]) -> None:
    converted = from_text(sampler_name=name, scheduler=scheduler)
    assert (converted.request.sampler, converted.request.schedule) == expected
    assert converted.warnings == ()


def test_unknown_names_are_said() -> None:
    converted = from_text(sampler_name="k_euler", scheduler="nosuch")
    assert converted.request.sampler == "DPM++ 2M"
    assert "k_euler" in converted.warnings[0] and "nosuch" in converted.warnings[1]


def test_sampler_index_counts_where_no_name_is_given() -> None:
    assert from_text(sampler_index="DDIM").request.sampler == "DDIM"
    assert from_text(sampler_index="DDIM", sampler_name="LMS").request.sampler == "LMS"


def test_hires() -> None:
    request = from_text(
        enable_hr=True,
        hr_scale=1.5,
        hr_upscaler="Latent (nearest)",
        hr_second_pass_steps=5,
        denoising_strength=0.4,
        hr_checkpoint_name="Use same checkpoint",
        hr_sampler_name="DPM++ 2M Karras",
        hr_prompt="p",
        hr_negative_prompt="n",
    ).request
    assert request.hires == Hires(
        upscaler="Latent (nearest)",
        steps=5,
        denoising_strength=0.4,
        scale=1.5,
        sampler="DPM++ 2M",
        schedule="Automatic",
        prompt="p",
        negative_prompt="n",
    )


def test_hires_without_names_is_latent_and_the_same_sampler() -> None:
    hires = from_text(enable_hr=True, hr_sampler_name="Use same sampler").request.hires
    assert hires == Hires(upscaler="Latent", denoising_strength=0.75)


def test_hires_fields_count_for_nothing_when_it_is_off() -> None:
    assert from_text(hr_scale=3, denoising_strength=0.2).request.hires is None


def test_first_phase_size_swaps_the_roles() -> None:
    request = from_text(
        enable_hr=True, width=1024, height=768, firstphase_width=512, firstphase_height=384
    ).request
    assert (request.width, request.height) == (512, 384)
    assert request.hires is not None
    assert (request.hires.resize_width, request.hires.resize_height) == (1024, 768)


def test_img2img_fields() -> None:
    request = from_picture(
        resize_mode=2,
        image_cfg_scale=2.5,
        denoising_strength=0.3,
        initial_noise_multiplier=0.9,
        mask="data:image/png;base64," + MASK,
        latent_mask=PICTURE,
        mask_blur=7,
        mask_blur_x=1,
        mask_round=False,
        inpainting_fill=3,
        inpaint_full_res=False,
        inpaint_full_res_padding=8,
        inpainting_mask_invert=1,
    ).request
    assert request.init == Init(
        images=(keep(b"picture"),),
        denoising_strength=0.3,
        resize_mode="fill",
        image_cfg_scale=2.5,
        initial_noise_multiplier=0.9,
        inpaint=Inpaint(
            mask=keep(b"mask"),
            latent_mask=keep(b"picture"),
            mask_blur_x=7,
            mask_blur_y=7,
            invert=True,
            content="latent nothing",
            only_masked=False,
            masked_padding=8,
            mask_round=False,
        ),
    )


def test_soft_inpainting_by_position() -> None:
    args = {"Soft inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}}
    request = from_picture(mask=MASK, alwayson_scripts=args).request
    assert request.init.inpaint.soft == SoftInpainting()
    off = {"Soft Inpainting": {"args": [False, 1]}}
    assert from_picture(mask=MASK, alwayson_scripts=off).request.init.inpaint.soft is None


def test_a_script_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="nosuch"):
        from_text(alwayson_scripts={"nosuch": {"args": []}})
    with pytest.raises(InvalidRequest, match="nosuch"):
        from_text(script_name="nosuch")
    assert from_text(alwayson_scripts={"Seed": {"args": [1]}}).warnings == ()


def test_unknown_fields_and_settings_are_reported() -> None:
    converted = from_text(nosuch=1, restore_faces=True, override_settings={"other": 2})
    assert converted.request.overrides == {}
    text = " ".join(converted.warnings)
    assert "'nosuch'" in text and "'other'" in text and "restore_faces" in text


def test_pictures_are_read_by_what_the_caller_gives() -> None:
    asked: list[str] = []

    def read(text: str) -> bytes:
        asked.append(text)
        return bytes_of_base64(PICTURE)

    to_request(Img2ImgBody(init_images=["http://example.org/a.png"]), keep, read=read)
    assert asked == ["http://example.org/a.png"]


def test_sizes_are_cut_to_whole_latents_as_a1111_does() -> None:
    assert from_text(width=101, height=127).request.size == (96, 120)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("steps", 1001),
        ("width", 63),
        ("width", 1 << 20),
        ("height", 0),
        ("batch_size", 65),
        ("n_iter", 0),
        ("cfg_scale", float("nan")),
        ("cfg_scale", float("inf")),
        ("denoising_strength", 1.1),
        ("seed", -2),
        ("subseed_strength", -0.1),
        ("hr_scale", 17),
        ("hr_resize_x", -8),
        ("prompt", "x" * 1_000_001),
        ("styles", ["x"] * 101),
        ("force_task_id", "x" * 201),
        ("eta", -1),
    ],
)
def test_out_of_range_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as error:
        Txt2ImgBody(**{field: value})
    assert error.value.errors()[0]["loc"][0] == field


def test_infotext_fills_what_the_body_leaves_out() -> None:
    text = (
        "a cat\nNegative prompt: dog\nSteps: 12, Sampler: Euler a, Schedule type: Karras, "
        "CFG scale: 3, Seed: 9, Size: 256x320, Clip skip: 2, Denoising strength: 0.4, "
        "Hires upscale: 2, Hires upscaler: Latent"
    )
    settings = Settings()
    pasted = from_infotext(parse_infotext(text, settings), settings)
    body = Txt2ImgBody(steps=30, seed=5, override_settings={"emphasis": "None"})
    request = to_request(body, keep, pasted).request
    assert (request.prompt, request.negative_prompt) == ("a cat", "dog")
    assert (request.steps, request.seed.seed) == (30, 5)
    assert (request.sampler, request.schedule, request.cfg_scale) == ("Euler a", "Karras", 3)
    assert (request.width, request.height) == (256, 320)
    assert request.overrides == {"CLIP_stop_at_last_layers": 2, "emphasis": "None"}
    assert request.hires == Hires(upscaler="Latent", scale=2, denoising_strength=0.4)
    off = to_request(Txt2ImgBody(enable_hr=False, prompt="x"), keep, pasted).request
    assert off.hires is None and off.prompt == "x"
