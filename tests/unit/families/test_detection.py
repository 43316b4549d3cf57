"""Which family claims a file, by names and shapes alone."""

from __future__ import annotations

import pytest

from webui.families import detect
from webui.families.base import Header, TensorInfo

UNET = "model.diffusion_model."
CLIP_L = "cond_stage_model.transformer.text_model.final_layer_norm.weight"


def header(*keys: str, channels: int = 4, context: int = 768) -> Header:
    """A UNet's first layer and one attention, and tensors of a text encoder."""
    found = {key: TensorInfo((context,), "F16") for key in keys}
    attention = f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    return {
        f"{UNET}input_blocks.0.0.weight": TensorInfo((320, channels, 3, 3), "F16"),
        attention: TensorInfo((320, context), "F16"),
        **found,
    }


LABEL = f"{UNET}label_emb.0.0.weight"


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize(
    ("keys", "context", "family"),
    [
        ((CLIP_L,), 768, "sd1"),
        (("cond_stage_model.model.ln_final.weight",), 1024, "sd2"),
        (("conditioner.embedders.0.model.ln_final.weight",), 1024, "sd2"),
        ((), 1024, "sd2"),
        (("conditioner.embedders.1.model.ln_final.weight", LABEL), 2048, "sdxl"),
        ((LABEL,), 2048, "sdxl"),
    ],
)
def test_a_family_is_told_by_its_keys(
    keys: tuple[str, ...], context: int, family: str, channels: int
) -> None:
    assert detect("a", header(*keys, channels=channels, context=context)).id == family


@pytest.mark.parametrize("keys", [("conditioner.embedders.0.model.ln_final.weight",), ()])
def test_the_refiner_is_told_from_sd2_turbo_by_its_label(keys: tuple[str, ...]) -> None:
    assert detect("a", header(*keys, LABEL, context=1280)).id == "sdxl-refiner"


def test_instruct_pix2pix_is_an_sd1() -> None:
    assert detect("a", header(CLIP_L, channels=8)).id == "sd1"
