"""Easel in process: real services on a tiny checkpoint, asked over HTTP."""

from __future__ import annotations

import base64
import importlib
import io
import shutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient
from starlette.types import Scope

from webui.api.app import create_app
from webui.api.auth import Identity
from webui.flags import Flags
from webui.paths import make_paths
from webui.services import Services, build

ORIGIN = "http://127.0.0.1:7860"
TINY = {"width": 64, "height": 64, "steps": 2, "seed": 5, "sampler_name": "Euler"}
"""A request that takes no time."""


@dataclass(frozen=True)
class ByHeader:
    """Identity for tests: the header `x-user` names the owner; without it nobody asks."""

    async def identify(self, scope: Scope) -> Identity | None:
        names = dict(scope["headers"])
        user = names.get(b"x-user", b"").decode()
        return Identity(user, is_admin=user == "admin") if user else None


def _import_networks() -> None:
    """Import the large libraries here: in the loading thread their warnings would be errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hasattr(importlib.import_module("transformers"), "CLIPTokenizer")
        hasattr(importlib.import_module("diffusers"), "UNet2DConditionModel")


@pytest.fixture(scope="session")
def services(
    tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    root = tmp_path_factory.mktemp("api")
    folder = root / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    for file in tiny_checkpoints.glob("tinyA.*"):
        shutil.copy(file, folder)
    threads = torch.get_num_threads()
    flags = Flags(device="cpu", dtype="float32", threads=1, browser=False)
    _import_networks()
    built = build(flags, make_paths(root / "data", root / "models"))
    built.select_checkpoint("tinyA.safetensors")
    built.start()
    while built.model_status().state == "loading":
        time.sleep(0.02)
    yield built
    built.stop()
    torch.set_num_threads(threads)


def client_of(app: FastAPI, **headers: str) -> TestClient:
    return TestClient(app, ORIGIN, headers=headers, client=("127.0.0.1", 50000))


@pytest.fixture(scope="session")
def app(services: Services) -> FastAPI:
    return create_app(services)


@pytest.fixture(scope="session")
def client(app: FastAPI) -> Iterator[TestClient]:
    with client_of(app) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_app(services: Services) -> FastAPI:
    """The same for several users."""
    return create_app(services, ByHeader())


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def encoded(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def post(client: TestClient, path: str, **body: Any) -> Any:
    """POST and expect 200."""
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def txt2img(client: TestClient, **fields: Any) -> Any:
    """A tiny picture: the answer."""
    return post(client, "/sdapi/v1/txt2img", **(TINY | fields))
