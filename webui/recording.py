"""Turn the engine's pictures into files and units of the job, each exactly once."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from PIL import Image
from torch import Tensor

from webui import __version__
from webui.engine.generate import EMBEDDINGS, REFINED
from webui.engine.preview import preview_jpeg
from webui.engine.task import Outcome, Picture, Prompts, Task
from webui.families.base import ImageInput
from webui.image_files.archive import Archive, Kind, Place
from webui.image_files.filenames import FileNameFacts
from webui.image_files.infotext_write import PictureFacts, to_infotext
from webui.images.grid import exceeds, grid_rows, image_grid
from webui.jobs.handle import JobHandle
from webui.jobs.job import JsonObject
from webui.request import Batch, GenerationRequest
from webui.sampling.catalog import Catalog
from webui.settings import Settings

_EXTRAS: tuple[Kind, ...] = ("mask", "mask composite", "before hires", "before color")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Names, writes and reports the pictures of one job.

    Attributes:
        prompts: with styles, tags and all: what infotexts show.
        created: when the job first ran; part of file names.
        model_name, model_hash: of the checkpoint.
        image_input: what its network reads beside latents.
        vae: file name and hash; None: the checkpoint's own.
        networks: what infotexts say of extra networks, for names of embeddings.
    """

    job: JobHandle
    request: GenerationRequest
    settings: Settings
    archive: Archive
    sampling: Catalog
    prompts: Prompts
    unstyled_prompt: str
    created: datetime
    model_name: str
    model_hash: str
    image_input: ImageInput
    vae: tuple[str, str] | None = None
    networks: Callable[[tuple[str, ...]], Mapping[str, str]] = lambda _names: {}

    def is_done(self, batch: Batch) -> bool:
        """Whether every picture of a batch was made by an earlier run."""
        return all(index in self.job.finished for index in _indexes(batch))

    def record(self, batch: Batch, outcome: Outcome) -> None:
        """Write the pictures of a batch that are not on disk yet."""
        for warning in outcome.warnings:
            self.job.warn(warning)
        is_wanted = outcome.is_complete or self.settings.save_incomplete_images
        is_saved = bool(self.request.saving.samples) and is_wanted
        for offset, picture in enumerate(outcome.pictures):
            index = batch.first_picture + offset
            if index in self.job.finished:
                continue
            text = self._infotext(batch, offset, outcome.notes)
            facts = self._facts_of(batch.index, batch.seeds[offset], offset)
            subseed = batch.subseeds[offset]
            for kind, image, saved in self._extras(picture):
                extra = self.request.picture_count + 1 + len(_EXTRAS) * index + _EXTRAS.index(kind)
                if extra not in self.job.finished:
                    self._write(
                        extra, kind, image, text, facts, subseed, is_saved=is_saved and saved
                    )
            self._write(index, "image", picture.image, text, facts, subseed, is_saved=is_saved)

    def record_grid(self) -> None:
        """Make the overview of several pictures, where the settings ask for one."""
        settings, request = self.settings, self.request
        index = request.picture_count
        done = self.job.finished
        pictures = [done[i] for i in range(request.picture_count) if i in done]
        wanted = request.saving.grid and (settings.return_grid or settings.grid_save)
        too_few = len(pictures) < 2 and settings.grid_only_if_multiple
        if index in done or not wanted or too_few or not pictures:
            return
        images = [self._opened(facts) for facts in pictures]
        if exceeds(images, settings.img_max_size_mp):
            self.job.warn("The grid would be too large: none was made.")
            return
        rows = grid_rows(
            len(images),
            settings.n_rows,
            request.batch_size,
            full=settings.grid_prevent_empty_spots,
        )
        grid = image_grid(images, rows, settings.grid_background_color)
        first = str(pictures[0]["infotext"])
        facts = self._facts_of(0, request.seed.seed, 0)
        subseed = request.seed.subseed
        self._write(index, "grid", grid, first, facts, subseed, is_saved=settings.grid_save)

    def _write(
        self,
        index: int,
        kind: Kind,
        image: Image.Image,
        infotext: str,
        facts: FileNameFacts,
        subseed: int,
        *,
        is_saved: bool,
    ) -> None:
        place = Place(kind, self.request.init is not None, is_saved, self.job.job.id, index)
        taken = [str(unit["path"]) for unit in self.job.reserved_elsewhere()]
        planned = self.archive.plan(place, image.size, facts, self.settings, taken)
        path = str(self.job.begin_unit(index, {"path": planned})["path"])
        written = self.archive.write(path, image, infotext, self.settings)
        for warning in written.warnings:
            self.job.warn(warning)
        self.job.finish_unit(
            index,
            {
                "kind": kind,
                "path": path,
                "is_saved": is_saved,
                "infotext": infotext,
                "seed": facts.seed,
                "subseed": subseed,
                "width": image.width,
                "height": image.height,
            },
        )

    def _extras(self, picture: Picture) -> Iterable[tuple[Kind, Image.Image, bool]]:
        settings = self.settings
        found: tuple[tuple[Kind, Image.Image | None, bool], ...] = (
            ("mask", picture.mask, settings.save_mask),
            ("mask composite", picture.mask_composite, settings.save_mask_composite),
            ("before hires", picture.before_hires, True),
            ("before color", picture.before_color, True),
        )
        return ((kind, image, saved) for kind, image, saved in found if image is not None)

    def _opened(self, facts: JsonObject) -> Image.Image:
        return Image.open(io.BytesIO(self.archive.read(str(facts["path"]))))

    def _infotext(self, batch: Batch, offset: int, notes: Mapping[str, object]) -> str:
        request, hires = self.request, self.request.hires
        choice = self.sampling.resolve(request.sampler, request.schedule)
        second = None
        if hires is not None:
            second = self.sampling.resolve(
                hires.sampler or request.sampler, hires.schedule or request.schedule
            )
        facts = PictureFacts(
            prompt=self.prompts.positive,
            negative_prompt=self.prompts.negative,
            hires_prompt=self.prompts.hires_positive,
            hires_negative_prompt=self.prompts.hires_negative,
            seed=batch.seeds[offset],
            subseed=batch.subseeds[offset],
            sampler=choice.sampler,
            schedule=choice.effective_schedule,
            hires_sampler=second.sampler if second else None,
            hires_schedule=second.effective_schedule if second else None,
            model_name=self.model_name,
            model_hash=self.model_hash,
            vae_name=self.vae[0] if self.vae else None,
            vae_hash=self.vae[1] if self.vae else None,
            networks=self.networks(outcome_embeddings(notes)),
            edits_images=self.image_input == "edit",
            inpainting_conditioning=self.image_input == "inpaint"
            and (request.init is not None or hires is not None),
            sampling={
                key: value for key, value in notes.items() if key not in (REFINED, EMBEDDINGS)
            },
            refiner=str(notes[REFINED]) if REFINED in notes else None,
            version=f"Easel {__version__}",
        )
        return to_infotext(request, facts, self.settings)

    def _facts_of(self, batch_index: int, seed: int, offset: int) -> FileNameFacts:
        request = self.request
        width, height = request.size
        choice = self.sampling.resolve(request.sampler, request.schedule)
        part = request.init or request.hires
        return FileNameFacts(
            created=self.created,
            job_timestamp=self.created.strftime("%Y%m%d%H%M%S"),
            seed=seed,
            seed_first=request.seed.seed,
            seed_last=request.seed.seed + request.picture_count - 1,
            prompt=self.prompts.positive,
            prompt_no_styles=self.unstyled_prompt,
            negative_prompt=self.prompts.negative,
            styles=request.styles,
            steps=request.steps,
            cfg_scale=request.cfg_scale,
            width=width,
            height=height,
            sampler=choice.sampler.name,
            schedule=choice.effective_schedule.label,
            model_hash=self.model_hash,
            model_name=self.model_name,
            vae_file=self.vae[0] if self.vae else None,
            clip_skip=self.settings.CLIP_stop_at_last_layers,
            denoising_strength=part.denoising_strength if part else None,
            batch_size=request.batch_size,
            batch_count=request.batch_count,
            batch_index=batch_index,
            index_in_batch=offset,
            user=self.job.job.owner,
        )


def outcome_embeddings(notes: Mapping[str, object]) -> tuple[str, ...]:
    """The names of embeddings among an outcome's notes."""
    names = notes.get(EMBEDDINGS, ())
    assert isinstance(names, tuple)
    return names


def _indexes(batch: Batch) -> range:
    return range(batch.first_picture, batch.first_picture + batch.size)


class JobWatch:
    """Hands the engine's steps and previews to the job."""

    def __init__(self, job: JobHandle, task: Task, colors: Tensor) -> None:
        self._job = job
        self._task = task
        self._colors = colors

    def enter_pass(self, number: int, count: int) -> None:
        """See `engine.task.Watch`."""
        if number:
            self._job.enter_pass(
                self._task.batch.index * count + number, self._task.request.batch_count * count
            )

    def step(self, index: int, total: int, denoised: Tensor) -> None:
        """See `engine.task.Watch`."""
        settings = self._task.settings
        every = settings.show_progress_every_n_steps
        if settings.live_previews_enable and every > 0 and index % every == 0 and index < total:
            self._job.preview(preview_jpeg(denoised, self._colors))
        self._job.step(index, total)
