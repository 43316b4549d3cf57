"""Whether a run can fit into memory at all, told before it waits for its turn."""

from __future__ import annotations

import psutil
import torch

from webui.device import DevicePolicy
from webui.errors import OutOfMemory
from webui.model_manager.info import ModelInfo
from webui.request import GenerationRequest, hires_target

LATENT_SCALE = 8  # pixels a side for one of the latents
LIVE_TENSORS = 3  # of a residual block: its input, normalised, and activated


def least_bytes(
    request: GenerationRequest, model: ModelInfo, *, unet_bytes: int, vae_bytes: int
) -> int:
    """Return what the widest layers of a run need at least, without the weights.

    A lower bound, so that nothing is refused that would have worked: three tensors of the
    autoencoder's last block for one picture (pictures are decoded one at a time), or of the
    denoising network's last block, which takes twice its width, for the whole batch.

    Args:
        request: resolved.
        unet_bytes, vae_bytes: of a number in these networks.
    """
    width, height = request.size
    pixels = width * height
    if request.hires is not None:
        target = hires_target(width, height, request.hires)
        pixels = max(pixels, target.width * target.height)
    decoding = LIVE_TENSORS * model.decoder_width * vae_bytes * pixels
    latent_pixels = request.batch_size * pixels // LATENT_SCALE**2
    denoising = LIVE_TENSORS * 2 * model.unet_width * unet_bytes * latent_pixels
    return max(decoding, denoising)


def device_bytes(device: torch.device) -> int:
    """Return the memory of a device as a whole; Apple's is the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)


def check_memory(
    request: GenerationRequest, model: ModelInfo, policy: DevicePolicy, available_bytes: int
) -> None:
    """Refuse a resolved request that cannot fit.

    Raises: OutOfMemory: with both sizes and what to change.
    """
    needed = least_bytes(
        request,
        model,
        unet_bytes=policy.dtype_of("unet").itemsize,
        vae_bytes=policy.dtype_of("vae").itemsize,
    )
    if needed > available_bytes:
        raise OutOfMemory(
            f"This needs at least {needed / 2**30:,.1f} GiB of memory, but the device has "
            f"{available_bytes / 2**30:,.1f} GiB: choose a smaller size or batch."
        )
