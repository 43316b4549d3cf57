"""Train the autoencoder on whole 128 px pictures; resumable."""

import math
import random
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from tools.bundled_model import vae
from tools.bundled_model.latents import pictures_tensor
from tools.bundled_model.scenes import Part, Scene, SceneMaker
from tools.bundled_model.state import Workspace, load_weights, save_atomically

STYLES = ("3d", "3d", "flat", "noto", "blob")
ANY_SPRITE_SHARE = 0.4
LATENT_NOISE = 0.06
GRADIENT_WEIGHT = 0.5
SIZE_WEIGHT = 1e-4
EMA_DECAY = 0.995
SCALES = 3
SAVE_SECONDS = 120.0
REPORT_STEPS = 50


def start_gently(network: AutoencoderKL) -> None:
    """Scale fresh weights so that signals keep their size through the nearly linear norms."""
    passing = ("conv_in", "samplers", "shortcut", "conv_out", "post_quant")
    with torch.no_grad():
        for name, module in network.named_modules():
            if not isinstance(module, torch.nn.Conv2d):
                continue
            if module.bias is not None:
                module.bias.zero_()
            if any(part in name for part in passing):
                module.weight *= 3**0.5
            if "conv2" in name:
                module.weight *= 0.5


def edge_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of the pictures' gradients at three scales."""
    total = made.new_zeros(())
    for _ in range(SCALES):
        difference = made - wanted
        across = difference[..., 1:] - difference[..., :-1]
        down = difference[..., 1:, :] - difference[..., :-1, :]
        total = total + across.abs().mean() + down.abs().mean()
        made, wanted = functional.avg_pool2d(made, 2), functional.avg_pool2d(wanted, 2)
    return total


class Pictures:
    """Random pictures: scenes of the model's concepts, and any emoji of any style."""

    def __init__(self, sprites: Path, seed: int) -> None:
        """List what was drawn."""
        self._sprites, self._random = sprites, random.Random(seed)
        self._maker = SceneMaker(sprites, seed)
        self._codes = {
            style: sorted(path.stem for path in (sprites / style).glob("*.png"))
            for style in sorted(set(STYLES))
        }

    def _scene(self) -> Scene:
        scene = self._maker.any((1.0, 1.0, 1.5))
        if self._random.random() >= ANY_SPRITE_SHARE:
            return scene
        style = self._random.choice(STYLES)
        first = scene.parts[0]
        part = Part(self._random.choice(self._codes[style]), None, first.size, first.centre)
        return Scene((part,), style, scene.ground, scene.top, scene.bottom)

    def batch(self, count: int) -> Tensor:
        """Draw [count, 3, 128, 128] float32, -1 to 1."""
        return pictures_tensor([self._scene() for _ in range(count)], self._sprites)


def step_loss(network: AutoencoderKL, pictures: Tensor) -> Tensor:
    """How far decoded pictures are from the originals.

    A little noise on the latents makes the decoder forgive the UNet's small errors.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16):
        latents = vae.encode(network, pictures).float()
        amount = LATENT_NOISE * torch.rand(len(latents), 1, 1, 1)
        decoded = vae.decode(network, latents + amount * torch.randn_like(latents)).float()
    difference = decoded - pictures
    return (
        difference.abs().mean()
        + difference.square().mean()
        + GRADIENT_WEIGHT * edge_loss(decoded, pictures)
        + SIZE_WEIGHT * latents.square().mean()
    )


def train_vae(
    workspace: Workspace,
    *,
    minutes: float,
    batch_size: int,
    learning_rate: float,
    decoder_only: bool,
) -> None:
    """Train until the time is up, from the saved weights if there are any.

    Args:
        decoder_only: keep the latents as they are, so that a trained UNet stays valid.
    """
    torch.set_num_threads(1)
    network = vae.training_network()
    if workspace.vae.exists():
        network.load_state_dict(load_weights(workspace.vae))
    else:
        start_gently(network)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not decoder_only or name.startswith(("decoder", "post_quant")))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, betas=(0.9, 0.99), weight_decay=0.0)
    mean = {name: value.detach().clone() for name, value in network.state_dict().items()}
    source = Pictures(workspace.sprites, random.SystemRandom().randrange(2**31))
    began = saved = time.monotonic()
    losses: list[float] = []
    while (elapsed := (time.monotonic() - began) / (60 * minutes)) < 1:
        falling = max(0.02, 0.5 * (1 + math.cos(math.pi * elapsed)))
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * min(1, (len(losses) + 1) / 30) * falling
        loss = step_loss(network, source.batch(batch_size))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        losses.append(loss.item())
        decay = min(EMA_DECAY, (1 + len(losses)) / (10 + len(losses)))
        for name, value in network.state_dict().items():
            mean[name].lerp_(value, 1 - decay)
        if len(losses) % REPORT_STEPS == 0:
            recent = sum(losses[-REPORT_STEPS:]) / REPORT_STEPS
            print(f"step {len(losses)} loss {recent:.4f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            save_atomically(mean, workspace.vae)
            saved = time.monotonic()
    if not decoder_only:
        network.load_state_dict(mean)
        mean = _with_normal_latents(network, source)
    save_atomically(mean, workspace.vae)


@torch.no_grad()
def _with_normal_latents(network: AutoencoderKL, source: Pictures) -> dict[str, Tensor]:
    latents = torch.cat([vae.encode(network, source.batch(16)) for _ in range(16)])
    mean, std = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    vae.normalise_latents(network, mean, std)
    weights: dict[str, Tensor] = network.state_dict()
    return weights
