"""SD 1.x against A1111's own numbers, recorded on tinyA (float32 on a CPU)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from webui.device import device_policy
from webui.errors import BadOutput
from webui.families.base import EncodeOptions, LoadedModel
from webui.families.vae import VaeCodec
from webui.model_manager.cache import ModelCache
from webui.model_manager.catalog import Catalog
from webui.model_manager.index import FileIndex

GOLDEN = Path(__file__).parents[2] / "golden"
SHIPPED = Path(__file__).parents[3] / "models" / "Stable-diffusion"
PROMPT, NEGATIVE = "a red cat sitting on a wooden table, detailed", "blurry, low quality"
CFG_SCALE, SEED, STEPS = 7.0, 1234, 12


@pytest.fixture(scope="module")
def cache(tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelCache:
    index = FileIndex(tmp_path_factory.mktemp("index") / "models.sqlite")
    catalog = Catalog([tiny_checkpoints, SHIPPED], index)
    return ModelCache(catalog, device_policy("cpu", "float32", "auto"))


@pytest.fixture(scope="module")
def tiny_a(cache: ModelCache) -> Iterator[LoadedModel]:
    with cache.use("tinyA") as model:
        yield model


def draw_with_euler(model: LoadedModel) -> Tensor:
    """Twelve plain Euler steps of noise prediction, timesteps evenly spaced; final latents."""
    embeds = [model.encode_prompts([text], EncodeOptions())[0].cross for text in (PROMPT, NEGATIVE)]
    cross = torch.stack(embeds)
    log_sigmas = ((1 - model.alphas_cumprod) / model.alphas_cumprod).sqrt().log()
    timesteps = torch.linspace(999, 0, STEPS)
    low, share = timesteps.floor().long(), timesteps.frac()
    logs = (1 - share) * log_sigmas[low] + share * log_sigmas[timesteps.ceil().long()]
    sigmas = torch.cat([logs.exp(), torch.zeros(1)])
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(SEED)) * sigmas[0]
    for step in range(STEPS):
        sigma = sigmas[step]
        x_in = torch.cat([x, x]) / (sigma**2 + 1).sqrt()
        noise = model.predict(x_in, timesteps[step].repeat(2), cross)
        guided = noise[1:] + (noise[:1] - noise[1:]) * CFG_SCALE
        x = x + guided * (sigmas[step + 1] - sigma)
    return x


def test_text_encoder_and_unet_agree_with_a1111(tiny_a: LoadedModel) -> None:
    expected = torch.from_numpy(np.load(GOLDEN / "latents" / "tinyA_euler_12.npy"))
    difference = (draw_with_euler(tiny_a).view_as(expected) - expected).abs().max().item()
    assert difference < 1e-5 * expected.abs().max().item()


def test_decoder_agrees_with_a1111(tiny_a: LoadedModel) -> None:
    latents = torch.from_numpy(np.load(GOLDEN / "latents" / "tinyA_euler_12.npy"))
    pixels = tiny_a.decode_latents(latents.view(1, 4, 16, 16))
    assert pixels.dtype == torch.float32
    found = ((pixels[0] + 1) / 2).clamp(0, 1).permute(1, 2, 0) * 255
    with Image.open(GOLDEN / "latents" / "tinyA_euler_12.png") as picture:
        expected = torch.from_numpy(np.asarray(picture, dtype=np.float32))
    assert (found.floor() - expected).abs().max().item() <= 1


def test_fractional_timesteps_reach_the_network(tiny_a: LoadedModel) -> None:
    x, cross = torch.randn(1, 4, 8, 8), torch.zeros(1, 77, 128)
    outputs = [tiny_a.predict(x, torch.tensor([t]), cross) for t in (500.0, 500.5, 501.0)]
    assert not torch.equal(outputs[0], outputs[1])
    between = (outputs[1] - (outputs[0] + outputs[2]) / 2).abs().max()
    assert between < (outputs[0] - outputs[2]).abs().max()


def test_a_batch_equals_its_members(tiny_a: LoadedModel) -> None:
    x, cross = torch.randn(3, 4, 8, 8), torch.randn(3, 77, 128)
    timesteps = torch.tensor([10.0, 400.0, 999.0])
    together = tiny_a.predict(x, timesteps, cross)
    for index in range(3):
        row = slice(index, index + 1)
        alone = tiny_a.predict(x[row], timesteps[row], cross[row])
        assert torch.allclose(alone, together[row], atol=2e-5)


def test_encoding_samples_the_posterior_with_the_noise_given(tiny_a: LoadedModel) -> None:
    torch.manual_seed(0)
    pixels, noise = torch.rand(1, 3, 64, 64) * 2 - 1, torch.randn(1, 4, 8, 8)
    mode = tiny_a.encode_image(pixels)
    assert mode.shape == (1, 4, 8, 8)
    step = tiny_a.encode_image(pixels, noise) - mode
    twice = tiny_a.encode_image(pixels, noise * 2) - mode
    assert step.abs().max() > 0
    assert torch.allclose(twice, step * 2, atol=1e-6)
    vae = tiny_a.networks["vae"]
    assert isinstance(vae, AutoencoderKL)
    with torch.no_grad():
        posterior = vae.encode(pixels).latent_dist
    assert torch.allclose(mode, posterior.mean * 0.18215, atol=1e-6)
    assert torch.allclose(step, posterior.std * noise * 0.18215, atol=1e-6)


def test_facts_of_the_models(cache: ModelCache, tiny_a: LoadedModel) -> None:
    assert (tiny_a.prediction, tiny_a.native_size, tiny_a.latent_channels) == ("epsilon", 512, 4)
    assert (tiny_a.vae_scale_factor, tiny_a.max_clip_skip) == (8, 4)
    assert tiny_a.alphas_cumprod.shape == (1000,)
    assert tiny_a.tokenize("a red cat") == [320, 736, 2368]
    with cache.use("tinyV") as velocity:
        assert velocity.prediction == "v"
    with cache.use("tinyC") as halves:
        rounded = tiny_a.alphas_cumprod.half().float()
        assert torch.equal(halves.alphas_cumprod, rounded)


def test_the_shipped_model_loads_by_the_same_way(cache: ModelCache) -> None:
    info = cache.info("easel-emoji")
    assert (info.native_width, info.native_height) == (128, 128)
    with cache.use("easel-emoji") as model:
        assert model.prediction == "v"
        pixels = model.decode_latents(torch.zeros(1, 4, 16, 16))
        assert pixels.shape == (1, 3, 128, 128)
        assert pixels.isfinite().all()


class Overflowing(torch.nn.Module):
    """Stands for an autoencoder whose activations exceed half precision."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.limit = limit

    @property
    def dtype(self) -> torch.dtype:
        return self.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def decode(self, latents: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        assert not return_dict
        return (latents * self.limit * self.weight - self.limit * self.weight * latents,)


def test_a_decoder_that_overflows_in_half_precision_is_widened() -> None:
    network = Overflowing(1e6).half()
    pixels = VaeCodec(network, 1.0).decode(torch.full((1, 3, 8, 8), 100.0))
    assert torch.equal(pixels, torch.zeros(1, 3, 8, 8))
    assert network.dtype == torch.float32


def test_a_decoder_that_overflows_in_single_precision_is_a_sentence() -> None:
    codec = VaeCodec(Overflowing(1e38), 1.0)
    with pytest.raises(BadOutput, match="NaN"):
        codec.decode(torch.full((1, 3, 8, 8), 100.0))
