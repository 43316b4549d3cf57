"""Where networks run and in which number formats, decided once from flags and the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from webui.errors import WebUIError
from webui.flags import DeviceName, DtypeName

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16", "arm_bf16")
SMALL_UNET_PARAMETERS = 200_000_000
"""Below this a bfloat16 step was at best 1.2 times as fast as a float32 one; SD 1.5's, with 860
million, 2.3 times (AVX-512 BF16)."""


@dataclass(frozen=True, slots=True)
class DevicePolicy:
    """What every network is loaded by.

    Args:
        device: of all networks.
        dtype: of the denoising network.
        vae_dtype: of the autoencoder; widened to float32 where a picture would be NaN.
        text_encoder_dtype: of the text encoders.
        float32_below: models whose denoising network has fewer parameters run in float32 as a
            whole, where half the width saves next to no time.
    """

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    text_encoder_dtype: torch.dtype
    float32_below: int = 0

    def for_size(self, unet_parameters: int) -> DevicePolicy:
        """Return the policy for a model by the size of its denoising network."""
        if unet_parameters >= self.float32_below:
            return self
        whole = torch.float32
        return replace(self, dtype=whole, vae_dtype=whole, text_encoder_dtype=whole)

    def memory_format_of(self, network: str) -> torch.memory_format:
        """Return the order of a network's convolution weights that runs fastest.

        On a CPU, channels last takes a fifth off the autoencoder's time, and a fourteenth off a
        bfloat16 denoising network's; it changes nothing for a float32 one.
        """
        fast = network == "vae" or self.dtype_of(network) != torch.float32
        return (
            torch.channels_last if fast and self.device.type == "cpu" else torch.contiguous_format
        )

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
    """Turn the flags ``--device``, ``--dtype`` and ``--vae-dtype`` into a policy.

    ``auto`` on a CPU is bfloat16 for large models if the CPU calculates in it natively, which
    halves a step's time, and float32 otherwise; this depends on nothing but CPU and checkpoint, so
    that the same seed gives the same picture after every start. The autoencoder stays in
    float32, since bfloat16 is coarser than the 256 steps of a channel. On a GPU ``auto`` is
    float16.

    Raises:
        WebUIError: if the machine has no such device.
    """
    place = choose_device(device)
    cpu = place.type == "cpu"
    if dtype == "auto":
        native = cpu and has_native_bfloat16(torch.cpu.get_capabilities())
        chosen = torch.bfloat16 if native else torch.float32 if cpu else torch.float16
    else:
        chosen = _DTYPES[dtype]
    if vae_dtype == "auto":
        vae = torch.float32 if cpu and chosen == torch.bfloat16 else chosen
    else:
        vae = _DTYPES[vae_dtype]
    below = SMALL_UNET_PARAMETERS if cpu and dtype == "auto" else 0
    return DevicePolicy(place, chosen, vae, chosen, float32_below=below)


def has_native_bfloat16(capabilities: Mapping[str, object]) -> bool:
    """Tell from a CPU's capabilities whether it multiplies bfloat16 numbers itself."""
    return any(capabilities.get(name) is True for name in _BFLOAT16_INSTRUCTIONS)
