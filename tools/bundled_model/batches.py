"""Random batches for the UNet: latents, noise, timesteps and captions."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from tools.bundled_model.captions import Captioner
from tools.bundled_model.concepts import concepts_by_code
from tools.bundled_model.latents import LatentSet, read_shards
from tools.bundled_model.networks import TIMESTEPS, TOKENS

OFFSET_NOISE = 0.2
NOISY_START = 620
EMPTY_CAPTIONS = 0.1


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes:
        minutes: how long this run lasts.
        batch_size: pictures per process and step.
        learning_rate: of the matrices (Muon); Adam's is `adam_rate`.
        anneal: whether the rate falls to zero by the end of this run (for a last run only).
        noisy_share: share of the timesteps that come from the noisy end alone, 0 to 1 (excluded).
        tier_weights: how often scenes with concepts of tier 0, 1 and 2 are drawn.
    """

    minutes: float
    batch_size: int = 32
    learning_rate: float = 2e-3
    adam_rate: float = 8e-4
    anneal: bool = False
    tier_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noisy_share: float = 0.6


def draw_timesteps(count: int, noisy_share: float, generator: torch.Generator) -> Tensor:
    """Timesteps, evenly spread, a share of them at the noisy end: [count] int64, random order."""
    even = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    noisy = NOISY_START + (TIMESTEPS - NOISY_START) * even / noisy_share
    others = TIMESTEPS * (even - noisy_share) / (1 - noisy_share)
    timesteps = torch.where(even < noisy_share, noisy, others).long().clamp(0, TIMESTEPS - 1)
    return timesteps[torch.randperm(count, generator=generator)]


class Batches:
    """Random batches of latents with captions; picks up new shards while it runs."""

    def __init__(
        self, folder: Path, tokenizer: CLIPTokenizer, training: Training, seed: int
    ) -> None:
        """Read all shards that are there."""
        self._folder, self._tokenizer, self._training = folder, tokenizer, training
        self._random = random.Random(seed)
        self._generator = torch.Generator().manual_seed(seed)
        self._captioner = Captioner(seed)
        self.known = read_shards(folder)
        self._weights = self._scene_weights(self.known)

    def _scene_weights(self, known: LatentSet) -> Tensor:
        tiers, concepts = self._training.tier_weights, concepts_by_code()
        weights = [tiers[concepts[scene.parts[0].code].tier] for scene in known.scenes]
        return torch.tensor(weights)

    def _captions(self, chosen: list[int]) -> Tensor:
        texts = [
            ""
            if self._random.random() < EMPTY_CAPTIONS
            else self._captioner.write(self.known.scenes[index])
            for index in chosen
        ]
        tokens = self._tokenizer(texts, padding="max_length", max_length=TOKENS, truncation=True)
        return torch.tensor(tokens.input_ids)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield latents [B, 4, 16, 16], noise alike, timesteps [B], token numbers [B, 77]."""
        count = self._training.batch_size
        while True:
            chosen = torch.multinomial(self._weights, count, generator=self._generator)
            latents = self.known.latents[chosen].float()
            noise = torch.randn(latents.shape, generator=self._generator)
            shift = torch.randn(count, latents.shape[1], 1, 1, generator=self._generator)
            timesteps = draw_timesteps(count, self._training.noisy_share, self._generator)
            tokens = self._captions(chosen.tolist())
            yield latents, noise + OFFSET_NOISE * shift, timesteps, tokens
