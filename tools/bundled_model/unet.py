"""Train the UNet on kept latents, with the text encoder as it is; resumable at any time.

The prediction target is v. Noise carries a small random shift per channel ("offset noise"), and
60 % of the timesteps are drawn from the noisy end: SD1's schedule leaves the mean colour of large
flat areas readable in the noise, from which a network would learn to ignore the words.
"""

import math
import time
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tools.bundled_model.batches import Batches, Training
from tools.bundled_model.muon import Muon, cut
from tools.bundled_model.networks import (
    Networks,
    alphas_cumprod,
    make_unet,
)
from tools.bundled_model.state import Workspace, load_weights, save_atomically
from tools.bundled_model.text_encoder import load_text_encoder
from tools.bundled_model.words import load_tokenizer

WARM_UP = 40
EMA_DECAY = 0.999
SNR_LIMIT = 5.0
SAVE_SECONDS = 200.0
REPORT_STEPS = 100


def load_mean(workspace: Workspace) -> tuple[Networks, int]:
    """Load the text encoder and the running mean of the UNet for use, not for training.

    Returns: the networks and how many pictures the UNet was trained on.
    """
    state = load_weights(workspace.training)
    networks = Networks(make_unet(), load_text_encoder(workspace))
    networks.unet.load_state_dict(state["unet"])
    with torch.no_grad():
        for parameter, mean in zip(networks.parameters(), state.get("mean", ()), strict=False):
            parameter.copy_(mean)
    networks.unet.requires_grad_(False).eval()
    return networks, int(state.get("pictures", 0))


def noised(latents: Tensor, noise: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Mix latents with noise.

    Args:
        latents, noise: [B, 4, h, w] float32.
        alpha: [B] float32, the share of the latents' variance that is left, 0 to 1.
    Returns: the mixture and the v target, both like `latents`.
    Source: Salimans and Ho 2022 (arXiv:2202.00512), appendix D.
    """
    signal, sigma = alpha.sqrt().view(-1, 1, 1, 1), (1 - alpha).sqrt().view(-1, 1, 1, 1)
    return signal * latents + sigma * noise, signal * noise - sigma * latents


def rate_factor(step: int, elapsed: float, *, anneal: bool) -> float:
    """The learning rate's factor.

    Args:
        step: steps since this run began.
        elapsed: share of the run's time that has passed, 0 to 1.
    """
    warm = min(1.0, (step + 1) / WARM_UP)
    if not anneal or elapsed < 0.2:
        return warm
    return warm * max(0.01, 0.5 * (1 + math.cos(math.pi * (elapsed - 0.2) / 0.8)))


class Trainer:
    """One process's share of the training."""

    def __init__(self, workspace: Workspace, training: Training, rank: int, processes: int) -> None:
        """Load the text encoder and the UNet's last state, or begin with a fresh UNet."""
        self.workspace, self.training = workspace, training
        self.processes, self.rank = processes, rank
        torch.manual_seed(0)
        self.networks = Networks(make_unet(), load_text_encoder(workspace))
        matrices = self.networks.matrices()
        inner = {id(parameter) for parameter in matrices}
        others = [p for p in self.networks.parameters() if id(p) not in inner]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(matrices, training.learning_rate),
            torch.optim.AdamW(others, training.adam_rate, betas=(0.9, 0.99), weight_decay=0.01),
        ]
        self.pictures = 0
        self.mean = [parameter.detach().clone() for parameter in self.networks.parameters()]
        if workspace.training.exists():
            self._load(load_weights(workspace.training))
        self.alphas = alphas_cumprod()

    def _load(self, state: dict[str, Any]) -> None:
        self.networks.unet.load_state_dict(state["unet"])
        means = state.get("mean", self.networks.parameters())
        for mean, kept in zip(self.mean, means, strict=True):
            mean.copy_(kept.detach())
        # a file that the start stage wrote has weights only
        for optimiser, kept in zip(self.optimisers, state.get("optimisers", ()), strict=False):
            optimiser.load_state_dict(kept)
        self.pictures = int(state.get("pictures", 0))

    def save(self) -> None:
        """Write the state in one go."""
        state: dict[str, Any] = {
            "unet": self.networks.unet.state_dict(),
            "mean": self.mean,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "pictures": self.pictures,
        }
        save_atomically(state, self.workspace.training)

    def step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], factor: float) -> float:
        """Learn from one batch; returns the mean squared error of v."""
        latents, noise, timesteps, tokens = batch
        alpha = self.alphas[timesteps]
        mixture, target = noised(latents, noise, alpha)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.no_grad():
                words = self.networks.text_encoder(tokens).last_hidden_state
            mixture = mixture.contiguous(memory_format=torch.channels_last)
            predicted = self.networks.unet(mixture, timesteps, words).sample
        errors = (predicted.float() - target).square().mean(dim=(1, 2, 3))
        weights = (SNR_LIMIT * (1 - alpha) / alpha).clamp(max=1)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        (errors * weights).mean().backward()
        self._share_gradients()
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        rates = (self.training.learning_rate, self.training.adam_rate)
        for optimiser, rate in zip(self.optimisers, rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.step()
        self.pictures += self.processes * len(latents)
        return float(errors.detach().mean())

    def _share_gradients(self) -> None:
        if self.processes == 1:
            return
        gradients = [p.grad for p in self.networks.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten().bfloat16() for gradient in gradients])
        dist.all_reduce(flat)
        parts = cut(flat / self.processes, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def average(self, step: int) -> None:
        """Move the running mean of the weights towards the weights."""
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        current = [parameter.detach() for parameter in self.networks.parameters()]
        torch._foreach_lerp_(self.mean, current, 1 - decay)


def train(workspace: Workspace, training: Training, rank: int, processes: int) -> None:
    """Train until the time is up; process 0 saves every few minutes and at the end."""
    torch.set_num_threads(1)
    trainer = Trainer(workspace, training, rank, processes)
    seed = trainer.pictures * processes + rank
    torch.manual_seed(seed)
    batches = Batches(workspace.latents, load_tokenizer(workspace.tokenizer), training, seed)
    began = saved = time.monotonic()
    errors: list[float] = []
    for step, batch in enumerate(batches):
        elapsed = _agreed((time.monotonic() - began) / (60 * training.minutes), processes)
        if elapsed >= 1:
            break
        errors.append(trainer.step(batch, rate_factor(step, elapsed, anneal=training.anneal)))
        trainer.average(step)
        if rank == 0 and step % REPORT_STEPS == REPORT_STEPS - 1:
            report(trainer, errors[-REPORT_STEPS:], (time.monotonic() - began) / (step + 1))
        if rank == 0 and time.monotonic() - saved > SAVE_SECONDS:
            trainer.save()
            saved = time.monotonic()
    if rank == 0:
        trainer.save()


def _agreed(elapsed: float, processes: int) -> float:
    """Process 0's clock, so that all processes stop at the same step."""
    if processes == 1:
        return elapsed
    shared = torch.tensor(elapsed, dtype=torch.float64)
    dist.broadcast(shared, 0)
    return shared.item()


def report(trainer: Trainer, errors: list[float], seconds_per_step: float) -> None:
    """Print one line about the last steps."""
    speed = trainer.training.batch_size * trainer.processes / seconds_per_step
    mean = sum(errors) / len(errors)
    print(
        f"{time.strftime('%H:%M:%S')} pictures {trainer.pictures} error {mean:.4f} "
        f"{speed:.1f} pictures/s",
        flush=True,
    )
