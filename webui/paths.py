"""Every folder and file that Easel reads or writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders below the data folder.

    Attributes:
        data: holds everything that belongs to the user; default: the program's own folder.
        models: weights; default `data/models`.
        scratch: where queue, pictures and results go instead, for a run that leaves nothing behind.
    """

    data: Path
    models: Path
    program: Path = PROGRAM
    scratch: Path | None = None

    @property
    def work(self) -> Path:
        """Root of everything that jobs write; paths of pictures are relative to it."""
        return self.scratch or self.data

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """Where checkpoints are looked for: the user's folder, then the one that Easel ships."""
        return self._with_shipped("Stable-diffusion")

    def _with_shipped(self, name: str) -> tuple[Path, ...]:
        own, shipped = self.models / name, self.program / "models" / name
        return (own,) if own == shipped else (own, shipped)

    @property
    def outputs(self) -> Path:
        """Pictures."""
        return self.work / "outputs"

    @property
    def results(self) -> Path:
        """Pictures of jobs that are not saved to the outputs."""
        return self.work / "cache" / "results"

    @property
    def log_images(self) -> Path:
        """Pictures that the user saved from the gallery, with log.csv."""
        return self.data / "log" / "images"

    @property
    def config(self) -> Path:
        """The settings."""
        return self.data / "config.json"

    @property
    def accounts(self) -> Path:
        """Hashes of passwords, sessions and API keys."""
        return self.data / "accounts.json"

    @property
    def styles(self) -> Path:
        """The prompt styles."""
        return self.data / "styles.csv"

    @property
    def params(self) -> Path:
        """The infotext of the last picture."""
        return self.data / "params.txt"

    @property
    def cache(self) -> Path:
        """What can be made again: index, hashes, thumbnails."""
        return self.data / "cache"

    @property
    def store(self) -> Path:
        """Uploaded pictures by content hash."""
        return self.work / "cache" / "pictures"

    @property
    def index(self) -> Path:
        """The index of model files."""
        return self.data / "cache" / "models.sqlite"

    @property
    def jobs(self) -> Path:
        """The queue."""
        return self.work / "jobs.sqlite"

    @property
    def drafts(self) -> Path:
        """What users typed but did not send yet."""
        return self.data / "cache" / "drafts"

    @property
    def extension_state(self) -> Path:
        """Which extensions are off or quarantined."""
        return self.data / "extensions.json"

    @property
    def extensions(self) -> tuple[Path, ...]:
        """Where extensions lie."""
        own, shipped = self.data / "extensions", self.program / "extensions"
        return (own,) if own == shipped else (own, shipped)


def make_paths(
    data: Path | None = None, models: Path | None = None, scratch: Path | None = None
) -> Paths:
    """Paths for a data folder (default: the program's own); see `Paths`."""
    root = (data or PROGRAM).expanduser().resolve()
    return Paths(root, (models or root / "models").expanduser().resolve(), scratch=scratch)
