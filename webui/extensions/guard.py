"""The one gate through which extensions are called: timed, attributed, switched off if it fails."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from webui.errors import ExtensionError, JobStopped, WebUIError

T = TypeVar("T")
Warn = Callable[[str], None]
MAX_FAILURES = 3
"""Failures in a row after which a hook is not called again until restart."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Failed:
    """Stands for the result of a call that failed or was left out."""

    reason: str


class Guard:
    """Calls into extensions and remembers how they behaved.

    Attributes:
        seconds: spent in each (extension, hook).
        switched_off: hooks that failed too often, with the last reason.
    """

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = {}
        self.switched_off: dict[tuple[str, str], str] = {}
        self._failures: Counter[tuple[str, str]] = Counter()

    def call(
        self,
        extension: str,
        hook: str,
        function: Callable[[], T],
        *,
        warn: Warn,
        on_error: Literal["skip", "abort"] = "skip",
    ) -> T | Failed:
        """Call; a failure is told to `warn` and skipped, or ends the job.

        Sentences for the user (WebUIError) and requests to stop pass.

        Raises: ExtensionError: it failed, or is switched off, and `on_error` is "abort".
        """
        key = (extension, hook)
        if key in self.switched_off:
            return self._off(extension, hook, on_error)
        begin = time.perf_counter()
        try:
            result = function()
        except (JobStopped, WebUIError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever an extension does wrong stays its own
            return self._failed(key, error, warn, on_error)
        finally:
            spent = time.perf_counter() - begin
            self.seconds[key] = self.seconds.get(key, 0.0) + spent
        self._failures.pop(key, None)
        return result

    def forget(self, extension: str) -> None:
        """Give an extension that was switched off and on again a new chance."""
        for table in (self.seconds, self.switched_off, self._failures):
            for key in [key for key in table if key[0] == extension]:
                del table[key]

    def _off(self, extension: str, hook: str, on_error: str) -> Failed:
        if on_error == "abort":
            raise ExtensionError(
                extension,
                f"'{hook}' failed too often and is switched off until Easel is restarted.",
            )
        return Failed(self.switched_off[extension, hook])

    def _failed(self, key: tuple[str, str], error: Exception, warn: Warn, on_error: str) -> Failed:
        extension, hook = key
        reason = f"{type(error).__name__}: {error}"[:300]
        _log.warning("extension %s failed in %s", extension, hook, exc_info=error)
        self._failures[key] += 1
        is_off = self._failures[key] >= MAX_FAILURES
        if is_off:
            self.switched_off[key] = reason
        if on_error == "abort":
            raise ExtensionError(extension, f"'{hook}' failed ({reason}).") from error
        rest = "it is switched off until Easel is restarted." if is_off else "it was left out."
        warn(f"The extension '{extension}' failed in '{hook}' ({reason}): {rest}")
        return Failed(reason)
