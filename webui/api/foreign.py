"""A1111's settings and flags that Easel has nothing for: clients read them and send them back.

Their values are kept with the settings (`config.json`), so that a client that sends all options
back, or an A1111 config.json that was taken over, loses nothing; nothing acts on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from webui.settings import Settings

_HERE = Path(__file__).parent


def _read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((_HERE / name).read_text(encoding="utf-8"))
    return loaded


FOREIGN_OPTIONS: Final[Mapping[str, Any]] = {
    key: default
    for key, default in _read("a1111_options.json").items()
    if key not in Settings.model_fields
}
"""Default by key."""

FOREIGN_FLAGS: Final[Mapping[str, Any]] = _read("a1111_flags.json")
"""Value by name: as of an A1111 that was started without any."""


def foreign_values(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `FOREIGN_OPTIONS`, as kept or by default."""
    return {key: kept.get(key, default) for key, default in FOREIGN_OPTIONS.items()}
