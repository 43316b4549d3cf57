"""Wrong passwords cost time: after a few, an address or name has to wait, longer each time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_TRIES = 5
FREE_TRIES_ALONE = 100
"""Of one address over all names, and of one name over all addresses."""
MAX_WAIT_SECONDS = 300.0
FORGET_SECONDS = 3600.0
_MOST = 10_000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0


class Throttle:
    """Counts failures by (address, name), by address and by name; thread-safe and bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def wait_seconds(self, address: str, name: str) -> float:
        """How long the next try has to wait; 0: not at all."""
        with self._lock:
            return max(self._wait(key, free) for key, free in _keys(address, name))

    def failed(self, address: str, name: str) -> None:
        """Count a wrong password."""
        now = self._clock()
        with self._lock:
            for key, _ in _keys(address, name):
                found = self._failures.setdefault(key, _Failures())
                if now - found.last > FORGET_SECONDS:
                    found.count = 0
                found.count, found.last = found.count + 1, now
                self._failures.move_to_end(key)
            while len(self._failures) > _MOST:
                self._failures.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Forgive an address its failures with that name."""
        with self._lock:
            self._failures.pop((address, name), None)

    def _wait(self, key: tuple[str, str], free: int) -> float:
        found = self._failures.get(key)
        if found is None or found.count < free:
            return 0.0
        pause = min(2.0 ** min(found.count - free, 20), MAX_WAIT_SECONDS)
        return max(0.0, found.last + pause - self._clock())


def _keys(address: str, name: str) -> tuple[tuple[tuple[str, str], int], ...]:
    return (
        ((address, name), FREE_TRIES),
        ((address, ""), FREE_TRIES_ALONE),
        (("", name), FREE_TRIES_ALONE),
    )
