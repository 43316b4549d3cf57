"""The UNet and the text encoder: their shapes and the noise schedule that they share with SD1."""

from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

LATENT_SIZE = 16
TOKENS = 77
WORDS = 49408
WIDTH = 128
END_OF_TEXT = WORDS - 1
TIMESTEPS = 1000
UNET_WIDTHS = (64, 64, 128, 192)
UNET_ATTENTION = (False, True, True, False)
LAYERS = 1
HEADS = 4
UNET_CONFIG = {
    "sample_size": LATENT_SIZE,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": UNET_WIDTHS,
    "layers_per_block": LAYERS,
    "down_block_types": tuple(
        "CrossAttnDownBlock2D" if used else "DownBlock2D" for used in UNET_ATTENTION
    ),
    "up_block_types": tuple(
        "CrossAttnUpBlock2D" if used else "UpBlock2D" for used in reversed(UNET_ATTENTION)
    ),
    "cross_attention_dim": WIDTH,
    "attention_head_dim": HEADS,  # diffusers' name for the number of heads
}
TEXT_CONFIG = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "intermediate_size": 2048,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": TOKENS,
    "hidden_act": "quick_gelu",
    "projection_dim": WIDTH,
    "bos_token_id": END_OF_TEXT - 1,
    "eos_token_id": END_OF_TEXT,
    "pad_token_id": END_OF_TEXT,
}


def make_unet() -> UNet2DConditionModel:
    """A UNet with random weights whose attention blocks start as the identity."""
    unet = UNet2DConditionModel(**UNET_CONFIG)
    for name, parameter in unet.named_parameters():
        if ".attentions." in name and name.endswith(("proj_out.weight", "proj_out.bias")):
            torch.nn.init.zeros_(parameter)
    return unet.to(memory_format=torch.channels_last)


def make_text_encoder() -> CLIPTextModel:
    """A text encoder with random weights; the token embedding is not trained."""
    encoder = CLIPTextModel(CLIPTextConfig(**TEXT_CONFIG))
    token_embedding(encoder).requires_grad_(False)
    return encoder


def token_embedding(encoder: CLIPTextModel) -> Tensor:
    """The table of words: [49408, 128]."""
    table: Tensor = encoder.get_input_embeddings().weight
    return table


def alphas_cumprod() -> Tensor:
    """SD1's schedule: [1000] float32, the share of the picture's variance left at each step."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, TIMESTEPS) ** 2
    return torch.cumprod(1 - betas, dim=0)


@dataclass
class Networks:
    """The UNet and the text encoder that it reads."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel

    def parameters(self) -> list[Tensor]:
        """The UNet's parameters in a fixed order."""
        return list(self.unet.parameters())

    def matrices(self) -> list[Tensor]:
        """The UNet's inner matrices and convolutions, which Muon trains."""
        outer = ("conv_in.", "conv_out.")
        return [
            parameter
            for name, parameter in self.unet.named_parameters()
            if parameter.dim() >= 2 and not name.startswith(outer)
        ]
