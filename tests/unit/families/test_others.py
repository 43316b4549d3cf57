from __future__ import annotations

import pytest

from webui.errors import UnsupportedModel
from webui.families import detect
from webui.families.base import Header, TensorInfo

UNET = "model.diffusion_model.input_blocks.0.0.weight"
CLIP = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"


def header(*keys: str, channels: int = 4) -> Header:
    shapes = {UNET: (320, channels, 3, 3)}
    return {key: TensorInfo(shapes.get(key, (8, 8)), "F16") for key in keys}


def test_sd1_is_told_by_its_keys() -> None:
    assert detect("model.safetensors", header(UNET, CLIP)).id == "sd1"
    old = CLIP.replace(".text_model.", ".")
    assert detect("model.safetensors", header(UNET, old, "model_ema.decay")).id == "sd1"


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (header("lora_unet_down_blocks_0_attn.lora_down.weight"), "is a LoRA. Move it to models/L"),
        (header("lora_te_text_model_encoder.alpha"), "is a LoRA"),
        (header("unet.up_blocks.0.attn.to_q.lora_A.weight"), "is a LoRA"),
        (header("lora_unet_mid.hada_w1_a"), "is a LoRA"),
        (header("transformer.double_blocks.0.lora_A.weight"), "is a LoRA"),
        (header("decoder.conv_in.weight", "encoder.conv_in.weight"), "is a VAE. Move it to"),
        (header("first_stage_model.decoder.conv_in.weight"), "is a VAE"),
        (header("control_model.input_blocks.0.0.weight"), "is a ControlNet. Move it"),
        (header("controlnet_cond_embedding.conv_in.weight"), "is a ControlNet"),
        (header("emb_params"), "is a textual inversion embedding. Move it"),
        (header("clip_l", "clip_g"), "is a textual inversion embedding"),
        (header("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"), "is an upscaler"),
        (header("model.diffusion_model.joint_blocks.0.x"), "is an SD 3 checkpoint"),
        (header("double_blocks.0.img_attn.qkv.weight"), "is a Flux checkpoint"),
        (header(UNET, "cond_stage_model.roberta.x"), "another text encoder than CLIP"),
        (header(UNET, CLIP, channels=5), "reads more than latents"),
        (header("down_blocks.0.resnets.0.conv1.weight"), "one part of a diffusers folder"),
        (header("text_model.embeddings.token_embedding.weight"), "one part of a diffusers"),
        (header("some.weight"), "is of an unknown kind"),
        ({}, "is of an unknown kind"),
    ],
)
def test_other_files_get_a_sentence(found: Header, sentence: str) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        detect("file.safetensors", found)
    assert str(caught.value).startswith("file.safetensors ")
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")
