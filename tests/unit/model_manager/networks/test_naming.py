from __future__ import annotations

import pytest

from webui.model_manager.networks.naming import split_key

TO_Q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
PATH = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
OUT = TO_Q.replace("to_q", "to_out_0")
TEXT = "text_model_encoder_layers_0_self_attn_q_proj"
TEXT_PATH = "text_model.encoder.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("key", "layer", "part"),
    [
        (f"{TO_Q}.lora_down.weight", TO_Q, "lora_down.weight"),
        (f"{TO_Q}.alpha", TO_Q, "alpha"),
        (f"{TO_Q}.hada_w1_a", TO_Q, "hada_w1_a"),
        (f"{TO_Q}.lora_A.weight", TO_Q, "lora_down.weight"),
        (f"unet.{PATH}.to_q.lora_A.weight", TO_Q, "lora_down.weight"),
        (f"unet.{PATH}.to_q.lora_B.default.weight", TO_Q, "lora_up.weight"),
        (f"unet.{PATH}.to_out.0.lora_B.weight", OUT, "lora_up.weight"),
        (f"base_model.model.unet.{PATH}.to_q.lora_A.weight", TO_Q, "lora_down.weight"),
        (f"{PATH}.to_q.lora.up.weight", TO_Q, "lora_up.weight"),
        (f"unet.{PATH}.processor.to_q_lora.down.weight", TO_Q, "lora_down.weight"),
        (f"unet.{PATH}.processor.to_out_lora.up.weight", OUT, "lora_up.weight"),
        (f"unet.{PATH}.to_q.alpha", TO_Q, "alpha"),
        (f"unet.{PATH}.to_q.lora_magnitude_vector", TO_Q, "lora_magnitude_vector"),
        (
            f"text_encoder.{TEXT_PATH}.lora_linear_layer.down.weight",
            f"lora_te1_{TEXT}",
            "lora_down.weight",
        ),
        (f"text_encoder_2.{TEXT_PATH}.lora_B.weight", f"lora_te2_{TEXT}", "lora_up.weight"),
        (f"text_encoder.{TEXT_PATH[11:]}.lora_A.weight", f"lora_te1_{TEXT}", "lora_down.weight"),
    ],
)
def test_all_ways_of_naming_give_kohyas(key: str, layer: str, part: str) -> None:
    assert split_key(key) == (layer, part)
