"""From a request to files: seeds and batches, grids, infotexts, stopping, bad input."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.tiny.services.conftest import Studio
from webui.errors import BadImage, InvalidRequest, ModelNotFound, OutOfMemory
from webui.images.codec import png_bytes
from webui.jobs.job import EventType, JobState
from webui.request import GenerationRequest, Hires, Init, Inpaint, Refiner, Seed
from webui.services import OWNER_LOCAL

SMALL = GenerationRequest(
    prompt="a red cat, detailed",
    checkpoint="tinyA.safetensors",
    width=64,
    height=64,
    steps=3,
    sampler="Euler a",
    seed=Seed(seed=7, subseed=70),
)
Open = Callable[..., Studio]


def pixels(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.int16)


def test_picture_lands_in_its_dated_folder_with_its_infotext(open_studio: Open) -> None:
    studio = open_studio()
    (unit,) = studio.make(SMALL)
    path = studio.services.paths.data / str(unit.facts["path"])
    assert path.parent.parent == studio.services.paths.outputs / "txt2img-images"
    assert path.name == "00001-7.png"
    text = Image.open(path).text["parameters"]  # type: ignore[attr-defined]
    assert text == unit.facts["infotext"]
    assert "Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 7" in text
    assert "Model hash: 1414bfe088, Model: tinyA" in text


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE", "DPM adaptive", "DDIM"])
def test_picture_of_a_batch_equals_the_single_one(open_studio: Open, sampler: str) -> None:
    studio = open_studio(grid_save=False, return_grid=False)
    request = replace(SMALL, sampler=sampler)
    batch = studio.make(replace(request, batch_size=2))
    (single,) = studio.make(replace(request, seed=Seed(seed=8, subseed=71)))
    assert [unit.facts["seed"] for unit in batch] == [7, 8]
    apart = np.abs(pixels(studio.content(batch[1])) - pixels(studio.content(single)))
    assert apart.max() <= 1


def test_batch_invariant_pictures_are_equal_to_the_bit(open_studio: Open) -> None:
    studio = open_studio(batch_invariant=True, return_grid=False, grid_save=False)
    batch = studio.make(replace(SMALL, batch_size=3, batch_count=2))
    for index, unit in enumerate(batch):
        (single,) = studio.make(replace(SMALL, seed=Seed(seed=7 + index, subseed=70 + index)))
        assert (pixels(studio.content(unit)) == pixels(studio.content(single))).all()


def test_several_pictures_get_a_grid(open_studio: Open) -> None:
    studio = open_studio()
    units = studio.make(replace(SMALL, batch_count=3))
    assert [unit.facts["kind"] for unit in units] == ["image"] * 3 + ["grid"]
    grid = Image.open(io.BytesIO(studio.content(units[-1])))
    assert grid.size == (128, 128)
    assert "txt2img-grids" in str(units[-1].facts["path"])


def test_tiling_wraps_around_and_is_undone(open_studio: Open) -> None:
    studio = open_studio()
    (before,) = studio.make(SMALL)
    (tiled,) = studio.make(replace(SMALL, tiling=True))
    (after,) = studio.make(SMALL)
    assert (pixels(studio.content(before)) == pixels(studio.content(after))).all()
    assert (pixels(studio.content(before)) != pixels(studio.content(tiled))).any()


def test_refiner_takes_over(open_studio: Open) -> None:
    studio = open_studio()
    (plain,) = studio.make(SMALL)
    never = replace(SMALL, refiner=Refiner(checkpoint="tinyB.safetensors", switch_at=1.0))
    (unrefined,) = studio.make(never)
    at_once = replace(SMALL, refiner=Refiner(checkpoint="tinyB.safetensors", switch_at=0.0))
    (refined,) = studio.make(at_once)
    (other,) = studio.make(replace(SMALL, checkpoint="tinyB.safetensors"))
    assert (pixels(studio.content(plain)) == pixels(studio.content(unrefined))).all()
    assert (pixels(studio.content(refined)) == pixels(studio.content(other))).all()
    assert "Refiner: tinyB [324053a69e], Refiner switch at: 0" in str(refined.facts["infotext"])
    assert "Refiner" not in str(unrefined.facts["infotext"])


def test_skip_gives_up_one_batch_only(open_studio: Open) -> None:
    studio = open_studio(return_grid=False, grid_save=False)
    job = studio.services.submit(replace(SMALL, batch_count=3, steps=40), OWNER_LOCAL)
    skipped = False
    for event in studio.services.queue.subscribe(job.id, OWNER_LOCAL, timeout_seconds=60):
        if event.type is EventType.STEP and event.data["job_no"] == 1 and not skipped:
            studio.services.queue.skip(job.id, OWNER_LOCAL)
            skipped = True
    assert [unit.index for unit in studio.units(job)] == [0, 2]
    assert studio.services.queue.get(job.id, OWNER_LOCAL).state is JobState.DONE


def test_interrupt_shows_the_unfinished_picture_but_does_not_save_it(open_studio: Open) -> None:
    studio = open_studio()
    job = studio.services.submit(replace(SMALL, batch_count=3, steps=60), OWNER_LOCAL)
    for event in studio.services.queue.subscribe(job.id, OWNER_LOCAL, timeout_seconds=60):
        if event.type is EventType.STEP and event.data["step"] == 2:
            studio.services.queue.cancel(job.id, OWNER_LOCAL)
    assert studio.services.queue.get(job.id, OWNER_LOCAL).state is JobState.INTERRUPTED
    (unit,) = studio.units(job)
    assert str(unit.facts["path"]).startswith("cache/results/")
    assert pixels(studio.content(unit)).shape == (64, 64, 3)


def test_stop_after_current_keeps_the_finished_picture(open_studio: Open) -> None:
    studio = open_studio(return_grid=False, grid_save=False)
    job = studio.services.submit(replace(SMALL, batch_count=4, steps=30), OWNER_LOCAL)
    for event in studio.services.queue.subscribe(job.id, OWNER_LOCAL, timeout_seconds=60):
        if event.type is EventType.STEP and event.data["step"] == 2:
            studio.services.queue.cancel_after_current(job.id, OWNER_LOCAL)
    assert [unit.index for unit in studio.units(job)] == [0]
    assert str(studio.units(job)[0].facts["path"]).startswith("outputs/")


def picture(studio: Studio, mode: str, color: object, size: tuple[int, int] = (64, 64)) -> str:
    image = Image.new(mode, size, color)  # type: ignore[arg-type]
    return studio.services.pictures.put(png_bytes(image))


def test_inpainting_keeps_what_is_not_masked(open_studio: Open) -> None:
    studio = open_studio()
    image = picture(studio, "RGB", (200, 40, 40))
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    inpaint = Inpaint(
        mask=studio.services.pictures.put(png_bytes(mask)), mask_blur_x=0, mask_blur_y=0
    )
    init = Init(images=(image,), denoising_strength=0.9, inpaint=inpaint)
    (unit,) = studio.make(replace(SMALL, init=init))
    got = pixels(studio.content(unit))
    outside = np.ones((64, 64), dtype=bool)
    outside[16:48, 16:48] = False
    assert (got[outside] == (200, 40, 40)).all()
    assert (np.abs(got[~outside] - (200, 40, 40)).max(axis=1) > 8).mean() > 0.5
    assert "img2img-images" in str(unit.facts["path"])


def test_a_blank_mask_is_plain_img2img_with_a_warning(open_studio: Open) -> None:
    studio = open_studio()
    inpaint = Inpaint(mask=picture(studio, "L", 0), only_masked=True)
    init = Init(images=(picture(studio, "RGB", (0, 90, 0)),), inpaint=inpaint)
    job = studio.services.submit(replace(SMALL, init=init), OWNER_LOCAL)
    warnings = [e.data["text"] for e in studio.follow(job) if e.type is EventType.WARNING]
    assert len(warnings) == 1
    assert "mask is blank" in str(warnings[0])


def test_a_mask_of_another_size_is_stretched(open_studio: Open) -> None:
    studio = open_studio()
    inpaint = Inpaint(mask=picture(studio, "L", 255, (40, 20)))
    init = Init(images=(picture(studio, "RGB", (0, 90, 0)),), inpaint=inpaint)
    (unit,) = studio.make(replace(SMALL, init=init))
    assert pixels(studio.content(unit)).shape == (64, 64, 3)


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos", "None"])
def test_hires_pass_makes_the_larger_picture(open_studio: Open, upscaler: str) -> None:
    studio = open_studio()
    (unit,) = studio.make(replace(SMALL, hires=Hires(upscaler=upscaler, scale=1.5, steps=2)))
    assert pixels(studio.content(unit)).shape == (96, 96, 3)
    assert "Hires upscale: 1.5, Hires steps: 2" in str(unit.facts["infotext"])


def test_a_hires_checkpoint_of_its_own_is_left_out_with_a_warning(open_studio: Open) -> None:
    studio = open_studio()
    hires = Hires(scale=1.5, steps=1, checkpoint="tinyB.safetensors")
    job = studio.services.submit(replace(SMALL, hires=hires), OWNER_LOCAL)
    warnings = [e.data["text"] for e in studio.follow(job) if e.type is EventType.WARNING]
    assert len(warnings) == 1
    assert "hires checkpoint" in str(warnings[0])
    (unit,) = studio.units(job)
    assert "Hires checkpoint" not in str(unit.facts["infotext"])


BAD: list[tuple[dict[str, object], type[Exception], str]] = [
    ({"width": 100}, InvalidRequest, "multiple of 8"),
    ({"steps": 0}, InvalidRequest, "at least 1"),
    ({"steps": 1_000_000}, InvalidRequest, "at most"),
    ({"checkpoint": "no such model"}, ModelNotFound, "no such model"),
    ({"prompt": "(a:1.2.3)"}, InvalidRequest, "1.2.3"),
    ({"init": Init(images=("a" * 64,))}, BadImage, "again"),
    ({"overrides": {"sd_checkpoints_limit": 3}}, InvalidRequest, "cannot be overridden"),
]


@pytest.mark.parametrize(("changes", "error", "words"), BAD)
def test_bad_requests_are_refused_at_once(
    open_studio: Open, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    studio = open_studio()
    with pytest.raises(error, match=words):
        studio.services.submit(replace(SMALL, **changes), OWNER_LOCAL)  # type: ignore[arg-type]
    assert studio.services.queue.list_jobs(OWNER_LOCAL) == []


def test_what_cannot_fit_into_memory_is_refused_before_it_waits(
    open_studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = open_studio()
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=2**20))
    with pytest.raises(OutOfMemory, match=r"has 0\.0 GiB: choose a smaller size or batch"):
        studio.services.submit(replace(SMALL, width=512, height=512), OWNER_LOCAL)
    assert studio.services.queue.list_jobs(OWNER_LOCAL) == []


@pytest.mark.parametrize("prompt", ["cat, " * 20_000, "(" * 100_000, "[" * 100_000 + "a:b:3]"])
def test_monstrous_prompts_do_not_stop_the_queue(open_studio: Open, prompt: str) -> None:
    studio = open_studio()
    job = studio.services.submit(replace(SMALL, prompt=prompt, steps=1), OWNER_LOCAL)
    studio.services.queue.cancel(job.id, OWNER_LOCAL)
    studio.follow(job)
    assert len(studio.make(SMALL)) == 1


def test_unreadable_files_fail_with_a_sentence_and_the_queue_goes_on(
    open_studio: Open, tiny_checkpoints: Path
) -> None:
    studio = open_studio()
    whole = (tiny_checkpoints / "tinyA.safetensors").read_bytes()
    folder = studio.services.paths.models / "Stable-diffusion"
    (folder / "truncated.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.safetensors").write_text("not a model")
    for name in ("truncated", "notes"):
        with pytest.raises(Exception, match=name):
            studio.services.submit(replace(SMALL, checkpoint=f"{name}.safetensors"), OWNER_LOCAL)
    assert len(studio.make(SMALL)) == 1


def test_a_full_disk_fails_the_job_and_leaves_nothing_half_written(open_studio: Open) -> None:
    studio = open_studio()
    outputs = studio.services.paths.outputs
    outputs.parent.mkdir(parents=True, exist_ok=True)
    outputs.write_text("a file where the folder should be")
    job = studio.services.submit(SMALL, OWNER_LOCAL)
    last = studio.follow(job)[-1]
    assert last.type is EventType.FAILED
    assert "saved" in str(last.data)
    outputs.unlink()
    assert len(studio.make(SMALL)) == 1
    assert [path.suffix for path in outputs.rglob("*") if path.is_file()] == [".png"]


def test_the_result_says_how_many_pictures(open_studio: Open) -> None:
    studio = open_studio()
    job = studio.services.submit(replace(SMALL, batch_count=2), OWNER_LOCAL)
    studio.follow(job)
    done = studio.services.queue.get(job.id, OWNER_LOCAL)
    assert json.loads(done.result or "") == {"pictures": 3}
