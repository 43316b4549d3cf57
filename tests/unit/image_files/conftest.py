import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webui.image_files.infotext import Params, split_infotext
from webui.image_files.infotext_write import PictureFacts
from webui.prompt.styles import Style
from webui.request import (
    GenerationRequest,
    Hires,
    Init,
    Inpaint,
    Refiner,
    SamplerOptions,
    Seed,
    SoftInpainting,
    validated,
)
from webui.sampling.catalog import default_catalog
from webui.settings import Settings, changed

GOLDEN = Path(__file__).parents[2] / "golden"
CONTENTS = ("fill", "original", "latent noise", "latent nothing")
FOUND_WHILE_SAMPLING = ("NGMS", "NGMS all steps", "Pad conds v0", "Token merging ratio")

Case = tuple[GenerationRequest, list[PictureFacts], Settings, list[str]]


@pytest.fixture
def golden() -> Path:
    return GOLDEN


@pytest.fixture
def styles() -> list[Style]:
    with (GOLDEN / "styles.csv").open(encoding="utf-8") as file:
        return [Style(r["name"], r["prompt"], r["negative_prompt"]) for r in csv.DictReader(file)]


@pytest.fixture
def recorded() -> Callable[[str], Case]:
    """A recorded case: request, facts of each picture, settings, the infotexts that A1111 wrote."""
    return _case


def _case(name: str) -> Case:
    record = json.loads((GOLDEN / "pictures" / name).read_text(encoding="utf-8"))
    options = {
        key: value
        for key, value in record["request"].get("override_settings", {}).items()
        if key in Settings.model_fields and key not in ("sd_model_checkpoint", "sd_vae")
    }
    request = _request(record["request"], "img2img" in record["endpoint"])
    info, texts = record["info"], record["info"]["infotexts"]
    facts = [_facts(request, info, index, text) for index, text in enumerate(texts)]
    return request, facts, changed(Settings(randn_source="CPU"), options), texts


def _request(body: dict[str, Any], is_img2img: bool) -> GenerationRequest:
    switch_at = body.get("refiner_switch_at")
    tiling = body.get("tiling") or body.get("override_settings", {}).get("tiling", False)
    return validated(
        GenerationRequest(
            prompt=body["prompt"],
            negative_prompt=body.get("negative_prompt", ""),
            width=body["width"],
            height=body["height"],
            sampler=body["sampler_name"],
            schedule=body.get("scheduler", "Automatic"),
            steps=body["steps"],
            cfg_scale=body["cfg_scale"],
            sampler_options=SamplerOptions(eta=body.get("eta")),
            seed=Seed(
                seed=body.get("seed", -1),
                subseed=body.get("subseed", -1),
                subseed_strength=body.get("subseed_strength", 0.0),
                resize_from_width=max(body.get("seed_resize_from_w", 0), 0),
                resize_from_height=max(body.get("seed_resize_from_h", 0), 0),
            ),
            tiling=tiling,
            hires=_hires(body),
            refiner=(
                Refiner(checkpoint=body["refiner_checkpoint"], switch_at=switch_at)
                if switch_at is not None
                else None
            ),
            init=_init(body) if is_img2img else None,
        )
    )


def _hires(body: dict[str, Any]) -> Hires | None:
    if not body.get("enable_hr"):
        return None
    return Hires(
        upscaler=body["hr_upscaler"],
        denoising_strength=body["denoising_strength"],
        scale=body.get("hr_scale", 2.0),
        resize_width=body.get("hr_resize_x", 0),
        resize_height=body.get("hr_resize_y", 0),
        prompt=body.get("hr_prompt", ""),
        negative_prompt=body.get("hr_negative_prompt", ""),
    )


def _init(body: dict[str, Any]) -> Init:
    inpaint = None
    if "mask" in body:
        blur = body.get("mask_blur")
        soft = body.get("alwayson_scripts", {}).get("Soft inpainting")
        names = SoftInpainting.__dataclass_fields__
        inpaint = Inpaint(
            mask="0",
            mask_blur_x=body.get("mask_blur_x", 4) if blur is None else blur,
            mask_blur_y=body.get("mask_blur_y", 4) if blur is None else blur,
            invert=bool(body.get("inpainting_mask_invert", 0)),
            content=CONTENTS[body.get("inpainting_fill", 0)],  # type: ignore[arg-type]
            only_masked=body.get("inpaint_full_res", True),
            masked_padding=body.get("inpaint_full_res_padding", 0),
            soft=SoftInpainting(**dict(zip(names, soft["args"][1:], strict=True)))
            if soft
            else None,
        )
    return Init(
        images=("0",),
        denoising_strength=body.get("denoising_strength", 0.75),
        image_cfg_scale=body.get("image_cfg_scale"),
        inpaint=inpaint,
    )


def _facts(request: GenerationRequest, info: dict[str, Any], index: int, text: str) -> PictureFacts:
    """Of the recorded text only what nobody can know without sampling is taken."""
    said: Params = split_infotext(text).pairs
    choice = default_catalog().resolve(request.sampler, request.schedule)
    prompt, negative = info["all_prompts"][index], info["all_negative_prompts"][index]
    hires = request.hires
    refiner = said.get("Refiner")
    conditioned = info["is_using_inpainting_conditioning"]
    return PictureFacts(
        prompt=prompt,
        negative_prompt=negative,
        seed=info["all_seeds"][index],
        subseed=info["all_subseeds"][index],
        sampler=choice.sampler,
        schedule=choice.effective_schedule,
        model_name=info["sd_model_name"],
        model_hash=info["sd_model_hash"],
        vae_name=info["sd_vae_name"],
        vae_hash=info["sd_vae_hash"],
        hires_prompt=(hires.prompt or prompt) if hires else "",
        hires_negative_prompt=(hires.negative_prompt or negative) if hires else "",
        hires_sampler=choice.sampler if hires else None,
        hires_schedule=choice.effective_schedule if hires else None,
        refiner=str(refiner) if refiner else None,
        edits_images=info["sd_model_name"] == "tinyP",
        inpainting_conditioning=conditioned and (request.init or hires) is not None,
        networks={key: said[key] for key in ("Lora hashes", "TI hashes") if key in said},
        sampling={key: said[key] for key in FOUND_WHILE_SAMPLING if key in said},
        version="1.10.1",
    )
