"""How a job's events reach those who watch it, without polling and without a queue per watcher.

A `Channel` keeps the last few durable events and the latest transient one of each type. A
`Subscription` is a cursor that pulls from it; what is older than the channel remembers comes from
the file. So memory is bounded however slow a watcher is: he misses steps, never a durable event.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from threading import Condition

from webui.jobs.job import Event, EventType, JsonObject

_REMEMBERED = 64
_STATE_CHANGES = frozenset({EventType.QUEUED, EventType.LOADING, EventType.RUNNING})

History = Callable[[int], list[Event]]
"""Some stored events with a higher number than the given one, oldest first."""


@dataclass(frozen=True)
class Cursor:
    """How far a watcher has read.

    Args:
        seq: number of the last durable event.
        version: version of the last event of any kind.
    """

    seq: int
    version: int = 0


@dataclass(frozen=True)
class Reading:
    """What a channel has for a cursor.

    Args:
        fresh: events with their versions, in order.
        version: the channel's version at this moment.
        is_behind: the channel has forgotten what the cursor needs next; it must come from the file.
        is_over: nothing will come after `fresh`.
    """

    fresh: list[tuple[int, Event]]
    version: int
    is_behind: bool
    is_over: bool


class Channel:
    """The live end of one job's events. Thread-safe; the lock is only held for a few operations.

    Args:
        last_seq: number of the newest stored event.
    """

    def __init__(self, job_id: str, last_seq: int) -> None:
        self._job_id = job_id
        self._last_seq = last_seq
        self._version = 0
        self._durable: deque[tuple[int, Event]] = deque(maxlen=_REMEMBERED)
        self._transient: dict[EventType, tuple[int, Event]] = {}
        self._is_over = False
        self._is_abandoned = False
        self._changed = Condition()
        self._wakers: dict[object, Callable[[], None]] = {}

    @property
    def is_watched(self) -> bool:
        """Whether anyone is subscribed at the moment."""
        return bool(self._wakers)

    def publish(self, event: Event) -> None:
        """Pass on a durable event that is stored already."""
        with self._changed:
            if event.type in _STATE_CHANGES:
                self._transient.clear()
            self._last_seq = event.seq
            self._durable.append((self._version + 1, event))
            self._wake()

    def flash(
        self, kind: EventType, data: JsonObject, time: float, blob: bytes | None = None
    ) -> None:
        """Pass on a transient event; it replaces the former one of its type."""
        with self._changed:
            event = Event(self._job_id, self._last_seq, time, kind, data, False, blob)
            self._transient[kind] = (self._version + 1, event)
            self._wake()

    def end(self) -> None:
        """No event will follow: watchers read what is left and stop."""
        with self._changed:
            self._is_over = True
            self._transient.clear()
            self._wake()

    def abandon(self) -> None:
        """The queue closes: watchers stop at once, though the job may go on at the next start."""
        with self._changed:
            self._is_abandoned = True
            self._wake()

    def read(self, cursor: Cursor) -> Reading:
        """All that is new for a cursor."""
        with self._changed:
            if self._is_abandoned:
                return Reading([], self._version, False, True)
            oldest = self._durable[0][1].seq if self._durable else self._last_seq + 1
            if cursor.seq + 1 < oldest:
                return Reading([], self._version, True, False)
            fresh = [entry for entry in self._durable if entry[1].seq > cursor.seq]
            fresh += [entry for entry in self._transient.values() if entry[0] > cursor.version]
            fresh.sort(key=lambda entry: entry[0])
            return Reading(fresh, self._version, False, self._is_over)

    def wait(self, version: int, timeout_seconds: float | None) -> bool:
        """Block until there is something newer than `version`; False if the time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: self._version > version, timeout_seconds)

    @contextlib.contextmanager
    def watched(self, waker: Callable[[], None]) -> Iterator[None]:
        """Call `waker` at every change from here on; it must not block nor raise."""
        token = object()
        with self._changed:
            self._wakers[token] = waker
        try:
            yield
        finally:
            with self._changed:
                del self._wakers[token]

    def _wake(self) -> None:
        self._version += 1
        self._changed.notify_all()
        for waker in self._wakers.values():
            waker()


class Subscription:
    """A job's whole story after a given event, then what happens, until the job is over.

    Iterate once, with ``for`` in a thread or ``async for`` in an event loop (where nothing blocks
    the loop). Leaving the loop ends it; nothing needs to be closed.

    Args:
        after: number of the last durable event that the watcher has seen; 0 for none.
        timeout_seconds: yield a ``silence`` event whenever nothing came for so long, so that the
            caller can look whether anyone still listens to him; None never does.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        job_id: str,
        channel: Channel,
        history: History,
        after: int,
        timeout_seconds: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._job_id = job_id
        self._channel = channel
        self._history = history
        self._cursor = Cursor(max(after, 0))
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    def __iter__(self) -> Iterator[Event]:
        with self._channel.watched(_nothing):
            while True:
                reading = self._channel.read(self._cursor)
                if reading.is_behind:
                    stored = self._history(self._cursor.seq)
                    if not stored:  # the job was forgotten meanwhile
                        return
                    yield from map(self._stored, stored)
                    continue
                yield from map(self._passed, reading.fresh)
                if reading.is_over:
                    return
                if not self._channel.wait(reading.version, self._timeout_seconds):
                    yield self._silence()

    async def __aiter__(self) -> AsyncIterator[Event]:
        bell = _Bell(asyncio.get_running_loop())
        with self._channel.watched(bell.ring):
            while True:
                bell.arm()
                reading = self._channel.read(self._cursor)
                if reading.is_behind:
                    stored = await asyncio.to_thread(self._history, self._cursor.seq)
                    if not stored:  # the job was forgotten meanwhile
                        return
                    for event in stored:
                        yield self._stored(event)
                    continue
                for entry in reading.fresh:
                    yield self._passed(entry)
                if reading.is_over:
                    return
                if not await bell.heard(self._timeout_seconds):
                    yield self._silence()

    def _stored(self, event: Event) -> Event:
        self._cursor = Cursor(event.seq, self._cursor.version)
        return event

    def _passed(self, entry: tuple[int, Event]) -> Event:
        version, event = entry
        self._cursor = Cursor(max(event.seq, self._cursor.seq), version)
        return event

    def _silence(self) -> Event:
        return Event(
            self._job_id, self._cursor.seq, self._clock(), EventType.SILENCE, durable=False
        )


class _Bell:
    """Wakes a coroutine from any thread, with at most one call into its loop at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rung = asyncio.Event()
        self._is_pending = False

    def arm(self) -> None:
        self._is_pending = False
        self._rung.clear()

    def ring(self) -> None:
        if self._is_pending:
            return
        self._is_pending = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._rung.set)

    async def heard(self, timeout_seconds: float | None) -> bool:
        try:
            await asyncio.wait_for(self._rung.wait(), timeout_seconds)
        except TimeoutError:
            return False
        return True


def _nothing() -> None:
    """Threads wait on the channel's own condition."""
