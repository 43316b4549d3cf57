"""The lower bound of what a run needs."""

from pathlib import Path

import pytest
import torch

from webui.device import DevicePolicy
from webui.errors import OutOfMemory
from webui.memory import check_memory, least_bytes
from webui.model_manager.catalog import CheckpointFile
from webui.model_manager.index import FileVersion
from webui.model_manager.info import ModelInfo
from webui.request import GenerationRequest, Hires

FILE = CheckpointFile(FileVersion(Path("sd.safetensors"), 1, 1), "sd.safetensors", None)
SD15 = ModelInfo(FILE, "sd1", "SD 1.x", 512, 512, {}, unet_width=320, decoder_width=256)
POLICY = DevicePolicy(torch.device("cpu"), torch.float32, torch.float32, torch.float32)
GIB = 2**30


def least(request: GenerationRequest, model: ModelInfo = SD15) -> int:
    return least_bytes(request, model, unet_bytes=4, vae_bytes=4)


def test_one_picture_is_bound_by_its_decoding() -> None:
    assert least(GenerationRequest(width=512, height=512)) == 3 * 256 * 4 * 512 * 512


def test_a_batch_is_decoded_one_by_one_but_denoised_together() -> None:
    request = GenerationRequest(width=512, height=512, batch_size=64)
    assert least(request) == 3 * 2 * 320 * 4 * 64 * 64 * 64


def test_the_second_pass_counts() -> None:
    first = GenerationRequest(width=512, height=512)
    second = GenerationRequest(width=512, height=512, hires=Hires(scale=2.0))
    assert least(second) == 4 * least(first)


def test_a_file_that_does_not_tell_its_widths_is_let_through() -> None:
    silent = ModelInfo(FILE, "sd1", "SD 1.x", 512, 512, {})
    assert least(GenerationRequest(width=4096, height=4096), silent) == 0


def test_refused_with_both_sizes_in_words() -> None:
    huge = GenerationRequest(width=4096, height=4096)
    with pytest.raises(OutOfMemory, match=r"at least 48\.0 GiB .* has 24\.0 GiB"):
        check_memory(huge, SD15, POLICY, 24 * GIB)
    check_memory(huge, SD15, POLICY, 64 * GIB)
