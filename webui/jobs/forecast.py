"""When a job will be done, from the fair order and from how long its like took before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from webui.jobs.events import Channel
from webui.jobs.fairness import Waiting, fair_order
from webui.jobs.handle import JobHandle
from webui.jobs.job import EventType, Job, JsonObject
from webui.jobs.ledger import Ledger
from webui.jobs.reader import WaitingRow

_WEIGHT_OF_NEWEST = 0.3


@dataclass(frozen=True)
class Place:
    """A waiting job's place in the line.

    Args:
        position: 1 for the next job.
        seconds: expected time from the end of the running jobs until this one is done; None if
            nothing was measured yet for its kind or for one before it.
    """

    row: WaitingRow
    position: int
    seconds: float | None


def forecast(
    waiting: Sequence[WaitingRow], served: Mapping[str, float], rates: Mapping[str, float]
) -> list[Place]:
    """Lay out the line, next job first.

    Args:
        waiting: in order of submission.
        served: seconds served by owner, what is expected of the running jobs included.
        rates: measured seconds per unit of work, by kind.
    """
    guess = sum(rates.values()) / len(rates) if rates else 1.0
    rows = {row.number: row for row in waiting}
    line = (
        Waiting(row.number, row.owner, row.work * rates.get(row.kind, guess)) for row in waiting
    )
    places: list[Place] = []
    until: float | None = 0.0
    for position, job in enumerate(fair_order(line, served), start=1):
        row = rows[job.number]
        until = until + job.seconds if until is not None and row.kind in rates else None
        places.append(Place(row, position, until))
    return places


def updated_rate(former: float | None, seconds: float, work: float) -> float:
    """Seconds per unit of work after one more measurement; recent ones count more."""
    measured = seconds / work
    if former is None:
        return measured
    return former + _WEIGHT_OF_NEWEST * (measured - former)


class Line:
    """The waiting jobs in the order in which they will run, as of now. Thread-safe.

    Args:
        running: the jobs that are being worked on by id; kept up to date by its owner.
    """

    def __init__(self, ledger: Ledger, running: Mapping[str, JobHandle]) -> None:
        self._ledger = ledger
        self._running = running
        self._cached: tuple[int, list[Place]] = (-1, [])

    def places(self) -> list[Place]:
        """The line, next job first; computed anew only after a change."""
        generation, places = self._cached
        if generation != self._ledger.generation:
            generation = self._ledger.generation
            reader = self._ledger.reader
            served, rates = reader.served(), reader.rates()
            for handle in tuple(self._running.values()):
                rest = _remaining(handle, rates) or 0.0
                served[handle.job.owner] = served.get(handle.job.owner, 0.0) + rest
            places = forecast(reader.waiting(), served, rates)
            self._cached = (generation, places)
        return places

    def placed(self, job: Job) -> Job:
        """The job with its position and its expected time."""
        if job.state.is_over:
            return job
        rates = self._ledger.reader.rates()
        handle = self._running.get(job.id)
        if handle is not None:
            return replace(job, eta_seconds=_remaining(handle, rates))
        until_free = self._until_free(rates)
        for place in self.places():
            if place.row.number == job.number:
                eta = _total(until_free, place)
                return replace(job, position=place.position, eta_seconds=eta)
        return job

    def announce(self) -> None:
        """Tell the watchers of waiting jobs their new places."""
        watched: list[tuple[Place, Channel]] = []
        for place in self.places():
            channel = self._ledger.find_channel(place.row.id)
            if channel is not None and channel.is_watched:
                watched.append((place, channel))
        if not watched:
            return
        until_free = self._until_free(self._ledger.reader.rates())
        for place, channel in watched:
            eta = _total(until_free, place)
            data: JsonObject = {"position": place.position, "eta_seconds": eta}
            channel.flash(EventType.QUEUED, data, self._ledger.clock())

    def _until_free(self, rates: Mapping[str, float]) -> float | None:
        rests = [_remaining(handle, rates) for handle in tuple(self._running.values())]
        known = [rest for rest in rests if rest is not None]
        return sum(known) if len(known) == len(rests) else None


def _remaining(handle: JobHandle, rates: Mapping[str, float]) -> float | None:
    """Expected seconds until a running job is done, by its own pace or else by its like's."""
    eta = handle.progress().eta_seconds
    if eta is None and handle.job.kind in rates:
        eta = max(0.0, handle.job.work * rates[handle.job.kind] - handle.elapsed_seconds())
    return eta


def _total(until_free: float | None, place: Place) -> float | None:
    if until_free is None or place.seconds is None:
        return None
    return until_free + place.seconds
