"""Write the trained networks as one SD1 file with its yaml, and read such a file back."""

from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor

from tools.bundled_model import networks, vae
from webui.families.ldm_names import unet_name, vae_name

NAME = "easel-emoji"
UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT = "cond_stage_model.transformer."
_VAE_LINEAR = ("q.weight", "k.weight", "v.weight", "proj_out.weight")


def _text_name(name: str) -> str:
    return TEXT + (name if name.startswith("text_model.") else f"text_model.{name}")


def file_tensors(networks_: networks.Networks, autoencoder: AutoencoderKL) -> dict[str, Tensor]:
    """All tensors under their names in the file, float16.

    Args:
        autoencoder: as `vae.exported_network` returns it.
    """
    tensors = {
        UNET + unet_name(name, networks.LAYERS, networks.UNET_ATTENTION): value
        for name, value in networks_.unet.state_dict().items()
    }
    for name, value in autoencoder.state_dict().items():
        key = VAE + vae_name(name, len(vae.WIDTHS))
        # the layout's attention is made of 1 x 1 convolutions
        is_linear = value.dim() == 2 and key.endswith(_VAE_LINEAR)
        tensors[key] = value[:, :, None, None] if is_linear else value
    for name, value in networks_.text_encoder.state_dict().items():
        tensors[_text_name(name)] = value
    return {key: value.detach().half().contiguous() for key, value in tensors.items()}


def _unet_params() -> dict[str, object]:
    levels = enumerate(networks.UNET_ATTENTION)
    first = networks.UNET_WIDTHS[0]
    return {
        "image_size": networks.LATENT_SIZE,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": first,
        "attention_resolutions": [2**level for level, used in levels if used][::-1],
        "num_res_blocks": networks.LAYERS,
        "channel_mult": [width // first for width in networks.UNET_WIDTHS],
        "num_heads": networks.HEADS,
        "use_spatial_transformer": True,
        "transformer_depth": 1,
        "context_dim": networks.WIDTH,
        "use_checkpoint": False,
        "legacy": False,
    }


def _autoencoder_params() -> dict[str, object]:
    first = vae.WIDTHS[0]
    ddconfig = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": first,
        "ch_mult": [width // first for width in vae.WIDTHS],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    return {
        "embed_dim": 4,
        "ddconfig": ddconfig,
        "lossconfig": {"target": "torch.nn.Identity"},
    }


def _text_params() -> dict[str, object]:
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    return {
        "version": "openai/clip-vit-large-patch14",
        **{size: networks.TEXT_CONFIG[size] for size in sizes},
    }


def description() -> dict[str, object]:
    """The yaml's contents."""
    params = {
        "parameterization": "v",
        "linear_start": 0.00085,
        "linear_end": 0.0120,
        "timesteps": networks.TIMESTEPS,
        "image_size": networks.LATENT_SIZE,
        "channels": 4,
        "conditioning_key": "crossattn",
        "scale_factor": vae.SCALE_FACTOR,
        "use_ema": False,
        "unet_config": {
            "target": "ldm.modules.diffusionmodules.openaimodel.UNetModel",
            "params": _unet_params(),
        },
        "first_stage_config": {
            "target": "ldm.models.autoencoder.AutoencoderKL",
            "params": _autoencoder_params(),
        },
        "cond_stage_config": {
            "target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder",
            "params": _text_params(),
        },
    }
    return {"model": {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": params}}


def write_model(tensors: Mapping[str, Tensor], pictures: int, folder: Path) -> Path:
    """Write ``easel-emoji.safetensors`` and its yaml.

    Args:
        pictures: how many the UNet has been trained on, for the file's metadata.
    Returns: the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.safetensors"
    size = networks.LATENT_SIZE * 8
    metadata = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.title": "Easel emoji",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.prediction_type": "v",
        "modelspec.resolution": f"{size}x{size}",
        "modelspec.license": "see NOTICE.md",
        "training_pictures": str(pictures),
    }
    save_file(dict(tensors), path, metadata=metadata)
    text = yaml.safe_dump(description(), sort_keys=False)
    path.with_suffix(".yaml").write_text(text, "utf-8")
    return path


def read_model(path: Path) -> tuple[networks.Networks, dict[str, Tensor]]:
    """Read a file that `write_model` wrote.

    Returns: the networks and the autoencoder's weights for `vae.training_network`.
    Raises: KeyError: if a part is missing.
    """
    tensors = {name: value.float() for name, value in load_file(path).items()}
    made = networks.Networks(networks.make_unet(), networks.make_text_encoder())
    layers, attention = networks.LAYERS, networks.UNET_ATTENTION
    made.unet.load_state_dict(
        {
            name: tensors[UNET + unet_name(name, layers, attention)]
            for name in made.unet.state_dict()
        }
    )
    made.text_encoder.load_state_dict(
        {name: tensors[_text_name(name)] for name in made.text_encoder.state_dict()}
    )
    with torch.device("meta"):
        blueprint = AutoencoderKL(**vae.CONFIG).state_dict()
    blocks = len(vae.WIDTHS)
    autoencoder = {
        name: tensors[VAE + vae_name(name, blocks)].reshape(value.shape)
        for name, value in blueprint.items()
    }
    return made, vae.to_training_weights(autoencoder)
