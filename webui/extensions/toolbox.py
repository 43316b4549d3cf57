"""What the host does for extensions: load networks for pictures, run them tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from webui.device import DevicePolicy
from webui.errors import ExtensionError, ModelNotFound, UnsupportedModel
from webui.extensions.guard import Guard
from webui.extensions.parameters import ModelFile
from webui.extensions.parts import UpscaleContext, Upscaler
from webui.extensions.registry import Offers
from webui.image_files.store import PictureStore
from webui.images.resize import Upscaler as Enlarge

Reader = Callable[[Path], nn.Module]
"""Makes a network of a file of weights. Raises: UnsupportedModel."""


@dataclass(slots=True)
class Shelf:
    """The networks for pictures that are in memory: the last one that was asked for.

    Attributes:
        models: the models folder.
        readers: by suffix; rooms that know architectures add theirs.
    """

    models: Path
    policy: DevicePolicy
    readers: dict[str, Reader] = field(default_factory=lambda: {".safetensors": read_safetensors})
    _last: tuple[Path, nn.Module] | None = None

    def load(self, file: ModelFile) -> nn.Module:
        """The network of a file. Raises: ModelNotFound, UnsupportedModel."""
        root = (self.models / file.folder).resolve()
        found = {
            path.relative_to(root).as_posix(): path
            for path in sorted(root.rglob("*"))
            if path.suffix.lower() in file.suffixes
        }
        path = found.get(file.name.replace("\\", "/"))
        if path is None:
            raise ModelNotFound(f"There is no file '{file.name}' in {root}: choose another.")
        if self._last is not None and self._last[0] == path:
            return self._last[1]
        reader = self.readers.get(path.suffix.lower())
        if reader is None:
            raise UnsupportedModel(f"Easel cannot read networks from '{path.suffix}' files.")
        network = reader(path).to(self.policy.device).eval()
        self._last = (path, network)
        return network


@dataclass(frozen=True, slots=True)
class HostToolbox:
    """A `parts.Toolbox`.

    Attributes:
        asked_to_stop: raises JobStopped if the user asked to.
    """

    shelf: Shelf
    pictures: PictureStore
    asked_to_stop: Callable[[], None]

    def load_image_model(self, file: ModelFile) -> nn.Module:
        """See `parts.Toolbox`."""
        return self.shelf.load(file)

    def run_tiled(
        self, network: nn.Module, image: Image.Image, *, tile: int = 192, overlap: int = 8
    ) -> Image.Image:
        """See `parts.Toolbox`."""
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
        height, width = pixels.shape[2:]
        result: Tensor | None = None
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                self.asked_to_stop()
                inner, scale = _answer(network, pixels, (top, left), tile, overlap)
                if result is None:
                    result = torch.empty(3, height * scale, width * scale, dtype=torch.uint8)
                rows = slice(top * scale, top * scale + inner.shape[1])
                columns = slice(left * scale, left * scale + inner.shape[2])
                result[:, rows, columns] = inner
        assert result is not None
        return Image.fromarray(result.permute(1, 2, 0).numpy())

    def open_picture(self, picture: str) -> Image.Image:
        """See `parts.Toolbox`."""
        return self.pictures.open(picture)

    def check(self) -> None:
        """See `parts.Toolbox`."""
        self.asked_to_stop()


def _answer(
    network: nn.Module, pixels: Tensor, corner: tuple[int, int], tile: int, overlap: int
) -> tuple[Tensor, int]:
    """One tile's answer, uint8 [3, h, w] without the overlap, and how much it was enlarged."""
    (top, left), (height, width) = corner, pixels.shape[2:]
    above, before = min(top, overlap), min(left, overlap)
    bottom, right = min(top + tile + overlap, height), min(left + tile + overlap, width)
    box = pixels[:, :, top - above : bottom, left - before : right]
    device = next(network.parameters(), torch.empty(0)).device
    with torch.inference_mode():
        answer = network(box.to(device).float() / 255).clamp(0, 1).cpu()
    scale = answer.shape[2] // box.shape[2]
    rows, columns = min(tile, height - top), min(tile, width - left)
    inner = answer[
        0,
        :,
        above * scale : (above + rows) * scale,
        before * scale : (before + columns) * scale,
    ]
    return (inner * 255).round().to(torch.uint8), scale


def read_safetensors(path: Path) -> nn.Module:
    """Make a network of a .safetensors file of any architecture that spandrel knows.

    Raises: UnsupportedModel.
    """
    import spandrel  # here: it costs a second, and few pictures need it

    try:
        described = spandrel.ModelLoader(device="cpu").load_from_file(path)
    except (spandrel.UnsupportedModelError, ValueError, OSError, RuntimeError) as error:
        raise UnsupportedModel(f"{path.name} is no network that Easel knows: {error}") from error
    network: nn.Module = described.model
    return network


def pixel_upscalers(offers: Offers, toolbox: HostToolbox, guard: Guard) -> dict[str, Enlarge]:
    """Extensions' upscalers with their default fields, by label, as requests name them.

    A failing one ends the job: another size would be another picture.
    """

    def enlarger(name: str, kind: type[Upscaler]) -> Enlarge:
        owner = offers.owners["upscalers", name]

        def enlarge(image: Image.Image, factor: float) -> Image.Image:
            result = guard.call(
                owner,
                f"{name}.upscale",
                lambda: kind().upscale(image.convert("RGB"), factor, UpscaleContext(toolbox)),
                warn=_ignore,
                on_error="abort",
            )
            if not isinstance(result, Image.Image):
                raise ExtensionError(owner, f"'{kind.label}' gave no picture.")
            return result

        return enlarge

    return {kind.label: enlarger(name, kind) for name, kind in offers.upscalers.items()}


def _ignore(_: str) -> None:
    """The failure ends the job."""
