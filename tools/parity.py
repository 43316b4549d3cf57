"""Compare Easel's pictures with those recorded from A1111, case by case.

``python -m tools.parity [--cases FOLDER] [--checkpoints FOLDER] [--markdown]`` replays every
recorded
request through the HTTP API, in process, and prints the largest difference of a channel and the
PSNR.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from webui.api.app import create_app
from webui.flags import Flags
from webui.paths import make_paths
from webui.services import build

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
LOOSE = re.compile(r"sde|adaptive|restart", re.IGNORECASE)
"""Samplers over Brownian trees or with adaptive steps amplify rounding."""
MAX_DIFFERENCE, PSNR, LOOSE_PSNR = 2, 50.0, 40.0


@dataclass(frozen=True)
class Row:
    """How one case came out.

    Attributes:
        difference: largest difference of a channel, 0 to 255.
        psnr: dB, 999 where equal.
        infotexts: (ours, recorded), without the version.
    """

    case: str
    difference: int
    psnr: float
    is_loose: bool
    infotexts: tuple[list[str], list[str]]

    @property
    def is_within(self) -> bool:
        """Whether the bounds hold."""
        if self.is_loose:
            return self.psnr >= LOOSE_PSNR
        return self.psnr >= PSNR and self.difference <= MAX_DIFFERENCE


def cases(folder: Path) -> list[Path]:
    """Recorded cases that have pictures."""
    return [
        path
        for path in sorted(folder.glob("*/*.json"))
        if path.with_suffix(".png").exists() or path.with_name(f"{path.stem}__0.png").exists()
    ]


@contextmanager
def easel(
    checkpoints: Path,
    styles: Path | None = None,
    networks: Path | None = None,
    first: str = "tinyA",
) -> Iterator[TestClient]:
    """A client of an Easel with its own data folder and A1111's settings at recording time.

    Args:
        networks: has the folders lora, embeddings, hypernetworks, vae and upscalers.
        first: stem of the checkpoint that requests without one mean.
    """
    with tempfile.TemporaryDirectory() as data:
        flags = Flags(
            checkpoint_dir=(checkpoints,),
            checkpoint=f"{first}.safetensors",
            dtype="float32",
            styles_files=(str(styles),) if styles else (),
            model_dirs=network_folders(networks) if networks else {},
        )
        services = build(flags, make_paths(Path(data)))
        services.settings.update(
            {"randn_source": "CPU", "live_previews_enable": False, "samples_save": False}
        )
        services.start_working()
        try:
            with TestClient(create_app(services), base_url="http://127.0.0.1:7860") as client:
                yield client
        finally:
            services.stop()


def network_folders(networks: Path) -> dict[str, tuple[Path, ...]]:
    """The flag `model_dirs` for a folder with the folders lora, embeddings, and so on."""
    folders = {
        "lora": "lora",
        "embedding": "embeddings",
        "hypernetwork": "hypernetworks",
        "vae": "vae",
        "upscaler": "upscalers",
    }
    return {kind: (networks / name,) for kind, name in folders.items()}


def replay(client: TestClient, case: Path, inputs: Path) -> Row:
    """Send a recorded request and compare.

    Raises: RuntimeError: Easel refused the request, or answered with another number of pictures.
    """
    record = json.loads(case.read_text(encoding="utf-8"))
    answer = client.post(record["endpoint"], json=_prepared(record["request"], inputs))
    if answer.status_code != 200:
        raise RuntimeError(f"{case.stem}: {answer.status_code} {answer.text[:500]}")
    body = answer.json()
    got = [Image.open(io.BytesIO(base64.b64decode(text))) for text in body["images"]]
    want = [Image.open(case.with_name(name)) for name in record["images"]]
    if len(got) != len(want):
        raise RuntimeError(f"{case.stem}: {len(got)} pictures instead of {len(want)}")
    pairs = [compare(ours, theirs) for ours, theirs in zip(got, want, strict=True)]
    texts = json.loads(body["info"])["infotexts"]
    return Row(
        case=f"{case.parent.name}/{case.stem}",
        difference=max(difference for difference, _ in pairs),
        psnr=min(psnr for _, psnr in pairs),
        is_loose=LOOSE.search(json.dumps(record["request"])) is not None,
        infotexts=(
            [_plain(text) for text in texts],
            [_plain(t) for t in record["info"]["infotexts"]],
        ),
    )


def compare(ours: Image.Image, theirs: Image.Image) -> tuple[int, float]:
    """(largest difference of a channel, PSNR in dB)."""
    if ours.size != theirs.size:
        return 255, 0.0
    first, second = (np.asarray(image.convert("RGB"), dtype=float) for image in (ours, theirs))
    squared = float(((first - second) ** 2).mean())
    psnr = 10 * float(np.log10(255**2 / squared)) if squared else 999.0
    return int(np.abs(first - second).max()), psnr


def _plain(infotext: str) -> str:
    return re.sub(r", Version: [^,\n]*", "", infotext)


def _prepared(request: dict[str, Any], inputs: Path) -> dict[str, Any]:
    """Put the pictures that are named '@file' in."""

    def encoded(name: str) -> str:
        return base64.b64encode((inputs / name.removeprefix("@")).read_bytes()).decode()

    filled = dict(request)
    if "init_images" in filled:
        filled["init_images"] = [encoded(name) for name in filled["init_images"]]
    if str(filled.get("mask", "")).startswith("@"):
        filled["mask"] = encoded(filled["mask"])
    return filled


def main() -> int:
    """Print the table; 1 if a case is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path, default=GOLDEN / "pictures" / "tiny")
    parser.add_argument("--inputs", type=Path, default=GOLDEN / "inputs")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--networks", type=Path, help="has lora, embeddings, hypernetworks, vae")
    parser.add_argument("--first", default="tinyA", help="stem of the checkpoint to begin with")
    parser.add_argument("--only", default="", help="part of a case's name")
    given = parser.parse_args()
    bad = 0
    print("| case | max difference | PSNR (dB) | bounds | infotext |\n|---|---|---|---|---|")
    with easel(given.checkpoints, GOLDEN / "styles.csv", given.networks, given.first) as client:
        for case in cases(given.cases):
            if given.only not in f"{case.parent.name}/{case.stem}":
                continue
            try:
                row = replay(client, case, given.inputs)
            except RuntimeError as error:
                print(f"| {case.parent.name}/{case.stem} | | | {error} | |", flush=True)
                bad += 1
                continue
            bad += not row.is_within
            verdict = "within" if row.is_within else "OUT"
            same = "equal" if row.infotexts[0] == row.infotexts[1] else "differs"
            figures = f"{row.difference} | {row.psnr:.1f} | {verdict} | {same}"
            print(f"| {row.case} | {figures} |", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
