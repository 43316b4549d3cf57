"""Pictures whose latents cannot be halved evenly: enlarge as Stable Diffusion's own code does.

On the way up, its UNet doubles, convolves, and only then shrinks to the size of the skip
connection (nearest neighbour); diffusers interpolates straight to that size and convolves after.
Only sizes that are no multiple of 8 times the UNet's factor show the difference.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from webui.families.importing import IMPORTING


class _Doubling:
    """The hooks of one upsampler, used by one thread at a time."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None

    def before(self, _module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Take the size away, so that the module simply doubles."""
        self._size = args[1] if len(args) > 1 else None
        return args[:1]

    def after(self, _module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        """Shrink to the size that was asked for."""
        size = self._size
        if size is None or tuple(output.shape[-2:]) == tuple(size):
            return output
        return functional.interpolate(output, size=tuple(size), mode="nearest")


def double_then_shrink(unet: nn.Module) -> None:
    """Have a diffusers UNet's upsamplers double first and shrink afterwards."""
    with IMPORTING:
        from diffusers.models.upsampling import Upsample2D

    for module in unet.modules():
        if isinstance(module, Upsample2D):
            hooks = _Doubling()
            module.register_forward_pre_hook(hooks.before)
            module.register_forward_hook(hooks.after)
