"""What `/sdapi/v1/txt2img` and `/img2img` take and give: A1111's field names and its API defaults.

They differ from the page's (50 steps, Euler, masked content 'fill', only masked). Where A1111 says
512 x 512 and the client says nothing, the checkpoint's own size is used. null means 'as if absent',
unknown fields are kept and reported.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from webui.request import MAX_PROMPT_CHARS, MAX_SEED, MAX_SIDE, MAX_STEPS

MAX_STYLES = 100
MAX_INIT_IMAGES = 64
MAX_SCRIPT_ARGS = 1000

Text = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]
Name = Annotated[str, Field(max_length=1000)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _whole_latents(side: int) -> int:
    """A1111 takes any size and makes pictures of the next lower multiple of 8."""
    return side // 8 * 8


Side = Annotated[int, Field(ge=64, le=MAX_SIDE), AfterValidator(_whole_latents)]
OptionalSide = Annotated[int, Field(ge=0, le=MAX_SIDE), AfterValidator(_whole_latents)]
ResizeFrom = Annotated[int, Field(ge=-1, le=MAX_SIDE)]
SeedNumber = Annotated[int, Field(ge=-1, le=MAX_SEED)]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
Blur = Annotated[float, Field(ge=0, le=256, allow_inf_nan=False)]
Picture = Annotated[str, Field(description="base64, a data URL, or an http address")]


def _number(most: float) -> Any:  # noqa: ANN401 - pydantic's Field
    return Field(default=None, ge=0, le=most, allow_inf_nan=False)


class Body(BaseModel):
    """A request's body: null is the same as absent, unknown fields do not fail."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:  # noqa: ANN401 - as pydantic hands it in
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if value is not None}
        return values

    @property
    def unknown_fields(self) -> list[str]:
        """Names that no field answers to."""
        return sorted(self.model_extra or {})


class AlwaysOnScript(Body):
    """Arguments of a script that runs with every picture, by position."""

    args: list[Any] = Field(default=[], max_length=MAX_SCRIPT_ARGS)


class GenerationBody(Body):
    """What both routes take.

    Attributes:
        width, height: pixels; absent: the checkpoint's native size, or the first picture's.
        sampler_name: absent: `sampler_index`.
        n_iter: how many batches.
        override_settings: settings for this request, by key.
        alwayson_scripts: by title.
        infotext: fills every field that the request leaves out.
        force_task_id: the job's name at /internal/progress.
    """

    prompt: Text = ""
    negative_prompt: Text = ""
    styles: list[Name] = Field(default=[], max_length=MAX_STYLES)
    seed: SeedNumber = -1
    subseed: SeedNumber = -1
    subseed_strength: Fraction = 0.0
    seed_resize_from_h: ResizeFrom = -1
    seed_resize_from_w: ResizeFrom = -1
    sampler_name: Name | None = None
    sampler_index: Name = "Euler"
    scheduler: Name | None = None
    batch_size: int = Field(default=1, ge=1, le=64)
    n_iter: int = Field(default=1, ge=1, le=1000)
    steps: Steps = 50
    cfg_scale: float = Field(default=7.0, ge=0, le=100, allow_inf_nan=False)
    width: Side | None = None
    height: Side | None = None
    restore_faces: bool = False
    tiling: bool | None = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: float | None = _number(10)
    denoising_strength: Fraction = 0.75
    s_min_uncond: float | None = _number(1000)
    s_churn: float | None = _number(1000)
    s_tmax: float | None = _number(10000)
    s_tmin: float | None = _number(10000)
    s_noise: float | None = _number(10)
    override_settings: dict[Name, Any] = Field(default={}, max_length=500)
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: Name | None = None
    refiner_switch_at: Fraction = 0.0
    disable_extra_networks: bool = False
    firstpass_image: Picture | None = None
    comments: dict[str, Any] = Field(default={}, max_length=500)
    script_name: Name | None = None
    script_args: list[Any] = Field(default=[], max_length=MAX_SCRIPT_ARGS)
    send_images: bool = True
    save_images: bool = False
    alwayson_scripts: dict[Name, AlwaysOnScript] = Field(default={}, max_length=100)
    force_task_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    infotext: Text | None = None


class Txt2ImgBody(GenerationBody):
    """What POST /sdapi/v1/txt2img takes.

    Attributes:
        denoising_strength: of the hires pass.
        firstphase_width, firstphase_height: the old way to ask for a hires pass: they are the first
            pass's size, width and height the final one.
        hr_resize_x, hr_resize_y: target size; both 0: `hr_scale` counts.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "a red apple on a table", "steps": 20, "cfg_scale": 7}]
        }
    )

    enable_hr: bool = False
    firstphase_width: OptionalSide = 0
    firstphase_height: OptionalSide = 0
    hr_scale: float = Field(default=2.0, ge=1, le=16, allow_inf_nan=False)
    hr_upscaler: Name | None = None
    hr_second_pass_steps: int = Field(default=0, ge=0, le=MAX_STEPS)
    hr_resize_x: OptionalSide = 0
    hr_resize_y: OptionalSide = 0
    hr_checkpoint_name: Name | None = None
    hr_sampler_name: Name | None = None
    hr_scheduler: Name | None = None
    hr_prompt: Text = ""
    hr_negative_prompt: Text = ""


class Img2ImgBody(GenerationBody):
    """What POST /sdapi/v1/img2img takes.

    Attributes:
        resize_mode: 0 stretch, 1 crop, 2 fill, 3 latent.
        mask: white is made anew.
        mask_blur: sets both directions.
        inpainting_fill: 0 fill, 1 original, 2 latent noise, 3 latent nothing.
        inpaint_full_res: work on the masked part only.
        include_init_images: echo the pictures in the answer's `parameters`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "prompt": "a watercolour",
                    "init_images": ["data:image/png;base64,iVBORw0KGgo..."],
                    "denoising_strength": 0.6,
                    "steps": 20,
                }
            ]
        }
    )

    init_images: list[Picture] = Field(default=[], max_length=MAX_INIT_IMAGES)
    resize_mode: int = Field(default=0, ge=0, le=3)
    image_cfg_scale: float = Field(default=1.0, ge=0, le=100, allow_inf_nan=False)
    mask: Picture | None = None
    latent_mask: Picture | None = None
    mask_blur_x: Blur = 4
    mask_blur_y: Blur = 4
    mask_blur: Blur | None = None
    mask_round: bool = True
    inpainting_fill: int = Field(default=0, ge=0, le=3)
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = Field(default=0, ge=0, le=1024)
    inpainting_mask_invert: int = Field(default=0, ge=0, le=1)
    initial_noise_multiplier: float | None = _number(10)
    include_init_images: bool = False


class GenerationAnswer(BaseModel):
    """What both routes give.

    Attributes:
        images: base64, without a data URL's head.
        parameters: the request.
        info: JSON text: prompts, seeds, infotexts, warnings, ...
    """

    images: list[str]
    parameters: dict[str, Any]
    info: str
