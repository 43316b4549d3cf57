"""Whatever is handed in: a sentence with a remedy, nothing half-written, and the next job works."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.tiny.services.conftest import Studio
from tests.tiny.services.test_generation import SMALL
from webui.errors import BadImage, ModelNotFound, StorageError, UnsupportedModel, WebUIError
from webui.images.codec import png_bytes
from webui.jobs.job import EventType
from webui.request import Init, Inpaint
from webui.services import OWNER_LOCAL

Open = Callable[..., Studio]


class RunsCode:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.target,)


@contextmanager
def full_disk(largest_bytes: int) -> Iterator[None]:
    """The system lets no file grow beyond a size, and answers a write as a full disk does."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def noise_png(side: int) -> bytes:
    numbers = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return png_bytes(Image.fromarray(numbers))


def partial_files(studio: Studio) -> list[Path]:
    found = studio.services.paths.data.rglob("*")
    return [path for path in found if path.suffix in (".tmp", ".part")]


def test_checkpoints_that_cannot_be_used(
    open_studio: Open, tiny_checkpoints: Path, tmp_path: Path
) -> None:
    studio = open_studio()
    folder = studio.services.paths.models / "Stable-diffusion"
    whole = (tiny_checkpoints / "tinyA.safetensors").read_bytes()
    (folder / "short.safetensors").write_bytes(whole[: len(whole) // 2])
    torch.save({"a": RunsCode(tmp_path / "executed")}, folder / "code.ckpt")
    save_file({"some.weight": torch.zeros(2)}, folder / "odd.safetensors")
    save_file({"lora_unet_a.lora_up.weight": torch.zeros(2)}, folder / "style.safetensors")
    studio.services.refresh_models()
    bad: dict[str, tuple[type[WebUIError], str]] = {
        "short.safetensors": (UnsupportedModel, "incomplete.*Download it again"),
        "code.ckpt": (UnsupportedModel, "refused.*run code.*safetensors"),
        "odd.safetensors": (UnsupportedModel, "unknown kind"),
        "style.safetensors": (UnsupportedModel, "is a LoRA. Move it to models/Lora"),
        "gone.safetensors": (ModelNotFound, "Put it into models/Stable-diffusion, or choose"),
    }
    before = studio.services.settings.current.sd_model_checkpoint
    for name, (error, sentence) in bad.items():
        with pytest.raises(error, match=sentence):
            studio.services.submit(replace(SMALL, checkpoint=name), OWNER_LOCAL)
        with pytest.raises(error, match=sentence):
            studio.services.select_checkpoint(name)
    assert studio.services.settings.current.sd_model_checkpoint == before
    assert not (tmp_path / "executed").exists()
    assert len(studio.make(SMALL)) == 1


@pytest.mark.parametrize("is_missing", [True, False], ids=["missing", "truncated"])
def test_a_checkpoint_that_is_lost_while_its_job_waits(
    open_studio: Open, tiny_checkpoints: Path, is_missing: bool
) -> None:
    studio = open_studio()
    folder = studio.services.paths.models / "Stable-diffusion"
    for suffix in (".safetensors", ".yaml"):
        shutil.copy((tiny_checkpoints / "tinyB").with_suffix(suffix), folder / f"lost{suffix}")
    studio.services.refresh_models()
    long = studio.services.submit(replace(SMALL, steps=900), OWNER_LOCAL)
    waiting = studio.services.submit(replace(SMALL, checkpoint="lost.safetensors"), OWNER_LOCAL)
    after = studio.services.submit(SMALL, OWNER_LOCAL)
    file = folder / "lost.safetensors"
    whole = file.read_bytes()
    file.unlink()
    if not is_missing:
        file.write_bytes(whole[: len(whole) // 2])
    studio.services.queue.cancel(long.id, OWNER_LOCAL)
    failed = studio.follow(waiting)[-1]
    assert failed.type is EventType.FAILED
    sentence = str(failed.data["error"])
    assert ("lost.safetensors cannot be read" if is_missing else "Download it again") in sentence
    assert studio.follow(after)[-1].type is EventType.DONE


@pytest.mark.parametrize("place", ["images", "mask", "latent_mask"])
def test_a_cut_picture_is_refused_before_it_waits(open_studio: Open, place: str) -> None:
    studio = open_studio()
    whole = noise_png(64)
    good = studio.services.pictures.put(whole)
    cut = studio.services.pictures.put(whole[: len(whole) // 2])
    chosen = {"images": good, "mask": good, "latent_mask": good} | {place: cut}
    inpaint = Inpaint(mask=chosen["mask"], latent_mask=chosen["latent_mask"])
    request = replace(SMALL, init=Init(images=(chosen["images"],), inpaint=inpaint))
    with pytest.raises(BadImage, match=r"damaged.*Save it anew, or choose another"):
        studio.services.submit(request, OWNER_LOCAL)
    assert studio.services.queue.list_jobs(OWNER_LOCAL) == []


def test_a_full_disk_leaves_nothing_half_written(open_studio: Open) -> None:
    studio = open_studio()
    services = studio.services
    with full_disk(20):
        for act in (
            lambda: services.pictures.put(noise_png(64)),
            lambda: services.drafts.put(OWNER_LOCAL, {"prompt": "a red cat, detailed"}),
            lambda: services.settings.update({"samples_filename_pattern": "[seed]-[date]"}),
        ):
            with pytest.raises(StorageError, match=r"[Mm]ake room"):
                act()
    assert partial_files(studio) == []
    assert len(studio.make(SMALL)) == 1


def test_a_disk_that_is_full_when_a_picture_is_saved(open_studio: Open) -> None:
    studio = open_studio()
    large = replace(SMALL, width=512, height=512, steps=1)
    with full_disk(300_000):
        failed = studio.follow(studio.services.submit(large, OWNER_LOCAL))[-1]
    assert failed.type is EventType.FAILED
    assert "the disk is full. Make room, then try again." in str(failed.data["error"])
    assert partial_files(studio) == []
    assert list(studio.services.paths.outputs.rglob("*.png")) == []
    assert len(studio.make(SMALL)) == 1


@pytest.mark.parametrize("prompt", ["a" * 100_000, "[" * 100_000 + "a:b:3]"])
def test_a_prompt_of_a_hundred_thousand_characters_is_carried_out(
    open_studio: Open, prompt: str
) -> None:
    studio = open_studio()
    assert len(studio.make(replace(SMALL, prompt=prompt, steps=1))) == 1
    assert len(studio.make(SMALL)) == 1
