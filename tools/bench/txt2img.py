"""Seconds per saved picture over those of a bare diffusers pipeline, and the memory peak of both.

Same weights, size, steps, dtype and threads, in one process, taking turns; each ends with a PNG on
disk. The peer is `StableDiffusionPipeline` with `DPMSolverMultistepScheduler` (DPM++ 2M Karras).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from webui.flags import Flags
from webui.jobs.job import JobState
from webui.offline import prepare_environment
from webui.paths import make_paths
from webui.request import GenerationRequest, Seed
from webui.services import OWNER_LOCAL, Services, build

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a red apple on a blue background"


def main(arguments: Sequence[str]) -> int:
    """Print seconds and peaks of both, and their ratios."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench txt2img", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=256, help="pixels")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("easel", "diffusers"), help="measure a memory peak")
    given = parser.parse_args(arguments)
    prepare_environment()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        if given.only:
            print(json.dumps(_peak(given, Path(folder))))
            return 0
        ours, peer = _seconds(given, Path(folder))
    print(
        f"easel {ours:.3f} s, diffusers {peer:.3f} s, ratio {ours / peer:.3f}"
        f" ({given.size} px, {given.steps} steps, {given.dtype}, median of {given.rounds})"
    )
    peaks = {name: _peak_of(name, arguments) for name in ("easel", "diffusers")}
    ratio = peaks["easel"] / peaks["diffusers"]
    print(f"peak easel {peaks['easel']} MiB, diffusers {peaks['diffusers']} MiB, ratio {ratio:.3f}")
    return 0


def _seconds(given: argparse.Namespace, folder: Path) -> tuple[float, float]:
    """Median seconds of Easel and of the pipeline."""
    services = _easel(given, folder)
    try:
        ours, peer = _easel_picture(given, services), _pipeline_picture(given, folder)
        ours(0)
        peer(0)
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(1, given.rounds + 1):
            for make, measured in zip((ours, peer), times, strict=True):
                began = time.perf_counter()
                make(number)
                measured.append(time.perf_counter() - began)
        return statistics.median(times[0]), statistics.median(times[1])
    finally:
        services.stop()


def _easel(given: argparse.Namespace, folder: Path) -> Services:
    flags = Flags(dtype=given.dtype, vae_dtype="float32", threads=given.threads)
    services = build(flags, make_paths(folder))
    services.settings.update({"live_previews_enable": False})
    services.start_working()
    return services


def _easel_picture(given: argparse.Namespace, services: Services) -> Callable[[int], None]:
    def make(seed: int) -> None:
        request = GenerationRequest(
            prompt=PROMPT,
            width=given.size,
            height=given.size,
            steps=given.steps,
            seed=Seed(seed=seed, subseed=0),
        )
        job = services.submit(request, OWNER_LOCAL)
        for _ in services.queue.subscribe(job.id, OWNER_LOCAL):
            pass
        state = services.queue.get(job.id, OWNER_LOCAL).state
        if state is not JobState.DONE:
            raise RuntimeError(f"the job ended as {state}")

    return make


def _pipeline_picture(given: argparse.Namespace, folder: Path) -> Callable[[int], None]:
    pipeline = _pipeline(given)

    def make(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        picture = pipeline(
            PROMPT,
            width=given.size,
            height=given.size,
            num_inference_steps=given.steps,
            guidance_scale=7.0,
            generator=generator,
        ).images[0]
        picture.save(folder / f"peer-{seed}.png")

    return make


def _pipeline(given: argparse.Namespace) -> Any:  # noqa: ANN401 - diffusers is not typed
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer

    from webui.device import device_policy
    from webui.model_manager.loader import allocate, open_checkpoint, read_weights

    policy = device_policy("cpu", given.dtype, "float32")
    path = ROOT / "models" / "Stable-diffusion" / "easel-emoji.safetensors"
    with open_checkpoint(path) as candidate:
        networks = candidate.blueprint.networks
        allocate(networks, policy)
        read_weights(candidate, networks)
    scheduler = DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        use_karras_sigmas=True,
    )
    tokenizer = CLIPTokenizer.from_pretrained(ROOT / "webui" / "families" / "tokenizer")
    pipeline = StableDiffusionPipeline(
        vae=networks["vae"],
        text_encoder=networks["text_encoder"],
        tokenizer=tokenizer,
        unet=networks["unet"],
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _peak(given: argparse.Namespace, folder: Path) -> int:
    """MiB that this process used at most, after a few pictures of one of the peers."""
    services = _easel(given, folder) if given.only == "easel" else None
    make = _easel_picture(given, services) if services else _pipeline_picture(given, folder)
    for number in range(3):
        make(number)
    if services:
        services.stop()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _peak_of(name: str, arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", "tools.bench", "txt2img", *arguments, "--only", name]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout.splitlines()[-1]))
