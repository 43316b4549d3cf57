"""Make the bundled model, one command a stage: ``python -m tools.bundled_model --help``."""

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from tools.bundled_model import (
    batches,
    evaluate,
    export,
    judge,
    latents,
    sampler,
    sprites,
    text_encoder,
    unet,
    vae,
    vae_training,
    words,
)
from tools.bundled_model.concepts import load_concepts
from tools.bundled_model.prompts import load_prompts
from tools.bundled_model.scenes import SceneMaker
from tools.bundled_model.state import REPOSITORY, Workspace, load_weights, save_atomically

Stage = Callable[[Workspace, argparse.Namespace], None]
CACHE_TIERS = (1.0, 2.0, 5.0)


def stage_data(workspace: Workspace, _: argparse.Namespace) -> None:
    """Download the packages, draw the emoji and write the tokenizer."""
    wanted = frozenset(concept.code for concept in load_concepts())
    for style, only in (("3d", None), ("flat", wanted), ("noto", None), ("blob", wanted)):
        count = sprites.draw_style(style, workspace.downloads, workspace.sprites, only)
        print(f"{style}: {count} emoji", flush=True)
    words.write_tokenizer(words.read_merges(workspace.downloads), workspace.tokenizer)


def stage_vae(workspace: Workspace, options: argparse.Namespace) -> None:
    """Train the autoencoder, going on from its last weights."""
    vae_training.train_vae(
        workspace,
        minutes=options.minutes,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        decoder_only=options.decoder_only,
    )


def stage_text_encoder(workspace: Workspace, options: argparse.Namespace) -> None:
    """Make the word table and teach the text encoder to sketch; goes on from its last state."""
    text_encoder.train_text_encoder(workspace, options.minutes, options.threads)


def stage_latents(workspace: Workspace, options: argparse.Namespace) -> None:
    """Draw and encode scenes, 512 a shard."""
    torch.set_num_threads(1)
    network = vae.load_trained(workspace.vae)
    numbers = range(options.first, options.last)
    latents.write_shards(network, workspace.sprites, workspace.latents, numbers, CACHE_TIERS)


def stage_unet(workspace: Workspace, options: argparse.Namespace) -> None:
    """Train the UNet, going on from the last saved state."""
    training = batches.Training(
        minutes=options.minutes,
        batch_size=options.batch_size,
        anneal=options.anneal,
        tier_weights=tuple(options.tier_weights),
        noisy_share=options.noisy_share,
    )
    if options.rank is None and options.processes > 1:
        _start_ranks(options.processes)
        return
    rank = options.rank or 0
    if options.processes > 1:
        address = os.environ["EASEL_TRAINING_ADDRESS"]
        dist.init_process_group(
            "gloo",
            init_method=address,
            rank=rank,
            world_size=options.processes,
            timeout=timedelta(minutes=20),
        )
    unet.train(workspace, training, rank, options.processes)


def stage_export(workspace: Workspace, options: argparse.Namespace) -> None:
    """Write the model as one SD1 file with its yaml."""
    made, pictures = unet.load_mean(workspace)
    autoencoder = vae.exported_network(load_weights(workspace.vae))
    tensors = export.file_tensors(made, autoencoder)
    path = export.write_model(tensors, pictures, options.folder or workspace.export)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB after {pictures} pictures")


def stage_start(workspace: Workspace, options: argparse.Namespace) -> None:
    """Begin from an exported file instead of from nothing."""
    made, autoencoder = export.read_model(options.file)
    save_atomically(autoencoder, workspace.vae)
    save_atomically({"text_encoder": made.text_encoder.state_dict()}, workspace.text_encoder)
    save_atomically({"unet": made.unet.state_dict()}, workspace.training)


def stage_judge(workspace: Workspace, _: argparse.Namespace) -> None:
    """Train the classifier that names what a picture shows."""
    torch.set_num_threads(1)
    network = judge.train_judge(workspace.sprites)
    save_atomically(network.state_dict(), workspace.judge)


def stage_evaluate(workspace: Workspace, options: argparse.Namespace) -> None:
    """Draw the hundred prompts and score them; the last line has the figures."""
    torch.set_num_threads(options.threads)
    wanted = load_prompts()
    names = [concept.name for concept in SceneMaker(workspace.sprites, 0).concepts]
    network = judge.classifier(len(names))
    network.load_state_dict(load_weights(workspace.judge))
    network.eval()
    drawn_by = _sketches if options.sketches else _pictures
    pictures = drawn_by(workspace, [one.prompt for one in wanted])
    blind = drawn_by(workspace, [""] * len(wanted))
    verdicts, unprompted = (
        [
            evaluate.judge_picture(network, names, picture, one)
            for picture, one in zip(drawn, wanted, strict=True)
        ]
        for drawn in (pictures, blind)
    )
    marks = [
        f"{one.prompt[:26]}\n{'+' if verdict.first else '-'}{'+' if verdict.among_five else '-'} "
        + evaluate.name_guesses(network, names, picture, one)[0][0][:22]
        for one, verdict, picture in zip(wanted, verdicts, pictures, strict=True)
    ]
    evaluate.sheet(pictures, marks, options.sheet or workspace.root / "evaluate.png")
    print(evaluate.score(verdicts, unprompted, len(names)).line())


def _pictures(workspace: Workspace, prompts: list[str]) -> Tensor:
    made, _ = unet.load_mean(workspace)
    autoencoder = vae.load_trained(workspace.vae)
    tokenizer = words.load_tokenizer(workspace.tokenizer)
    return sampler.draw((made.unet, made.text_encoder, autoencoder), tokenizer, prompts)


def _sketches(workspace: Workspace, prompts: list[str]) -> Tensor:
    sketched = text_encoder.sketch_prompts(workspace, prompts)
    return sampler.decode_latents(vae.load_trained(workspace.vae), sketched)


def _start_ranks(processes: int) -> None:
    """Run this command once per process and wait; stop the others if one fails."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "EASEL_TRAINING_ADDRESS": f"tcp://127.0.0.1:{port}"}
    command = [sys.executable, "-m", "tools.bundled_model", *sys.argv[1:], "--rank"]
    children = [
        subprocess.Popen([*command, str(rank)], env=environment, cwd=REPOSITORY)
        for rank in range(processes)
    ]
    if any(child.wait() for child in children):
        for child in children:
            child.kill()
        raise SystemExit("a training process failed")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.bundled_model", description=__doc__)
    parser.add_argument("--state", type=Path, default=Workspace().root, help="working folder")
    stages = parser.add_subparsers(required=True)

    def add(
        name: str, run: Callable[[Workspace, argparse.Namespace], None]
    ) -> argparse.ArgumentParser:
        stage = stages.add_parser(name, help=run.__doc__, description=run.__doc__)
        stage.set_defaults(run=run)
        return stage

    add("data", stage_data)
    stage = add("vae", stage_vae)
    stage.add_argument("--minutes", type=float, default=40)
    stage.add_argument("--batch-size", type=int, default=6)
    stage.add_argument("--learning-rate", type=float, default=7e-4)
    stage.add_argument("--decoder-only", action="store_true", help="keep the latents valid")
    stage = add("latents", stage_latents)
    stage.add_argument("--first", type=int, default=0, help="first shard")
    stage.add_argument("--last", type=int, default=20, help="shard after the last one")
    stage = add("text-encoder", stage_text_encoder)
    stage.add_argument("--minutes", type=float, default=20)
    stage.add_argument("--threads", type=int, default=2)
    stage = add("unet", stage_unet)
    stage.add_argument("--minutes", type=float, default=60)
    stage.add_argument("--batch-size", type=int, default=32, help="pictures per process")
    stage.add_argument("--processes", type=int, default=2)
    stage.add_argument("--anneal", action="store_true", help="let the learning rate fall to 0")
    stage.add_argument("--tier-weights", type=float, nargs=3, default=(1.0, 1.0, 1.0))
    stage.add_argument("--noisy-share", type=float, default=0.6, help="more at the beginning")
    stage.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    stage = add("start", stage_start)
    stage.add_argument("file", type=Path, help="a file that the export stage wrote")
    stage = add("export", stage_export)
    stage.add_argument("--folder", type=Path, help="where to write it")
    add("judge", stage_judge)
    stage = add("evaluate", stage_evaluate)
    stage.add_argument("--threads", type=int, default=2)
    stage.add_argument(
        "--sketches", action="store_true", help="judge the text encoder's sketches, without UNet"
    )
    stage.add_argument("--sheet", type=Path, help="where to save the pictures on one sheet")
    return parser.parse_args(arguments)


def main() -> None:
    """Run one stage."""
    options = parse(sys.argv[1:])
    options.run(Workspace(options.state), options)


if __name__ == "__main__":
    main()
