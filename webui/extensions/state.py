"""What outlives a restart: which extensions the user switched off, which were quarantined."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from webui.errors import StorageError


@dataclass(slots=True)
class ExtensionState:
    """Read from and written to `extensions.json` in the data folder.

    Attributes:
        disabled: ids.
        quarantined: reasons by id.
    """

    file: Path
    disabled: set[str] = field(default_factory=set)
    quarantined: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> ExtensionState:
        """Read the file; a damaged one counts as empty."""
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            disabled = {str(one) for one in stored["disabled"]}
            quarantined = {str(k): str(v) for k, v in stored["quarantined"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(file)
        return cls(file, disabled, quarantined)

    def write(self) -> None:
        """Write the file in one piece. Raises: StorageError."""
        text = json.dumps({"disabled": sorted(self.disabled), "quarantined": self.quarantined})
        part = self.file.with_name(f"{self.file.name}.part")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, encoding="utf-8")
            os.replace(part, self.file)  # noqa: PTH105 - atomic on Windows too
        except OSError as error:
            raise StorageError(f"{self.file} cannot be written: {error.strerror}.") from error
