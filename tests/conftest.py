from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.golden.checkpoints import maker_xl
from tests.golden.checkpoints.maker import NAMES, make_checkpoint
from tests.golden.networks import make_networks


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright leaves an event loop running in the thread of the tests, in
    which others could not run theirs. On a busy machine a browser's moments shift, so that they
    may be tried a second time.
    """
    browser = Path(__file__).parent / "e2e"
    items.sort(key=lambda item: item.path.is_relative_to(browser))
    for item in items:
        if item.path.is_relative_to(browser):
            item.add_marker(pytest.mark.flaky(reruns=1))


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


@pytest.fixture(scope="session")
def tiny_networks(tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden pictures' LoRAs, embeddings and VAE, in folders of their own."""
    return make_networks(tiny_checkpoints, tmp_path_factory.mktemp("networks") / "files")


@pytest.fixture(scope="session")
def family_checkpoints(tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the golden pictures' checkpoints of the other families."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("families")
    (folder / "tinyA.safetensors").symlink_to(tiny_checkpoints / "tinyA.safetensors")
    for name in maker_xl.NAMES:
        maker_xl.make_checkpoint(name, folder)
    (folder / "tinyA.safetensors").unlink()
    torch.set_num_threads(threads)
    return folder
