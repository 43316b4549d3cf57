"""The extensions that are installed: found, loaded, switched on and off, and what they offer."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pluggy

from webui.errors import ExtensionError, ModelNotFound
from webui.extensions.guard import Failed, Guard, Warn
from webui.extensions.hookspecs import OFFERS, PROJECT, HookSpecs
from webui.extensions.importing import (
    SECONDS,
    forget_modules,
    import_extension,
    marked,
)
from webui.extensions.manifest import (
    FILE_NAME,
    Manifest,
    check_api,
    check_dependencies,
    read_manifest,
)
from webui.extensions.parts import Captioner, FaceRestorer, Preprocessor, Unit, Upscaler
from webui.extensions.state import ExtensionState
from webui.sampling.catalog import default_catalog
from webui.sampling.sampler import Sampler
from webui.sampling.sigmas import Schedule

State = Literal["loaded", "disabled", "broken", "quarantined", "safe mode"]
MARKER = "importing"


@dataclass(frozen=True, slots=True)
class Record:
    """One installed extension, as the Extensions tab and the API show it.

    Attributes:
        folder: where it lies.
        manifest: None if it cannot be read.
        reason: why it is not loaded, in a sentence; "" otherwise.
        hooks: that it implements.
        import_seconds: how long its import took.
    """

    id: str
    folder: Path
    state: State
    manifest: Manifest | None = None
    reason: str = ""
    hooks: tuple[str, ...] = ()
    import_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Offers:
    """All that loaded extensions add, by id or name."""

    samplers: Mapping[str, Sampler] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    upscalers: Mapping[str, type[Upscaler]] = field(default_factory=dict)
    face_restorers: Mapping[str, type[FaceRestorer]] = field(default_factory=dict)
    preprocessors: Mapping[str, type[Preprocessor]] = field(default_factory=dict)
    captioners: Mapping[str, type[Captioner]] = field(default_factory=dict)
    units: Mapping[str, type[Unit]] = field(default_factory=dict)
    owners: Mapping[tuple[str, str], str] = field(default_factory=dict)


_KINDS: Mapping[str, type] = {
    "samplers": Sampler,
    "schedules": Schedule,
    "upscalers": Upscaler,
    "face_restorers": FaceRestorer,
    "preprocessors": Preprocessor,
    "captioners": Captioner,
    "units": Unit,
}


class Extensions:
    """The registry. Changed by the page's threads, read by the worker's: whole values are swapped.

    Args:
        folders: that are searched, the user's first.
        state: what the user chose.
        marker: file that names the extension being imported.
        safe_mode: load none.
        disabled: ids left out for this run.
        seconds: that an import may take.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        state: ExtensionState,
        marker: Path,
        *,
        safe_mode: bool = False,
        disabled: Sequence[str] = (),
        seconds: float = SECONDS,
    ) -> None:
        self.guard = Guard()
        self._state = state
        self._folders = folders
        self._marker = marker
        self._safe_mode = safe_mode
        self._disabled = set(disabled)
        self._seconds = seconds
        self._plugins = pluggy.PluginManager(PROJECT)
        self._plugins.add_hookspecs(HookSpecs)
        self._records: dict[str, Record] = {}
        self.offers = Offers()
        self._listeners: list[Callable[[], None]] = []

    # Life.

    def load(self) -> None:
        """Look for what is installed and load it; broken ones are listed with the reason."""
        self.close()
        self._quarantine_the_one_that_crashed()
        self._records = {record.id: record for record in self._found()}
        for name in _order(self._records):
            self._records[name] = self._loaded(self._records[name])
        self._changed()

    def enable(self, extension: str) -> Record:
        """Switch on; gives what came of it. Raises: ModelNotFound, StorageError."""
        record = self._record(extension)
        self._state.disabled.discard(extension)
        self._state.quarantined.pop(extension, None)
        self._disabled.discard(extension)
        self._state.write()
        if record.state != "loaded" and record.manifest is not None:
            self.guard.forget(extension)
            self._records[extension] = self._loaded(replace(record, reason=""))
            self._changed()
        return self._records[extension]

    def disable(self, extension: str) -> Record:
        """Switch off: no registration and no module stays. Raises: ModelNotFound, StorageError."""
        record = self._record(extension)
        self._state.disabled.add(extension)
        self._state.write()
        self._unload(extension)
        self._records[extension] = replace(
            record, state="disabled", reason="", hooks=(), import_seconds=0.0
        )
        self._changed()
        return self._records[extension]

    def close(self) -> None:
        """Let go of all modules."""
        for record in self._records.values():
            self._unload(record.id)

    def records(self) -> list[Record]:
        """All installed ones."""
        return list(self._records.values())

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call back whenever something was switched on or off."""
        self._listeners.append(listener)

    # Calls.

    def implementations(self, hook: str) -> list[tuple[str, Callable[..., Any], tuple[str, ...]]]:
        """(extension, function, names of its arguments), in the order of loading.

        `tryfirst` and `trylast` of the marker go before and after the others.
        """
        found = getattr(self._plugins.hook, hook).get_hookimpls()
        ordered = sorted(found, key=lambda one: one.trylast - one.tryfirst)
        return [(one.plugin_name, one.function, one.argnames) for one in ordered]

    def each(
        self,
        hook: str,
        warn: Warn,
        **arguments: Any,  # noqa: ANN401 - the hook's own
    ) -> Iterator[tuple[str, Any]]:
        """Call every implementation in turn; gives (extension, result) of those that did not
        fail.
        """
        for extension, function, names in self.implementations(hook):
            chosen = {name: arguments[name] for name in names}
            result = self.guard.call(extension, hook, partial(function, **chosen), warn=warn)
            if not isinstance(result, Failed):
                yield extension, result

    # Inside.

    def _record(self, extension: str) -> Record:
        if extension not in self._records:
            raise ModelNotFound(f"There is no extension named '{extension[:100]}'.")
        return self._records[extension]

    def _quarantine_the_one_that_crashed(self) -> None:
        if not self._marker.exists():
            return
        name = self._marker.read_text(encoding="utf-8")[:100]
        self._state.quarantined[name] = (
            "Easel ended while this extension was being imported; switch it on to try again."
        )
        self._state.write()
        self._marker.unlink()

    def _found(self) -> Iterator[Record]:
        taken: set[str] = set()
        for root in self._folders:
            for folder in sorted(root.iterdir()) if root.is_dir() else ():
                if not (folder / FILE_NAME).is_file():
                    continue
                record = self._described(folder)
                if record.id in taken:
                    reason = "An extension of the same id is installed twice: remove one."
                    named = f"{record.id} ({folder.name}, {len(taken)})"
                    record = Record(named, folder, "broken", reason=reason)
                taken.add(record.id)
                yield record

    def _described(self, folder: Path) -> Record:
        try:
            manifest = read_manifest(folder)
        except ExtensionError as error:
            return Record(folder.name, folder, "broken", reason=str(error))
        record = Record(manifest.id, folder, "loaded", manifest)
        if self._safe_mode:
            return replace(record, state="safe mode", reason="Easel was started in safe mode.")
        if manifest.id in self._state.disabled | self._disabled:
            return replace(record, state="disabled")
        if manifest.id in self._state.quarantined:
            reason = self._state.quarantined[manifest.id]
            return replace(record, state="quarantined", reason=reason)
        return record

    def _loaded(self, record: Record) -> Record:
        manifest = record.manifest
        if manifest is None or record.reason or record.id in self._state.disabled | self._disabled:
            return record
        try:
            return self._import(record, manifest)
        except ExtensionError as error:
            self._unload(record.id)
            return replace(record, state="broken", reason=str(error), hooks=())
        except TimeoutError as error:
            self._state.quarantined[record.id] = str(error)
            self._state.write()
            return replace(record, state="quarantined", reason=str(error), hooks=())

    def _import(self, record: Record, manifest: Manifest) -> Record:
        check_api(manifest)
        check_dependencies(manifest)
        begin = time.perf_counter()
        with marked(self._marker, record.id):
            module = import_extension(record.folder, manifest, self._seconds)
        spent = time.perf_counter() - begin
        try:
            self._plugins.register(module, name=record.id)
            self._plugins.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            self._unload(record.id)
            reason = f"It has a hook that Easel does not know: {error}"
            raise ExtensionError(record.id, reason) from None
        hooks = tuple(caller.name for caller in self._plugins.get_hookcallers(module) or ())
        self._check_offers(record.id)
        return replace(record, state="loaded", hooks=hooks, import_seconds=spent)

    def _check_offers(self, extension: str) -> None:
        """Raise ExtensionError if what it offers cannot be used."""
        taken = self.offers.owners
        for hook in OFFERS:
            for owner, function, _ in self.implementations(hook):
                if owner != extension:
                    continue
                result = self.guard.call(extension, hook, function, warn=_ignore)
                if isinstance(result, Failed):
                    raise ExtensionError(extension, f"'{hook}' failed: {result.reason}.")
                for one in _checked(extension, hook, result):
                    if taken.get((hook, _name(one)), extension) != extension:
                        raise ExtensionError(
                            extension, f"'{_name(one)}' in '{hook}' exists already."
                        )
        self._check_names(extension)

    def _check_names(self, extension: str) -> None:
        """Raise ExtensionError if a sampler or schedule bears a name that is taken."""
        rows: dict[str, list[Any]] = {
            hook: [
                row
                for owner, result in self.each(hook, _ignore)
                for row in _checked(owner, hook, result)
            ]
            for hook in ("samplers", "schedules")
        }
        try:
            default_catalog().extended(rows["samplers"], rows["schedules"])
        except ValueError as error:
            raise ExtensionError(extension, str(error)) from None

    def _unload(self, extension: str) -> None:
        if self._plugins.has_plugin(extension):
            self._plugins.unregister(name=extension)
        forget_modules(extension)
        self.guard.forget(extension)

    def _changed(self) -> None:
        tables: dict[str, dict[str, Any]] = {hook: {} for hook in OFFERS}
        owners: dict[tuple[str, str], str] = {}
        for hook in OFFERS:
            for extension, result in self.each(hook, _ignore):
                for one in _checked(extension, hook, result):
                    tables[hook].setdefault(_name(one), one)
                    owners.setdefault((hook, _name(one)), extension)
        self.offers = Offers(**tables, owners=owners)
        for listener in self._listeners:
            listener()


def _checked(extension: str, hook: str, result: object) -> list[Any]:
    kind = _KINDS[hook]
    rows = list(result) if isinstance(result, list | tuple) else [result]
    for row in rows:
        is_part = inspect.isclass(row) and issubclass(row, kind)
        is_row = isinstance(row, kind)
        named = all(isinstance(getattr(row, key, None), str) for key in ("id", "label"))
        if not (is_row or (is_part and named)):
            raise ExtensionError(extension, f"'{hook}' must give a list of {kind.__name__}.")
    return rows


def _name(row: Any) -> str:  # noqa: ANN401 - a row of any kind
    return str(getattr(row, "id", None) or row.name)


def _order(records: Mapping[str, Record]) -> list[str]:
    """Ids so that each comes after those in its `load_after`; a circle is cut anywhere."""
    done: dict[str, None] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        if name in done or name in above or name not in records:
            return
        manifest = records[name].manifest
        for other in manifest.load_after if manifest else ():
            visit(other, above | {name})
        done[name] = None

    for name in records:
        visit(name, frozenset())
    return list(done)


def _ignore(_: str) -> None:
    """For calls whose failure is shown elsewhere."""
