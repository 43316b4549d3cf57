"""What CompVis' single-file layout calls the parameters that diffusers' networks have.

Names go from diffusers to the file, so that one look at a network tells which tensors it needs.
"""

from __future__ import annotations

from collections.abc import Sequence

_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def unet_name(name: str, layers: int, attention: Sequence[bool]) -> str:
    """Return the file's name (without prefix) of a UNet parameter that diffusers calls `name`.

    The layout numbers the layers of all blocks in one row: going down, a block is its layers and a
    downsampler; going up, it is one layer more, with the upsampler inside the last.

    Args:
        name: e.g. ``down_blocks.0.resnets.1.conv1.weight``.
        layers: residual layers of a block going down.
        attention: for each block going down, whether it has attention.
    """
    stem, _, kind = name.rpartition(".")
    if stem in _UNET_ENDS:
        return f"{_UNET_ENDS[stem]}.{kind}"
    parts = name.split(".")
    if parts[0] == "mid_block":
        row = "1" if parts[1] == "attentions" else str(2 * int(parts[2]))
        return _unet_layer(f"middle_block.{row}", parts[1], parts[3:])
    block, part, index = int(parts[1]), parts[2], int(parts[3])
    if part == "downsamplers":
        return f"input_blocks.{(block + 1) * (layers + 1)}.0.op.{kind}"
    if part == "upsamplers":
        slot = 2 if attention[len(attention) - 1 - block] else 1
        return f"output_blocks.{block * (layers + 1) + layers}.{slot}.conv.{kind}"
    layer = block * (layers + 1) + index
    row = f"input_blocks.{layer + 1}" if parts[0] == "down_blocks" else f"output_blocks.{layer}"
    return _unet_layer(f"{row}.{0 if part == 'resnets' else 1}", part, parts[4:])


def _unet_layer(place: str, part: str, rest: list[str]) -> str:
    if part == "resnets":
        rest = [_UNET_RESNET[rest[0]], *rest[1:]]
    return ".".join([place, *rest])


_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def vae_name(name: str, blocks: int) -> str:
    """Return the file's name (without prefix) of an autoencoder parameter.

    Args:
        name: as diffusers calls it, e.g. ``decoder.up_blocks.0.resnets.0.norm1.weight``.
        blocks: of the encoder, and as many of the decoder; the layout counts both from the
            picture's end.
    """
    name = name.replace(".conv_norm_out.", ".norm_out.").replace(
        ".conv_shortcut.", ".nin_shortcut."
    )
    parts = name.split(".")
    if len(parts) < 5:
        return name
    side, stage, index, part = parts[0], parts[1], parts[2], parts[3]
    if stage == "mid_block" and index == "resnets":
        return ".".join([side, "mid", f"block_{int(part) + 1}", *parts[4:]])
    if stage == "mid_block":
        layer, _, kind = ".".join(parts[4:]).rpartition(".")
        return f"{side}.mid.attn_1.{_VAE_ATTENTION[layer]}.{kind}"
    place = (
        f"encoder.down.{index}" if side == "encoder" else f"decoder.up.{blocks - 1 - int(index)}"
    )
    if part == "downsamplers":
        return f"{place}.downsample.conv.{parts[-1]}"
    if part == "upsamplers":
        return f"{place}.upsample.conv.{parts[-1]}"
    return ".".join([place, "block", *parts[4:]])
