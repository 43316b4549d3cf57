from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import CLIPTokenizer

from webui.prompt.chunks import SpecialTokens

ROOT = Path(__file__).parents[3]

Recorded = Callable[[str], Any]
Tokenize = Callable[[str], list[int]]


@pytest.fixture(scope="session")
def recorded() -> Recorded:
    """Reads a file of recorded inputs and outputs by its name."""

    def read(name: str) -> Any:
        path = ROOT / "tests" / "golden" / "vectors" / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8"))

    return read


@pytest.fixture(scope="session")
def tokenize() -> Tokenize:
    """CLIP's own tokenizer, without special tokens."""
    folder = ROOT / "webui" / "families" / "tokenizer"
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def tokens(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    return tokens


@pytest.fixture(scope="session")
def vocabulary() -> dict[str, int]:
    path = ROOT / "webui" / "families" / "tokenizer" / "vocab.json"
    ids: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return ids


@pytest.fixture
def clip() -> SpecialTokens:
    return SpecialTokens(bos=49406, eos=49407, pad=49407, comma=267)


@pytest.fixture
def small() -> SpecialTokens:
    """For a tokenizer that takes characters for tokens."""
    return SpecialTokens(bos=-1, eos=-2, pad=-3, comma=ord(","))
