from __future__ import annotations

import pytest
from torch import Tensor

from tests.tiny.small_checkpoints import small_weights


@pytest.fixture(scope="session")
def weights() -> dict[str, Tensor]:
    """A small checkpoint's weights; take a copy before changing anything."""
    return small_weights()
