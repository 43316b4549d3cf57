"""Where the work in progress lies: downloads, drawn emoji, latents, weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

REPOSITORY = Path(__file__).resolve().parents[2]


def save_atomically(value: dict[str, Any], path: Path) -> None:
    """Write with torch.save beside the file and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    torch.save(value, unfinished)
    unfinished.replace(path)


def load_weights(path: Path) -> dict[str, Any]:
    """Read what `save_atomically` wrote: tensors, numbers, lists and dicts only."""
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


@dataclass(frozen=True)
class Workspace:
    """The folder of work in progress; git ignores it."""

    root: Path = REPOSITORY / "training-state"

    @property
    def downloads(self) -> Path:
        """Packages from the registries."""
        return self.root / "downloads"

    @property
    def sprites(self) -> Path:
        """Drawn emoji: <style>/<code>.png."""
        return self.root / "sprites"

    @property
    def tokenizer(self) -> Path:
        """CLIP's tokenizer files."""
        return self.root / "tokenizer"

    @property
    def vae(self) -> Path:
        """The trained autoencoder."""
        return self.root / "vae.pt"

    @property
    def latents(self) -> Path:
        """Shards of encoded scenes."""
        return self.root / "latents"

    @property
    def text_encoder(self) -> Path:
        """The pre-trained text encoder and the map that reads its sketches."""
        return self.root / "text_encoder.pt"

    @property
    def training(self) -> Path:
        """UNet, text encoder, their running mean and the optimisers."""
        return self.root / "unet.pt"

    @property
    def judge(self) -> Path:
        """The classifier that names what a picture shows."""
        return self.root / "judge.pt"

    @property
    def export(self) -> Path:
        """The finished model."""
        return self.root / "export"
