"""Which checkpoint is chosen, and what becomes of loading it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from webui.errors import Interrupted, ModelNotFound, WebUIError
from webui.families.base import LoadedModel
from webui.model_manager.cache import ModelCache
from webui.model_manager.catalog import Catalog, CheckpointFile
from webui.model_manager.index import FileVersion
from webui.model_manager.info import ModelInfo, describe_checkpoint
from webui.model_manager.loader import OnProgress, ignore_progress

logger = logging.getLogger(__name__)
FALLBACK_SIZE = (512, 512)


@dataclass(frozen=True, slots=True)
class CheckpointChoice:
    """A checkpoint for the dropdown.

    Attributes:
        width, height: native size, pixels.
        is_bundled: it is the one that Easel ships.
    """

    title: str
    name: str
    family: str
    width: int
    height: int
    is_bundled: bool


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """The chosen checkpoint.

    Attributes:
        fraction: 0 to 1 while it is loading.
        message: a sentence; "" if there is nothing to say.
        native: (width, height), pixels.
    """

    title: str
    state: Literal["loading", "ready", "failed", "none"]
    fraction: float = 0.0
    message: str = ""
    native: tuple[int, int] = FALLBACK_SIZE


class Selection:
    """The chosen checkpoint over catalog and cache; thread-safe.

    Args:
        bundled: the folder of what Easel ships.
        chosen: asked for the name that the user chose, "" if none.
    """

    def __init__(
        self, catalog: Catalog, cache: ModelCache, bundled: Path, chosen: Callable[[], str]
    ) -> None:
        self._catalog = catalog
        self._cache = cache
        self._bundled = bundled
        self._chosen = chosen
        self._infos: dict[FileVersion, ModelInfo | str] = {}
        self._lock = threading.Lock()
        self._behind: list[threading.Thread] = []
        self._is_closed = False
        self._status = self._resting_status()

    @property
    def status(self) -> ModelStatus:
        """What the header shows."""
        return self._status

    def choices(self) -> list[CheckpointChoice]:
        """All checkpoints that can be loaded."""
        found = []
        for file in self._catalog.files():
            info = self._info(file)
            if isinstance(info, ModelInfo):
                found.append(self._choice(file, info))
        return found

    def file(self, name: str) -> CheckpointFile:
        """The file that a name means ("": the chosen one, else the first), with its hash.

        Raises: ModelNotFound: no file answers to it, or there is none at all.
        """
        return self._catalog.hashed(self.find(name))

    def find(self, name: str) -> CheckpointFile:
        """Like `file`, but without waiting for the hash."""
        wanted = name or self._chosen()
        if wanted:
            try:
                return self._catalog.find(wanted)
            except ModelNotFound:
                if name:
                    raise
        files = [file for file in self._catalog.files() if isinstance(self._info(file), ModelInfo)]
        own = [file for file in files if not self._is_bundled(file)]
        if not files:
            raise ModelNotFound("There is no checkpoint: put one into models/Stable-diffusion.")
        return (own or files)[0]

    def native_size(self, file: CheckpointFile) -> tuple[int, int]:
        """(width, height) that a checkpoint was made for.

        Raises: UnsupportedModel: it is no checkpoint.
        """
        info = self.describe(file)
        return info.native_width, info.native_height

    def describe(self, file: CheckpointFile) -> ModelInfo:
        """What a checkpoint is, from its header.

        Raises: UnsupportedModel: it is no checkpoint.
        """
        info = self._info(file)
        return describe_checkpoint(file) if isinstance(info, str) else info

    @contextmanager
    def use(self, name: str, on_progress: OnProgress = ignore_progress) -> Iterator[LoadedModel]:
        """Load a checkpoint if need be; the header follows.

        Raises: ModelNotFound, UnsupportedModel, OutOfMemory.
        """
        file = self.find(name)

        def progress(fraction: float) -> None:
            self._tell(file, "loading", fraction)
            on_progress(fraction)

        try:
            with self._cache.use(file.name, progress) as model:
                self._tell(file, "ready")
                yield model
        except WebUIError:
            if self._status.state == "loading":
                self._status = self._resting_status()
            raise

    def load_behind(self) -> None:
        """Load the chosen checkpoint in a thread of its own."""
        thread = threading.Thread(target=self._load, name="model loading", daemon=True)
        self._behind = [one for one in self._behind if one.is_alive()] + [thread]
        thread.start()

    def close(self, seconds: float) -> None:
        """Give up what is loaded behind; waits for it, at most so long."""
        self._is_closed = True
        for thread in self._behind:
            thread.join(seconds)

    def _go_on(self, _fraction: float) -> None:
        if self._is_closed:
            raise Interrupted

    def _load(self) -> None:
        try:
            with self.use("", self._go_on):
                pass
        except Interrupted:
            self._status = self._resting_status()
        except WebUIError as error:
            logger.warning("the checkpoint was not loaded: %s", error)
            self._status = replace(self._status, state="failed", message=str(error))

    def _tell(
        self, file: CheckpointFile, state: Literal["loading", "ready"], fraction: float = 1.0
    ) -> None:
        self._status = ModelStatus(
            self._title(file), state, fraction, native=self.native_size(file)
        )

    def _resting_status(self) -> ModelStatus:
        try:
            file = self.find("")
            return ModelStatus(self._title(file), "loading", native=self.native_size(file))
        except WebUIError as error:
            return ModelStatus("", "none", message=str(error))

    def _title(self, file: CheckpointFile) -> str:
        return next(
            (one.title for one in self._catalog.files() if one.name == file.name), file.name
        )

    def _is_bundled(self, file: CheckpointFile) -> bool:
        return file.path.parent == self._bundled and file.stem.startswith("easel-")

    def _info(self, file: CheckpointFile) -> ModelInfo | str:
        """What is known of a file, or why it is no checkpoint."""
        with self._lock:
            if file.version not in self._infos:
                try:
                    self._infos[file.version] = describe_checkpoint(file)
                except WebUIError as error:
                    self._infos[file.version] = str(error)
            return self._infos[file.version]

    def _choice(self, file: CheckpointFile, info: ModelInfo) -> CheckpointChoice:
        return CheckpointChoice(
            title=file.title,
            name=file.model_name,
            family=info.family_id,
            width=info.native_width,
            height=info.native_height,
            is_bundled=self._is_bundled(file),
        )
