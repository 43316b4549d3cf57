"""Import an extension's module: under a name of its own, within a time, with a marker on disk.

The marker names the extension while it is being imported: if the process dies there, the next start
finds it and leaves the extension out.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from webui.errors import ExtensionError
from webui.extensions.manifest import Manifest

SECONDS = 20.0
PACKAGE = "easel_extensions"


class ImportTookTooLong(BaseException):
    """Raised inside an import that does not end."""


def module_name(extension: str) -> str:
    """The name in `sys.modules`."""
    return f"{PACKAGE}_{extension.replace('-', '_')}"


@contextmanager
def marked(marker: Path, extension: str) -> Iterator[None]:
    """Leave the extension's id on disk for the duration."""
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(extension, encoding="utf-8")
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)


def import_extension(folder: Path, manifest: Manifest, seconds: float = SECONDS) -> ModuleType:
    """Run an extension's module.

    Raises:
        ExtensionError: it raised.
        TimeoutError: it did not end in time.
    """
    found: list[ModuleType] = []
    failures: list[str] = []

    def run() -> None:
        try:
            found.append(_executed(folder, manifest))
        except BaseException as error:  # noqa: BLE001 - an import may raise anything, even SystemExit
            failures.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=run, name=f"import {manifest.id}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _end(thread)
        forget_modules(manifest.id)
        raise TimeoutError(f"Its import did not end within {seconds:g} seconds.")
    if not found:
        forget_modules(manifest.id)
        raise ExtensionError(manifest.id, f"Its import failed: {failures[0][:500]}.")
    return found[0]


def forget_modules(extension: str) -> None:
    """Take an extension's modules out of `sys.modules`."""
    name = module_name(extension)
    for key in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[key]


def _executed(folder: Path, manifest: Manifest) -> ModuleType:
    name, file = module_name(manifest.id), folder / f"{manifest.module}.py"
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None or not file.is_file():
        raise ImportError(f"{file.name} does not exist")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _end(thread: threading.Thread) -> None:
    """Raise in a thread that does not end by itself; code outside Python cannot be ended."""
    identity = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(ImportTookTooLong))
    thread.join(1.0)
