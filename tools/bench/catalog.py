"""How long 10,000 LoRA files take to be found and searched, against a bare walk over the folder."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from webui.model_manager.cards import CardQuery, find_cards
from webui.model_manager.catalog import Catalog
from webui.model_manager.index import FileIndex
from webui.model_manager.kinds import LORA

FOLDERS = 40


def main(arguments: Sequence[str]) -> int:
    """Print seconds, and their ratio to those of the walk."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench catalog")
    parser.add_argument("--files", type=int, default=10_000)
    count = parser.parse_args(arguments).files
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "Lora")
        _fill(folder, count)
        index = FileIndex(Path(root, "index.sqlite"))
        walk = _seconds(lambda: _walk(folder))
        catalog = Catalog([folder], index, LORA)
        scan = _seconds(catalog.refresh)
        first = _seconds(lambda: find_cards(catalog, CardQuery("teapot")))
        search = _seconds(lambda: find_cards(catalog, CardQuery("teapot")))
        index.close()
    print(f"bare walk    {walk * 1000:8.1f} ms")
    print(f"scan         {scan * 1000:8.1f} ms   {scan / walk:5.2f} x the walk")
    print(f"first search {first * 1000:8.1f} ms   {first / walk:5.2f} x the walk (reads texts)")
    print(f"search       {search * 1000:8.1f} ms   {search / walk:5.2f} x the walk")
    return 0


def _fill(folder: Path, count: int) -> None:
    """Write small files; every second has a description."""
    for number in range(count):
        place = folder / f"style {number % FOLDERS}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"lora {number}.safetensors").write_bytes(b"x")
        if number % 2:
            (place / f"lora {number}.txt").write_text(f"Paints number {number} in ink.")


def _walk(folder: Path) -> int:
    return sum(
        Path(place, name).stat().st_size for place, _, names in os.walk(folder) for name in names
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
