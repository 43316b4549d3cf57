from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from torch import nn

from webui.errors import UnsupportedModel
from webui.families import ldm, ldm_names
from webui.families.base import Header, TensorInfo

TINY_UNET = ldm.UNetParams(
    model_channels=32,
    channel_mult=(1, 2, 3),
    attention_resolutions=(2, 4),
    num_res_blocks=1,
    num_heads=4,
    context_dim=16,
)
LINEAR_UNET = ldm.UNetParams(use_linear_in_transformer=True, num_heads=-1, num_head_channels=64)
TINY_VAE = ldm.VaeParams(ch=32, ch_mult=(1, 2, 2), num_res_blocks=1)


def on_meta(build: Any, *parts: Any) -> nn.Module:
    with torch.device("meta"):
        network: nn.Module = build(*parts)
    return network


def header_of(network: nn.Module, prefix: str, names: Any) -> dict[str, TensorInfo]:
    return {
        prefix + names(name): TensorInfo(tuple(parameter.shape), "F32")
        for name, parameter in network.named_parameters()
    }


def unet_header(network: nn.Module, params: ldm.UNetParams) -> Header:
    def name(own: str) -> str:
        return ldm_names.unet_name(own, params.num_res_blocks, params.attention)

    return header_of(network, ldm.UNET_PREFIX, name)


def vae_header(network: nn.Module, params: ldm.VaeParams) -> Header:
    def name(own: str) -> str:
        return ldm_names.vae_name(own, len(params.ch_mult))

    return header_of(network, ldm.VAE_PREFIX, name)


def meta_tensors(header: Header) -> dict[str, torch.Tensor]:
    return {key: torch.empty(info.shape, device="meta") for key, info in header.items()}


@pytest.mark.parametrize(
    "params", [ldm.UNetParams(), TINY_UNET, LINEAR_UNET], ids=["sd15", "tiny", "linear"]
)
def test_unet_names_agree_with_diffusers_converter(params: ldm.UNetParams) -> None:
    network: Any = on_meta(ldm.build_unet, params)
    header = unet_header(network, params)
    assert len(header) == len(list(network.parameters()))
    converted = convert_ldm_unet_checkpoint(meta_tensors(header), network.config)
    expected = {name: parameter.shape for name, parameter in network.named_parameters()}
    assert {name: tensor.shape for name, tensor in converted.items()} == expected


@pytest.mark.parametrize("params", [ldm.VaeParams(), TINY_VAE], ids=["sd15", "tiny"])
def test_vae_names_agree_with_diffusers_converter(params: ldm.VaeParams) -> None:
    network: Any = on_meta(ldm.build_vae, params, 0.18215)
    converted = convert_ldm_vae_checkpoint(
        meta_tensors(vae_header(network, params)), network.config
    )
    expected = {name: parameter.shape for name, parameter in network.named_parameters()}
    assert {name: tensor.shape for name, tensor in converted.items()} == expected


def test_sd15_has_the_layout_that_its_files_have() -> None:
    header = {
        **unet_header(on_meta(ldm.build_unet, ldm.UNetParams()), ldm.UNetParams()),
        **vae_header(on_meta(ldm.build_vae, ldm.VaeParams(), 0.18215), ldm.VaeParams()),
    }
    assert len(header) == 686 + 248
    unet, vae = ldm.UNET_PREFIX, ldm.VAE_PREFIX
    expected = {
        f"{unet}time_embed.2.weight": (1280, 1280),
        f"{unet}input_blocks.0.0.weight": (320, 4, 3, 3),
        f"{unet}input_blocks.4.0.skip_connection.weight": (640, 320, 1, 1),
        f"{unet}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        f"{unet}input_blocks.3.0.op.weight": (320, 320, 3, 3),
        f"{unet}middle_block.1.proj_in.weight": (1280, 1280, 1, 1),
        f"{unet}middle_block.2.out_layers.3.bias": (1280,),
        f"{unet}output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),
        f"{unet}output_blocks.5.2.conv.weight": (1280, 1280, 3, 3),
        f"{unet}output_blocks.11.0.in_layers.0.weight": (640,),
        f"{unet}output_blocks.11.1.transformer_blocks.0.ff.net.0.proj.weight": (2560, 320),
        f"{unet}out.2.weight": (4, 320, 3, 3),
        f"{vae}encoder.down.1.block.0.nin_shortcut.weight": (256, 128, 1, 1),
        f"{vae}encoder.mid.attn_1.norm.weight": (512,),
        f"{vae}decoder.up.3.block.2.conv1.weight": (512, 512, 3, 3),
        f"{vae}decoder.up.0.block.0.nin_shortcut.weight": (128, 256, 1, 1),
        f"{vae}decoder.conv_out.weight": (3, 128, 3, 3),
        f"{vae}post_quant_conv.weight": (4, 4, 1, 1),
    }
    assert {key: header[key].shape for key in expected} == expected


def test_the_files_own_attention_weights_are_convolutions() -> None:
    network = on_meta(ldm.build_vae, TINY_VAE, 0.18215)
    header = dict(vae_header(network, TINY_VAE))
    for key, info in header.items():
        if ".attn_1." in key and len(info.shape) == 2:
            header[key] = TensorInfo((*info.shape, 1, 1), "F16")
    assert set(ldm.match_vae(network, TINY_VAE, header).values()) == set(header)


def changed(kind: str) -> Header:
    network = on_meta(ldm.build_unet, TINY_UNET)
    header = dict(unet_header(network, TINY_UNET))
    key = f"{ldm.UNET_PREFIX}input_blocks.1.0.in_layers.2.weight"
    if kind == "missing":
        del header[key]
    elif kind == "absent":
        header = {}
    elif kind == "shape":
        header[key] = TensorInfo((64, 32, 3, 3), "F32")
    elif kind == "dtype":
        header[key] = TensorInfo(header[key].shape, "I8")
    elif kind == "leftover":
        header[f"{ldm.UNET_PREFIX}input_blocks.99.0.weight"] = TensorInfo((1,), "F32")
    return header


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("missing", r"1 of \d+ tensors are missing, the first is model\.diffusion_model\.input"),
        ("absent", "has no denoising network"),
        ("shape", r"is \[64, 32, 3, 3\] in the file, but should be \[32, 32, 3, 3\]"),
        ("dtype", r"number format that Easel cannot read \(I8"),
        ("leftover", r"1 tensors more than expected, the first is .*input_blocks\.99"),
    ],
)
def test_a_network_that_does_not_fit_is_a_sentence(kind: str, sentence: str) -> None:
    network = on_meta(ldm.build_unet, TINY_UNET)
    with pytest.raises(UnsupportedModel, match=sentence):
        ldm.match_unet(network, TINY_UNET, changed(kind))


def params_of(**params: Any) -> Any:
    return {"model": {"params": params}}


def unet_of(**params: Any) -> Any:
    return params_of(unet_config={"params": params})


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ("text", "its top level"),
        ([1], "its top level"),
        (params_of(timesteps=500), "timesteps"),
        (params_of(parameterization="x0"), "parameterization"),
        (unet_of(num_res_blocks=10**9), "num_res_blocks"),
        (unet_of(channel_mult=[1] * 100), "channel_mult"),
        (unet_of(model_channels=10**9), "model_channels"),
        (unet_of(model_channels="wide"), "model_channels"),
        (unet_of(num_heads=7), "7 heads"),
        (unet_of(num_heads=0), "0 heads"),
        (unet_of(model_channels=40, num_heads=1), "multiple of 32"),
        (params_of(first_stage_config={"params": {"ddconfig": {"ch": 33}}}), "ddconfig.ch"),
    ],
)
def test_a_yaml_that_describes_no_model_is_a_sentence(config: object, place: str) -> None:
    with pytest.raises(UnsupportedModel, match="yaml beside the checkpoint") as caught:
        ldm.read_params(config)
    assert place in str(caught.value)


def test_what_a_yaml_leaves_out_is_sd15s() -> None:
    params = ldm.read_params(params_of(parameterization="v", target="ldm.some.Class"))
    assert params.parameterization == "v"
    assert params.unet == ldm.UNetParams()
    assert ldm.read_params({}) == ldm.read_params(None)


def test_the_schedule_without_a_stored_one() -> None:
    shares = ldm.alphas_cumprod(ldm.LdmParams(), None)
    assert shares.dtype == torch.float32
    sigmas = ((1 - shares) / shares) ** 0.5
    assert sigmas[0].item() == pytest.approx(0.02917, abs=1e-5)
    assert sigmas[-1].item() == pytest.approx(14.6146, abs=1e-3)


def test_a_stored_schedule_is_taken_as_it_is() -> None:
    stored = ldm.alphas_cumprod(ldm.LdmParams(), None).half().float()
    assert torch.equal(ldm.alphas_cumprod(ldm.LdmParams(), stored), stored)


@pytest.mark.parametrize(
    "stored",
    [torch.ones(7), torch.zeros(1000), torch.full((1000,), float("nan")), torch.full((1000,), 2.0)],
)
def test_a_damaged_schedule_is_a_sentence(stored: torch.Tensor) -> None:
    with pytest.raises(UnsupportedModel, match="noise schedule in the file"):
        ldm.alphas_cumprod(ldm.LdmParams(), stored)
