"""Seconds until the page answers, over those that importing torch, diffusers and gradio takes."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from webui.address import LOOPBACK, is_free

ROOT = Path(__file__).resolve().parents[2]
IMPORTS = "import torch, diffusers, gradio"
START_SECONDS = 300


def main(arguments: Sequence[str]) -> int:
    """Print both times and their ratio; the peers take turns."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args(arguments).rounds
    imports, pages = [], []
    with tempfile.TemporaryDirectory() as data:
        for _ in range(rounds):
            imports.append(_imports())
            pages.append(_page(Path(data)))
    ours, peer = statistics.median(pages), statistics.median(imports)
    print(f"page {ours:.2f} s, imports {peer:.2f} s, ratio {ours / peer:.2f}")
    return 0


def _imports() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, cwd=ROOT)
    return time.perf_counter() - began


def _page(data: Path) -> float:
    port = next(port for port in range(8800, 8900) if is_free(LOOPBACK, port))
    command = [sys.executable, "app.py", "--no-browser", f"--port={port}", f"--data-dir={data}"]
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            while not _answers(f"http://{LOOPBACK}:{port}/"):
                if time.perf_counter() - began > START_SECONDS or process.poll() is not None:
                    raise RuntimeError("Easel did not start")
                time.sleep(0.02)
            return time.perf_counter() - began
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
