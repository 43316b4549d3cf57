"""Loaded models: `with models.use(name) as model`. A few stay; the one used longest ago goes."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from webui.device import DevicePolicy
from webui.families.base import LoadedModel, Networks
from webui.model_manager.catalog import Catalog, CheckpointFile
from webui.model_manager.index import FileVersion
from webui.model_manager.info import ModelInfo, describe_checkpoint
from webui.model_manager.loader import (
    Candidate,
    OnProgress,
    allocate,
    ignore_progress,
    open_checkpoint,
    read_facts,
    read_weights,
    sized,
)


@dataclass(slots=True)
class _Resident:
    """A model in memory.

    Args:
        pins: how many callers use it just now; it stays as long as there are any.
    """

    model: LoadedModel
    architecture: str
    pins: int = 0


class ModelCache:
    """The models in memory; safe to use from several threads.

    One model is loaded at a time. A model in use is never touched: where all that are in memory are
    in use, one more than `limit` is loaded. A file that fails a check leaves everything as it was;
    a read that fails or is given up half-way costs the model whose place it took, which is read
    again when it is next asked for.

    Args:
        catalog: resolves names.
        policy: where and in which formats models are loaded.
        limit: how many models stay in memory, at least 1.
    """

    def __init__(self, catalog: Catalog, policy: DevicePolicy, limit: int = 1) -> None:
        self._catalog = catalog
        self._policy = policy
        self._limit = max(1, limit)
        self._residents: OrderedDict[FileVersion, _Resident] = OrderedDict()
        self._infos: dict[FileVersion, ModelInfo] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    @contextmanager
    def use(
        self, checkpoint: str, on_progress: OnProgress = ignore_progress
    ) -> Iterator[LoadedModel]:
        """Load a checkpoint if it is not in memory, and keep it there for the duration.

        Args:
            checkpoint: any name that `Catalog.find` knows.
            on_progress: called while loading, with 0 to 1; may raise `JobStopped`.
        Raises:
            ModelNotFound, UnsupportedModel, OutOfMemory: with the reason.
        """
        version = self._catalog.find(checkpoint).version
        resident = self._pin(version) or self._load_and_pin(version, on_progress)
        try:
            yield resident.model
        finally:
            with self._lock:
                resident.pins -= 1
            self._shrink(self._limit)

    def set_limit(self, limit: int) -> None:
        """Change how many models stay in memory; surplus ones go at once unless in use."""
        self._limit = max(1, limit)
        self._shrink(self._limit)

    def clear(self) -> None:
        """Give up every model that is not in use."""
        self._shrink(0)

    def info(self, checkpoint: str) -> ModelInfo:
        """Say what a checkpoint is, from its header; its hash may not be known yet.

        Raises:
            ModelNotFound, UnsupportedModel: with the reason.
        """
        file = self._catalog.find(checkpoint)
        known = self._infos.get(file.version)
        if known is None:
            known = self._infos[file.version] = describe_checkpoint(file)
        return replace(known, file=file)

    def hashed_info(self, checkpoint: str) -> ModelInfo:
        """Say what a checkpoint is, with its hash, which is waited for.

        Raises:
            ModelNotFound, UnsupportedModel: with the reason.
        """
        info = self.info(checkpoint)
        return replace(info, file=self._catalog.hashed(info.file))

    def files(self) -> tuple[CheckpointFile, ...]:
        """Return the checkpoints that there are, in natural order of names."""
        return self._catalog.files()

    def refresh(self) -> None:
        """Look for new and changed files."""
        self._catalog.refresh()

    def loaded(self) -> tuple[FileVersion, ...]:
        """Return the files whose models are in memory, the one used last at the end."""
        with self._lock:
            return tuple(self._residents)

    def _pin(self, version: FileVersion) -> _Resident | None:
        with self._lock:
            resident = self._residents.get(version)
            if resident is not None:
                resident.pins += 1
                self._residents.move_to_end(version)
            return resident

    def _load_and_pin(self, version: FileVersion, on_progress: OnProgress) -> _Resident:
        with self._loading:
            resident = self._pin(version)  # another thread may have been faster
            if resident is not None:
                return resident
            with open_checkpoint(version.path) as candidate:
                blueprint, facts = candidate.blueprint, read_facts(candidate)
                networks = self._room_for(candidate)
                read_weights(candidate, networks, on_progress)
                model = blueprint.assemble(networks, facts)
                resident = _Resident(model, blueprint.architecture, pins=1)
            with self._lock:
                self._residents[version] = resident
            return resident

    def _room_for(self, candidate: Candidate) -> Networks:
        """Return networks to read into: those of a model that has to go, or new ones."""
        blueprint = candidate.blueprint
        reusable = self._reusable(self._evict(self._limit - 1), blueprint.architecture)
        if reusable is not None:
            return reusable
        gc.collect()
        allocate(blueprint.networks, self._policy)
        return blueprint.networks

    def _reusable(self, evicted: Sequence[_Resident], architecture: str) -> Networks | None:
        fitting = (
            resident.model.networks
            for resident in evicted
            if resident.architecture == architecture and self._fits(resident)
        )
        return next(fitting, None)

    def _fits(self, resident: _Resident) -> bool:
        """Tell whether a model's networks are still in the formats that the policy asks for."""
        policy = sized(self._policy, resident.model.networks)
        return all(
            parameter.dtype == policy.dtype_of(role)
            for role, network in resident.model.networks.items()
            for parameter in network.parameters()
        )

    def _shrink(self, limit: int) -> None:
        if self._evict(limit):
            gc.collect()

    def _evict(self, limit: int) -> list[_Resident]:
        """Take out models that are not in use, the least recently used first, down to `limit`."""
        with self._lock:
            surplus = max(0, len(self._residents) - limit)
            idle = [key for key, resident in self._residents.items() if not resident.pins]
            return [self._residents.pop(key) for key in idle[:surplus]]
