"""The composition root: builds every long-lived part once and offers them to page and API."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from webui import merging
from webui.accounts import Accounts
from webui.device import device_policy
from webui.drafts import DraftStore
from webui.engine.conditioning import ConditioningCache
from webui.engine.latents import LATENT_UPSCALERS
from webui.engine.task import Workshop
from webui.errors import ModelNotFound, StorageError, UnsupportedModel
from webui.extensions.registry import MARKER, Extensions
from webui.extensions.runs import units_of
from webui.extensions.state import ExtensionState
from webui.extensions.toolbox import HostToolbox, Shelf, pixel_upscalers
from webui.families.base import EncodeOptions
from webui.families.clip import clip_chunker
from webui.flags import Flags
from webui.generation import run
from webui.image_files.archive import Archive
from webui.image_files.infotext_parse import parse_infotext, rename_loras
from webui.image_files.infotext_paste import Pasted, from_infotext
from webui.image_files.metadata import Metadata, read_metadata
from webui.image_files.store import PictureStore
from webui.images.resize import Upscaler
from webui.job_networks import NetworkStock
from webui.jobs.handle import JobHandle
from webui.jobs.job import Job
from webui.jobs.queue import JobQueue
from webui.jobs.worker import Worker
from webui.memory import check_memory, device_bytes
from webui.model_manager.cache import ModelCache
from webui.model_manager.catalog import Catalog, CheckpointFile
from webui.model_manager.hashes import HashWorker
from webui.model_manager.index import FileIndex
from webui.model_manager.library import Library
from webui.model_manager.networks.content import read_notes
from webui.model_manager.networks.embedding_shelf import EmbeddingLists
from webui.model_manager.networks.files import NetworkFile
from webui.model_manager.networks.stock import network_shelf, text_widths_of, vae_rules
from webui.model_manager.recipe import MergeRecipe
from webui.model_manager.selection import CheckpointChoice, ModelStatus, Selection
from webui.paths import Paths
from webui.postprocess import request as extras
from webui.postprocess.job import Bench, run_extras
from webui.postprocess.network import OnTile
from webui.postprocess.request import ExtrasRequest
from webui.postprocess.upscalers import Tiling, Upscalers
from webui.preparation import check_prompts
from webui.prompt.style_store import StyleStore
from webui.prompt.token_count import TokenCount, count_negative_prompt, count_prompt
from webui.request import (
    Defaults,
    GenerationRequest,
    from_json,
    hires_steps,
    resolve,
    to_json,
    validated,
)
from webui.results import Results, SavedFiles
from webui.sampling.catalog import default_catalog
from webui.settings import Settings, SettingsStore, overridden
from webui.studio import Studio

OWNER_LOCAL = "local"
"""The one owner while no passwords are set: every device sees the same jobs and drafts."""
JOB_KIND = "pictures"
STOP_SECONDS = 20.0
PICTURE_ID = re.compile(r'"([0-9a-f]{64})"')
IMPORT_SECONDS = 20.0
"""That an extension's import may take."""


class Services:
    """All long-lived parts; `build` makes them, `start` sets the threads going.

    Attributes:
        queue: of all jobs.
        accounts: users, sessions, API keys.
        pictures: uploaded ones.
        drafts: what was typed but not sent.
        styles: prompt styles.
        results: finished pictures.
        library: model files of all kinds.
    """

    def __init__(self, flags: Flags, paths: Paths) -> None:
        self.flags = flags
        self.paths = paths
        self.settings = SettingsStore(paths.config)
        self.accounts = Accounts(flags.auth, paths.accounts)
        self.pictures = PictureStore(paths.store)
        self.drafts = DraftStore(paths.drafts)
        self.styles = StyleStore([paths.styles, *flags.styles_files])
        self.queue = JobQueue(paths.jobs)
        archive = Archive(paths.work, paths.outputs, paths.results)
        self.results = Results(self.queue, archive, paths.log_images)
        self._sampling = default_catalog()
        self.extensions = Extensions(
            paths.extensions,
            ExtensionState.read(paths.extension_state),
            paths.cache / "extensions" / MARKER,
            safe_mode=flags.safe_mode,
            disabled=flags.disabled_extensions,
            seconds=IMPORT_SECONDS,
        )
        self._index = FileIndex(paths.index)
        self._catalog = Catalog(_checkpoint_folders(flags, paths), self._index)
        self._policy = device_policy(flags.device, flags.dtype, flags.vae_dtype)
        self._cache = ModelCache(
            self._catalog,
            self._policy,
            self.settings.current.sd_checkpoints_limit,
        )
        self._selection = Selection(
            self._catalog, self._cache, paths.program / "models" / "Stable-diffusion", self._chosen
        )
        further = {**flags.model_dirs, "upscaler": _upscaler_folders(flags, paths)}
        self.library = Library(self._catalog, paths.models, self._index, further)
        self._upscalers = Upscalers(
            lambda: self.library.catalog("upscaler"), self._policy, self._upscaler_tiling
        )
        self._hashing = HashWorker(self.library)
        self._is_hashing = False
        shelf = Shelf(paths.models, self._policy)
        workshop = Workshop(self._sampling, ConditioningCache())
        self._networks = NetworkStock(
            network_shelf(self.library),
            vae_rules(self.library, _checkpoint_folders(flags, paths), flags.vae_path),
        )
        self._studio = Studio(
            self._selection,
            workshop,
            self.pictures,
            archive,
            self._networks,
            self.extensions,
            shelf,
        )
        self.extensions.subscribe(self._extensions_changed)
        self.extensions.load()
        self._worker = Worker(self.queue, self._run)
        self._random = random.SystemRandom()
        self.settings.subscribe(self._settings_changed)

    # Life.

    def start(self) -> None:
        """Load the chosen checkpoint behind the page, hash files, work off the queue."""
        self.pictures.forget(self._needed_pictures())
        self._selection.load_behind()
        self._hashing.start()
        self._is_hashing = True
        self.start_working()

    def start_working(self) -> None:
        """Work off the queue, and nothing else."""
        if self.flags.threads is not None:
            torch.set_num_threads(self.flags.threads)
        self._worker.start()

    def stop(self) -> None:
        """Put the running job back and let go of all files."""
        self._worker.stop(STOP_SECONDS)
        self._selection.close(STOP_SECONDS)
        if self._is_hashing:
            self._hashing.stop()
        self.extensions.close()
        self.queue.close()
        self._index.close()

    # Lists.

    def sampler_names(self) -> list[str]:
        """All samplers, in the page's order."""
        return [sampler.name for sampler in self._sampling.samplers]

    def schedule_names(self) -> list[str]:
        """All schedules, in the page's order."""
        return [schedule.label for schedule in self._sampling.schedules]

    def upscalers(self) -> list[str]:
        """Pixel upscalers."""
        more = self.extensions.offers.upscalers.values()
        return [*self._upscalers.names(), *(kind.label for kind in more)]

    def upscaler_files(self) -> dict[str, Path]:
        """Files of the pixel upscalers that have one, by name."""
        return self._upscalers.files()

    def latent_upscalers(self) -> list[str]:
        """Latent upscalers, for the hires pass."""
        return list(LATENT_UPSCALERS)

    def checkpoints(self) -> list[CheckpointChoice]:
        """Checkpoints that can be loaded."""
        return self._selection.choices()

    def checkpoint_files(self) -> Sequence[CheckpointFile]:
        """All checkpoint files, with their hashes where known."""
        return self._catalog.files()

    def refresh_models(self) -> None:
        """Look for new files."""
        self.library.refresh()
        self._networks.shelf.refresh()
        self._networks.vaes.files.refresh()
        self.styles.refresh()

    def loras(self) -> tuple[NetworkFile, ...]:
        """LoRA files and their relatives."""
        return self._networks.shelf.loras.files()

    def lora_alias(self, file: NetworkFile) -> str:
        """The name that a LoRA file gives itself, else the file's."""
        return self._networks.shelf.loras.alias(file)

    def lora_notes(self, file: NetworkFile) -> dict[str, Any]:
        """What a LoRA file says of itself."""
        return read_notes(file.path)

    def hypernetworks(self) -> tuple[NetworkFile, ...]:
        """Hypernetwork files."""
        return self._networks.shelf.hypernetworks.files()

    def vaes(self) -> tuple[NetworkFile, ...]:
        """VAE files."""
        return self._networks.vaes.files.files()

    def embeddings(self) -> EmbeddingLists:
        """Embeddings, by whether the chosen checkpoint understands them."""
        try:
            widths = text_widths_of(self._selection.find("").path)
        except (ModelNotFound, UnsupportedModel):
            widths = {}
        return self._networks.shelf.embeddings.lists(widths)

    # The model.

    def model_status(self) -> ModelStatus:
        """The chosen checkpoint, and how far its loading is."""
        return self._selection.status

    def select_checkpoint(self, name: str) -> None:
        """Choose a checkpoint for good and begin to load it.

        Raises: ModelNotFound, UnsupportedModel: the former choice stays.
        """
        file = self._selection.find(name)
        self._selection.native_size(file)
        self.settings.update({"sd_model_checkpoint": file.title})
        self._selection.load_behind()

    def unload_models(self) -> None:
        """Give up the models in memory, except those in use; the next job loads its own again."""
        self._cache.clear()
        self._upscalers.forget()

    def loaded_models(self) -> int:
        """How many models are in memory."""
        return len(self._cache.loaded())

    def load_model(self) -> None:
        """Load the chosen checkpoint, and wait for it. Raises: ModelNotFound, UnsupportedModel."""
        with self._selection.use(""):
            pass

    # Generation.

    def submit(
        self,
        request: GenerationRequest,
        owner: str,
        job_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Check and complete a request and put it into the queue.

        Args:
            job_id: a name of the caller's own for the job (A1111's ``force_task_id``).
            idempotency_key: the same request under the same key is the same job; seeds that the
                request leaves open are drawn from the key, so that they are the same too.
        Raises:
            InvalidRequest, ModelNotFound, UnsupportedModel, BadImage, OutOfMemory, QueueFull.
        """
        drawn = random.Random(f"{owner}\0{idempotency_key}") if idempotency_key else self._random
        request = self._resolved(validated(request), drawn)
        width, height = request.size
        steps = request.steps + hires_steps(request) * 4
        work = steps * request.picture_count * width * height / 1e6
        return self.queue.submit(
            JOB_KIND,
            to_json(request),
            owner,
            alias=job_id,
            idempotency_key=idempotency_key,
            work=work,
        )

    def submit_merge(self, recipe: MergeRecipe, owner: str) -> Job:
        """Check a merge of checkpoints and put it into the queue.

        Raises: InvalidRequest, ModelNotFound, QueueFull.
        """
        payload = merging.to_json(merging.checked(recipe, self.library))
        return self.queue.submit(merging.MERGE_KIND, payload, owner)

    def _resolved(self, request: GenerationRequest, drawn: random.Random) -> GenerationRequest:
        settings = overridden(self.settings.current, request.overrides)
        file = self._selection.find(request.checkpoint or settings.sd_model_checkpoint)
        init = request.init
        choice = self._sampling.resolve(request.sampler, request.schedule)
        named = replace(request, sampler=choice.sampler.name, schedule=choice.schedule.label)
        defaults = Defaults(
            checkpoint=file.title,
            native_size=self._selection.native_size(file),
            vae=settings.sd_vae,
            tiling=settings.tiling,
            init_size=self.pictures.size(init.images[0]) if init else None,
            save_samples=settings.samples_save,
        )
        if init is not None:
            inpaint = init.inpaint
            masks = (inpaint.mask, inpaint.latent_mask) if inpaint else ()
            for picture in (*init.images, *(mask for mask in masks if mask)):
                self.pictures.open(picture)
        resolved = resolve(named, defaults, drawn)
        model = self._selection.describe(file)
        check_memory(resolved, model, self._policy, device_bytes(self._policy.device))
        check_prompts(resolved, settings)
        units_of(resolved, self.extensions.offers.units)
        return resolved

    def submit_extras(self, request: ExtrasRequest, owner: str, job_id: str | None = None) -> Job:
        """Check a job of the Extras tab and put it into the queue.

        Raises: InvalidRequest, BadImage, QueueFull.
        """
        if request.upscale is not None:
            for name in {request.upscale.upscaler, request.upscale.second} - set(self.upscalers()):
                self._upscalers.find(name)
        pixels = sum(math.prod(self.pictures.size(picture)) for picture in request.pictures)
        payload = extras.to_json(request)
        return self.queue.submit(
            extras.EXTRAS_KIND, payload, owner, alias=job_id, work=pixels / 1e6
        )

    def _run(self, job: JobHandle) -> str:
        if job.job.kind == extras.EXTRAS_KIND:
            return run_extras(job, extras.from_json(job.job.payload), self._bench(job))
        if job.job.kind == merging.MERGE_KIND:
            return merging.run(job, self.library)
        request = from_json(job.job.payload)
        workshop = replace(
            self._studio.workshop, upscalers=self._upscalers.by_name(lambda *_: job.check())
        )
        studio = replace(self._studio, workshop=workshop)
        return run(job, request, self.settings.current, self.styles.book, studio)

    def _bench(self, job: JobHandle) -> Bench:
        toolbox = HostToolbox(self._studio.shelf, self.pictures, job.check)
        more = pixel_upscalers(self.extensions.offers, toolbox, self.extensions.guard)

        def find(name: str, on_tile: OnTile) -> Upscaler | None:
            return more[name] if name in more else self._upscalers.find(name, on_tile)

        return Bench(self.pictures, self._studio.archive, find, self.settings.current)

    # Text.

    def count_tokens(
        self, prompt: str, styles: Sequence[str], steps: int, negative: bool
    ) -> TokenCount:
        """How many tokens a prompt uses, and how many fit into as many chunks."""
        settings = self.settings.current
        chosen = self.styles.book.chosen(styles)
        if not settings.include_styles_into_token_counters:
            chosen = []
        templates = [style.negative_prompt if negative else style.prompt for style in chosen]
        options = EncodeOptions(
            emphasis=settings.emphasis, comma_padding_backtrack=settings.comma_padding_backtrack
        )
        count = count_negative_prompt if negative else count_prompt
        return count(
            prompt,
            clip_chunker(options),
            steps,
            templates=templates,
            comments=settings.enable_prompt_comments,
        )

    def paste(self, text: str) -> Pasted:
        """Read an infotext; '': the last picture's."""
        if not text.strip() and self.paths.params.exists():
            text = self.paths.params.read_text(encoding="utf-8")
        settings = self.settings.current
        params = parse_infotext(text, settings, list(self.styles.book.styles.values()))
        if "Lora hashes" in params:
            params = rename_loras(params, self._networks.shelf.lora_of_hash)
        return from_infotext(params, settings, self._resolve_names)

    def picture_info(self, content: bytes) -> Metadata:
        """What a picture file says of its making.

        Raises: BadImage: it is no picture.
        """
        return read_metadata(content)

    # Finished pictures.

    def result_bytes(self, facts: Mapping[str, Any]) -> bytes:
        """A finished picture's file. Raises: BadImage: it is gone."""
        return self.results.read(facts)

    def delete_picture(self, job_id: str, index: int, owner: str | None) -> None:
        """Delete a finished picture. Raises: JobNotFound, BadImage."""
        self.results.delete(job_id, index, owner)

    def save_pictures(self, job_id: str, indexes: Sequence[int], owner: str | None) -> SavedFiles:
        """Keep finished pictures apart. Raises: JobNotFound, BadImage, StorageError."""
        log = self.settings.current.save_write_log_csv
        return self.results.save(job_id, indexes, owner, log=log)

    def zip_pictures(self, job_id: str, indexes: Sequence[int], owner: str | None) -> bytes:
        """Finished pictures in one archive. Raises: JobNotFound, BadImage."""
        return self.results.zipped(job_id, indexes, owner)

    # Inside.

    def _resolve_names(self, sampler: str, schedule: str) -> tuple[str, str]:
        choice = self._sampling.resolve(sampler, schedule)
        return choice.sampler.name, choice.schedule.label

    def _chosen(self) -> str:
        return self.settings.current.sd_model_checkpoint

    def _upscaler_tiling(self) -> Tiling:
        settings = self.settings.current
        return Tiling(settings.ESRGAN_tile, settings.ESRGAN_tile_overlap)

    def _settings_changed(self, old: Settings, new: Settings) -> None:
        if old.sd_checkpoints_limit != new.sd_checkpoints_limit:
            self._cache.set_limit(new.sd_checkpoints_limit)

    def _extensions_changed(self) -> None:
        offers = self.extensions.offers
        self._sampling = default_catalog().extended(
            offers.samplers.values(), offers.schedules.values()
        )
        workshop = replace(self._studio.workshop, sampling=self._sampling)
        self._studio = replace(self._studio, workshop=workshop)

    def _needed_pictures(self) -> set[str]:
        needed: set[str] = set()
        for payload in self.queue.payloads(JOB_KIND):
            request = from_json(payload)
            needed.update(PICTURE_ID.findall(payload) if request.units else ())
            init = request.init
            if init is not None:
                needed.update(init.images)
                if init.inpaint is not None:
                    needed.add(init.inpaint.mask)
        for payload in self.queue.payloads(extras.EXTRAS_KIND):
            needed.update(extras.from_json(payload).pictures)
        return needed


def build(flags: Flags, paths: Paths) -> Services:
    """Make all parts; nothing runs before `Services.start`.

    Raises: StorageError: another Easel uses this data folder, or it cannot be written to.
    """
    for folder in (paths.data, paths.work, paths.models / "Stable-diffusion"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The folder {folder} cannot be made ({error.strerror}): choose another with"
                " --data-dir."
            ) from error
    return Services(flags, paths)


def _upscaler_folders(flags: Flags, paths: Paths) -> list[Path]:
    """Besides the models folder: the user's further ones, then those that Easel ships."""
    shipped = paths.program / "models" / "upscalers"
    given = list(flags.model_dirs.get("upscaler", ()))
    return given if shipped == paths.models / "upscalers" else [*given, shipped]


def _checkpoint_folders(flags: Flags, paths: Paths) -> list[Path]:
    given = Path(flags.checkpoint) if flags.checkpoint else None
    single = [given.resolve().parent] if given is not None and given.is_file() else []
    return [*paths.checkpoints, *flags.checkpoint_dir, *single]
