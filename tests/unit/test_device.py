from __future__ import annotations

import pytest
import torch

from webui.device import (
    SMALL_UNET_PARAMETERS,
    DevicePolicy,
    choose_device,
    device_policy,
    has_native_bfloat16,
)
from webui.errors import WebUIError

F32, BF16, F16 = torch.float32, torch.bfloat16, torch.float16


def pretend(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_device(
    cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device("auto").type == expected
    assert choose_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=False, mps=False)
    with pytest.raises(WebUIError, match="no CUDA device here"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"avx512_bf16": False, "avx2": True}, False),
        ({"cpu_name": "bf16"}, False),
        ({}, False),
    ],
)
def test_native_bfloat16_is_read_off_the_cpu(capabilities: dict[str, object], native: bool) -> None:
    assert has_native_bfloat16(capabilities) is native


@pytest.mark.parametrize(("native", "dtype"), [(True, BF16), (False, F32)])
def test_auto_on_a_cpu(native: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    policy = device_policy("cpu", "auto", "auto")
    large = policy.for_size(SMALL_UNET_PARAMETERS)
    assert [large.dtype_of(role) for role in ("unet", "text_encoder", "vae")] == [dtype, dtype, F32]
    small = policy.for_size(SMALL_UNET_PARAMETERS - 1)
    assert {small.dtype_of(role) for role in ("unet", "text_encoder", "vae")} == {F32}


def test_a_format_that_was_asked_for_holds_for_every_size() -> None:
    policy = device_policy("cpu", "bfloat16", "float16").for_size(1)
    assert policy == DevicePolicy(torch.device("cpu"), BF16, F16, BF16)


def test_auto_on_a_gpu_is_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=True, mps=False)
    policy = device_policy("auto", "auto", "auto").for_size(1)
    assert policy == DevicePolicy(torch.device("cuda"), F16, F16, F16)
    assert policy.memory_format_of("vae") == torch.contiguous_format


def test_cpu_memory_formats() -> None:
    single = device_policy("cpu", "float32", "auto")
    assert single.memory_format_of("vae") == torch.channels_last
    assert single.memory_format_of("unet") == torch.contiguous_format
    assert device_policy("cpu", "bfloat16", "auto").memory_format_of("unet") == torch.channels_last
