"""Upscalers by name: the built-in filters, then every file in the upscalers' folders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from webui.device import DevicePolicy
from webui.errors import InvalidRequest
from webui.images.resize import Upscaler
from webui.images.upscale import UPSCALERS
from webui.model_manager.catalog import Catalog
from webui.postprocess.network import OnTile, load_network, run_tiled

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

MOST_RUNS = 3
"""A network runs again on its own result while that is too small."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How large pictures are cut. Attributes: tile, overlap: pixels of the input; 0: not cut."""

    tile: int = 192
    overlap: int = 8


def ignore_tiles(index: int, total: int) -> None:
    """An `OnTile` that listens to nothing."""
    del index, total


class Upscalers:
    """All upscalers; keeps the network that was used last. Thread-safe.

    Args:
        catalog: gives the catalog of the users' and the shipped files.
        tiling: the settings' values, asked at each use.
    """

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        policy: DevicePolicy,
        tiling: Callable[[], Tiling] = Tiling,
    ) -> None:
        self._catalog = catalog
        self._policy = policy
        self._tiling = tiling
        self._lock = threading.Lock()
        self._last: tuple[Path, ImageModelDescriptor] | None = None

    def files(self) -> dict[str, Path]:
        """Files by the name that requests use: without suffix; the first folder's win."""
        found: dict[str, Path] = {}
        for file in self._catalog().files():
            found.setdefault(file.stem, file.path)
        return dict(sorted(found.items(), key=lambda item: item[0].casefold()))

    def names(self) -> list[str]:
        """As lists show them: A1111's built-in ones, then the files by name."""
        return [*UPSCALERS, *(name for name in self.files() if name not in UPSCALERS)]

    def forget(self) -> None:
        """Give up the network in memory."""
        with self._lock:
            self._last = None

    def by_name(self, on_tile: OnTile = ignore_tiles) -> Mapping[str, Upscaler | None]:
        """All upscalers as functions; None: Lanczos straight to the size asked for."""

        def enlarger(path: Path) -> Upscaler:
            return lambda image, factor: self._enlarge(path, image, factor, on_tile)

        return {name: enlarger(path) for name, path in self.files().items()} | dict(UPSCALERS)

    def find(self, name: str, on_tile: OnTile = ignore_tiles) -> Upscaler | None:
        """One upscaler; see `by_name`. Raises: InvalidRequest: there is none of that name."""
        known = self.by_name(on_tile)
        if name not in known:
            raise InvalidRequest(
                "upscaler",
                f"There is no upscaler named {name[:200]!r}: choose another, or put its file into"
                " models/upscalers.",
            )
        return known[name]

    def _enlarge(
        self, path: Path, image: Image.Image, factor: float, on_tile: OnTile
    ) -> Image.Image:
        """Enlarge to A1111's size: whole multiples of 8, rounded down.

        Raises: UnsupportedModel, BadOutput, OutOfMemory; whatever `on_tile` raises.
        """
        size = (int(image.width * factor) // 8 * 8, int(image.height * factor) // 8 * 8)
        model, tiling = self._loaded(path), self._tiling()
        image = image.convert("RGB")
        for _ in range(MOST_RUNS):
            if image.width >= size[0] and image.height >= size[1]:
                break
            before = image.size
            image = run_tiled(model, image, tiling.tile, tiling.overlap, on_tile)
            if image.size == before:
                break
        return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)

    def _loaded(self, path: Path) -> ImageModelDescriptor:
        with self._lock:
            if self._last is None or self._last[0] != path:
                self._last = None
                self._last = (path, load_network(path, self._policy))
            return self._last[1]
