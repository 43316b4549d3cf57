"""Where networks run and in which number formats, decided once from flags and the machine."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from webui.errors import WebUIError
from webui.flags import DeviceName, DtypeName

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class DevicePolicy:
    """What every network is loaded by.

    Args:
        device: of all networks.
        dtype: of the denoising network.
        vae_dtype: of the autoencoder; widened to float32 where a picture would be NaN.
        text_encoder_dtype: of the text encoders.
    """

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    text_encoder_dtype: torch.dtype

    def dtype_of(self, network: str) -> torch.dtype:
        """Return the format of a network by its role: ``unet``, ``vae``, ``text_encoder``, ..."""
        if network == "vae":
            return self.vae_dtype
        if network.startswith("text_encoder"):
            return self.text_encoder_dtype
        return self.dtype


def choose_device(name: DeviceName) -> torch.device:
    """Return the device that a flag means; ``auto`` takes CUDA, else MPS, else the CPU.

    Raises:
        WebUIError: if the machine has no such device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[name]:
        raise WebUIError(
            f"PyTorch finds no {name.upper()} device here. Start with --device auto or"
            " --device cpu."
        )
    return torch.device(name)


def device_policy(device: DeviceName, dtype: DtypeName, vae_dtype: DtypeName) -> DevicePolicy:
    """Turn flags into a policy."""
    place = choose_device(device)
    chosen = _auto_dtype(place) if dtype == "auto" else _DTYPES[dtype]
    vae = chosen if vae_dtype == "auto" else _DTYPES[vae_dtype]
    return DevicePolicy(place, chosen, vae, chosen)


def _auto_dtype(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "cpu" else torch.float16
