"""The tokenizer: CLIP's byte-pair vocabulary, written as the files that transformers reads."""

import gzip
import json
from pathlib import Path

from transformers import CLIPTokenizer

from tools.bundled_model import packages
from tools.bundled_model.networks import TOKENS, WORDS

END = "</w>"
_MERGES_FILE = Path("open_clip") / "bpe_simple_vocab_16e6.txt.gz"
_MERGES = WORDS - 2 * 256 - 2


def byte_characters() -> dict[int, str]:
    """The printable character that stands for each byte in the vocabulary."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    visible += range(ord("®"), ord("ÿ") + 1)
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {
        byte: chr(256 + place) for place, byte in enumerate(hidden)
    }


def vocabulary(merges: list[str]) -> list[str]:
    """All 49408 tokens in the order of their numbers.

    Args:
        merges: the pairs that are joined, "left right", most frequent first.
    """
    letters = list(byte_characters().values())
    joined = ["".join(merge.split()) for merge in merges]
    ends = [letter + END for letter in letters]
    return [*letters, *ends, *joined, "<|startoftext|>", "<|endoftext|>"]


def token_text(token: str) -> str:
    """The text that a token stands for, without its end mark; "." if it is not a character."""
    to_byte = {character: byte for byte, character in byte_characters().items()}
    letters = token.removesuffix(END)
    if all(letter in to_byte for letter in letters):
        letters = bytes(to_byte[letter] for letter in letters).decode("utf-8", "ignore")
    return letters.strip() or "."


def read_merges(downloads: Path) -> list[str]:
    """Read the merges of the vocabulary from OpenCLIP's package."""
    root = packages.python_wheel(packages.OPEN_CLIP, downloads)
    lines = gzip.decompress((root / _MERGES_FILE).read_bytes()).decode("utf-8").split("\n")
    return lines[1 : _MERGES + 1]


def write_tokenizer(merges: list[str], folder: Path) -> None:
    """Write vocab.json, merges.txt and the settings of CLIP's tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {token: number for number, token in enumerate(vocabulary(merges))}
    (folder / "vocab.json").write_text(json.dumps(numbers, ensure_ascii=False), "utf-8")
    text = "\n".join(["#version: 0.2", *merges, ""])
    (folder / "merges.txt").write_text(text, "utf-8")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }
    settings = {
        **special,
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": TOKENS,
        "tokenizer_class": "CLIPTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), "utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1), "utf-8")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Read what `write_tokenizer` wrote."""
    return CLIPTokenizer.from_pretrained(folder)
