"""Drawn stand-ins for emoji, so that no test needs a download."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tools.bundled_model.concepts import load_concepts


@pytest.fixture(scope="session")
def sprites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty concepts as red discs in two styles."""
    root = tmp_path_factory.mktemp("sprites")
    for style in ("3d", "flat"):
        (root / style).mkdir()
        for concept in load_concepts()[:40]:
            picture = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
            ImageDraw.Draw(picture).ellipse((8, 8, 248, 248), fill=(214, 40, 40, 255))
            picture.save(root / style / f"{concept.code}.png")
    return root
