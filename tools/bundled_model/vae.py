"""The picture autoencoder: 128 px pictures to 16 x 16 x 4 latents and back.

GroupNorm has 32 groups in the SD1 layout, so with 64 channels each group holds two channels and
flat colours are hard to keep. Two things make such a small network learn: while training every
GroupNorm has an epsilon of 0.1 (nearly linear), folded back into the weights afterwards so that
the exported network with the usual 1e-6 computes the same; and the blocks at full resolution are
the identity, which saves most of the time and is exact with zeroed second convolutions.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

SCALE_FACTOR = 0.18215
TRAINING_EPSILON = 0.1
EPSILON = 1e-6
FOLD = (EPSILON / TRAINING_EPSILON) ** 0.5
LOG_VARIANCE = -30.0
WIDTHS = (64, 64, 64, 128)
CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": WIDTHS,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 128,
    "scaling_factor": SCALE_FACTOR,
}
SKIPPED = (
    "encoder.down_blocks.0.resnets.0",
    "decoder.up_blocks.3.resnets.0",
    "decoder.up_blocks.3.resnets.1",
    "encoder.mid_block.attentions.0",
    "decoder.mid_block.attentions.0",
)


class Identity(nn.Module):
    """A block that is left out while training."""

    def forward(self, hidden: Tensor, *_: object, **__: object) -> Tensor:
        """Return the input."""
        return hidden


def training_network() -> AutoencoderKL:
    """The network as it is trained: skipped blocks, large GroupNorm epsilon."""
    network = AutoencoderKL(**CONFIG)
    for name in SKIPPED:
        network.set_submodule(name, Identity())
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.eps = TRAINING_EPSILON
    return network.to(memory_format=torch.channels_last)


def feeds_a_norm(name: str) -> bool:
    """Whether a parameter's scale is undone by the next GroupNorm.

    True for all that is added to the residual stream or normalised right away: first and block
    convolutions with their biases; of samplers and shortcuts, which pass the stream on, the bias.
    """
    if name.endswith(("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias")):
        return True
    if name.startswith(("encoder.conv_in.", "decoder.conv_in.")):
        return True
    return name.endswith(".bias") and ("samplers" in name or "conv_shortcut" in name)


def to_training_weights(exported: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo the folding: exported weights (diffusers names) to those of `training_network`."""
    weights = {}
    for name, value in exported.items():
        if name.startswith(SKIPPED):
            continue
        weights[name] = value.float() / FOLD if feeds_a_norm(name) else value.float()
    return weights


def encode(network: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Encode pictures with a training network.

    Args:
        pictures: [B, 3, H, W] float32, -1 to 1.
    Returns: [B, 4, H/8, W/8], scaled to about unit variance (times `SCALE_FACTOR`).
    """
    mean: Tensor = network.quant_conv(network.encoder(pictures)).chunk(2, dim=1)[0]
    return mean * SCALE_FACTOR


def decode(network: AutoencoderKL, latents: Tensor) -> Tensor:
    """Decode what `encode` returns: [B, 3, H, W] float32, about -1 to 1."""
    pictures: Tensor = network.decoder(network.post_quant_conv(latents / SCALE_FACTOR))
    return pictures


@torch.no_grad()
def normalise_latents(network: AutoencoderKL, mean: Tensor, std: Tensor) -> None:
    """Change quantisation layers so that latents have mean 0 and variance 1 per channel.

    Args:
        mean, std: [4] float32, of what `encode` returns now.
    """
    raw_mean, raw_std = mean / SCALE_FACTOR, std / SCALE_FACTOR
    quant, post_quant = network.quant_conv, network.post_quant_conv
    quant.weight[:4] /= std.view(4, 1, 1, 1)
    quant.bias[:4] = (quant.bias[:4] - raw_mean) / std
    post_quant.bias += post_quant.weight[:, :, 0, 0] @ raw_mean
    post_quant.weight *= (raw_std * SCALE_FACTOR).view(1, 4, 1, 1)


@torch.no_grad()
def exported_network(trained: dict[str, Tensor]) -> AutoencoderKL:
    """The whole network that computes the same as `training_network` with these weights.

    The posterior's log variance is -30 everywhere, so that encoding is deterministic.
    """
    network = AutoencoderKL(**CONFIG)
    parameters = dict(network.named_parameters())
    for name, parameter in parameters.items():
        if name in trained:
            parameter.copy_(trained[name])
        elif "conv2" in name or "to_out" in name or name.endswith("bias"):
            parameter.zero_()
        if feeds_a_norm(name):
            parameter.mul_(FOLD)
    network.quant_conv.weight[4:] = 0
    network.quant_conv.bias[4:] = LOG_VARIANCE
    return network.eval()


def load_trained(path: Path) -> AutoencoderKL:
    """Load `training_network` weights for use, not for training."""
    network = training_network()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False)
