"""The kinds of model files: where each lies below the models folder, and how its files end."""

from __future__ import annotations

from dataclasses import dataclass

_TENSORS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


@dataclass(frozen=True, slots=True)
class ModelKind:
    """A kind of model file.

    Args:
        id: as routes and settings write it.
        noun: for sentences.
        folders: below the models folder; the first is where new files go. One that begins with
            ``../`` lies beside the models folder, as A1111 has it for embeddings.
        suffixes: in lower case, with their dot.
    """

    id: str
    noun: str
    folders: tuple[str, ...]
    suffixes: tuple[str, ...]


CHECKPOINT = ModelKind("checkpoint", "checkpoint", ("Stable-diffusion",), (".safetensors", ".ckpt"))
VAE = ModelKind("vae", "VAE", ("VAE",), (".safetensors", ".ckpt", ".pt"))
LORA = ModelKind("lora", "LoRA", ("Lora", "LyCORIS"), (".safetensors", ".pt", ".ckpt"))
EMBEDDING = ModelKind(
    "embedding",
    "embedding",
    ("embeddings", "../embeddings"),
    (".pt", ".bin", ".safetensors", ".png", ".webp", ".jxl", ".avif"),
)
HYPERNETWORK = ModelKind("hypernetwork", "hypernetwork", ("hypernetworks",), (".pt",))
CONTROLNET = ModelKind("controlnet", "ControlNet", ("ControlNet",), _TENSORS)
UPSCALER = ModelKind(
    "upscaler",
    "upscaler",
    ("upscalers", "ESRGAN", "RealESRGAN", "BSRGAN", "SwinIR", "ScuNET", "DAT", "LDSR"),
    _TENSORS,
)
FACE_RESTORATION = ModelKind(
    "face_restoration",
    "face restoration model",
    ("face-restoration", "GFPGAN", "Codeformer"),
    _TENSORS,
)

KINDS = (
    CHECKPOINT,
    VAE,
    LORA,
    EMBEDDING,
    HYPERNETWORK,
    CONTROLNET,
    UPSCALER,
    FACE_RESTORATION,
)
