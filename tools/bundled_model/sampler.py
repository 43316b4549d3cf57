"""Draw pictures with the networks alone, independent of the application's samplers."""

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from tools.bundled_model import vae
from tools.bundled_model.networks import LATENT_SIZE, TIMESTEPS, TOKENS

STEPS = 20
CFG_SCALE = 4.0


def scheduler(steps: int) -> DDIMScheduler:
    """DDIM on SD1's schedule for a network that predicts v."""
    made = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=TIMESTEPS,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        timestep_spacing="trailing",
    )
    made.set_timesteps(steps)
    return made


def encode_prompts(
    tokenizer: CLIPTokenizer, encoder: CLIPTextModel, prompts: Sequence[str]
) -> Tensor:
    """The prompts' embeddings: [B, 77, 128]."""
    tokens = tokenizer(list(prompts), padding="max_length", max_length=TOKENS, truncation=True)
    words: Tensor = encoder(torch.tensor(tokens.input_ids)).last_hidden_state
    return words


@torch.no_grad()
def sample_latents(
    unet: UNet2DConditionModel,
    prompt_embeds: Tensor,
    empty_embeds: Tensor,
    seeds: Sequence[int],
    *,
    steps: int = STEPS,
    cfg_scale: float = CFG_SCALE,
) -> Tensor:
    """Denoise with classifier-free guidance, one seed a picture.

    Args:
        prompt_embeds: [B, 77, 128].
        empty_embeds: [1, 77, 128], of the empty prompt.
    Returns: [B, 4, 16, 16] float32.
    """
    shape = (4, LATENT_SIZE, LATENT_SIZE)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    latents = torch.stack([torch.randn(shape, generator=g) for g in generators])
    both = torch.cat([empty_embeds.expand_as(prompt_embeds), prompt_embeds])
    plan = scheduler(steps)
    for timestep in plan.timesteps:
        doubled = torch.cat([latents, latents]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            velocity = unet(doubled, timestep, both).sample.float()
        without, with_prompt = velocity.chunk(2)
        guided = without + cfg_scale * (with_prompt - without)
        latents = plan.step(guided, timestep, latents).prev_sample
    return latents


@torch.no_grad()
def decode_latents(network: AutoencoderKL, latents: Tensor) -> Tensor:
    """Decode with a training network: [B, 128, 128, 3] uint8."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pictures = torch.cat(
            [vae.decode(network, latents[k : k + 8]).float() for k in range(0, len(latents), 8)]
        )
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)


@torch.no_grad()
def draw(
    networks: tuple[UNet2DConditionModel, CLIPTextModel, AutoencoderKL],
    tokenizer: CLIPTokenizer,
    prompts: Sequence[str],
    *,
    first_seed: int = 1,
    batch_size: int = 10,
) -> Tensor:
    """Draw one picture for each prompt: [B, 128, 128, 3] uint8.

    Args:
        networks: UNet, text encoder and training network of the autoencoder.
        first_seed: seed of the first picture; the others count on.
    """
    unet, encoder, autoencoder = networks
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embeds = encode_prompts(tokenizer, encoder, [*prompts, ""])
    pictures = []
    for start in range(0, len(prompts), batch_size):
        part = embeds[start : min(start + batch_size, len(prompts))]
        seeds = range(first_seed + start, first_seed + start + len(part))
        latents = sample_latents(unet, part, embeds[-1:], seeds)
        pictures.append(decode_latents(autoencoder, latents))
    return torch.cat(pictures)
