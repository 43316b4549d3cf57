from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.golden.checkpoints.maker import NAMES, make_checkpoint


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the golden pictures' checkpoints: tinyA, tinyB, tinyC (.ckpt), tinyV."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in NAMES:
        make_checkpoint(name, folder)
    torch.set_num_threads(threads)
    return folder
