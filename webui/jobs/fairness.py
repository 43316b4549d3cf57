"""Whose turn it is: start-time fair queueing over the seconds that each owner was served.

Each owner has a counter of served seconds. Next is the oldest job of the owner with the smallest
counter; while the job runs, its seconds are added. So backlogged owners get equal time, however
long their jobs are, off by at most one job each. An owner who comes back after a pause starts at
the smallest counter of those who are waiting (`counter_on_arrival`): pauses earn no credit, and
nobody has to atone for time that no one else wanted.

Source: Goyal, Vin, Cheng 1996, "Start-time Fair Queuing", eq. 4 and 5, with weights of 1 and the
served time measured instead of known beforehand.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """A waiting job.

    Args:
        number: order of submission.
        seconds: how long it is expected to take.
    """

    number: int
    owner: str
    seconds: float


def fair_order(waiting: Iterable[Waiting], served: Mapping[str, float]) -> Iterator[Waiting]:
    """Yield the jobs in the order in which they will run if all take as long as expected.

    Args:
        waiting: in order of submission.
        served: seconds that each owner has been served; absent means 0.
    """
    lines: dict[str, deque[Waiting]] = {}
    for job in waiting:
        lines.setdefault(job.owner, deque()).append(job)
    heads = [(served.get(owner, 0.0), line[0].number, owner) for owner, line in lines.items()]
    heapq.heapify(heads)
    while heads:
        seconds, _, owner = heapq.heappop(heads)
        job = lines[owner].popleft()
        yield job
        if lines[owner]:
            heapq.heappush(heads, (seconds + job.seconds, lines[owner][0].number, owner))


def counter_on_arrival(owner: str, served: Mapping[str, float], active: Iterable[str]) -> float:
    """The counter with which an owner without waiting or running jobs enters.

    Args:
        served: seconds by owner, all that are known.
        active: owners with waiting or running jobs.
    """
    own = served.get(owner, 0.0)
    others = [served.get(name, 0.0) for name in active]
    if others:
        return max(own, min(others))
    return max(own, max(served.values(), default=0.0))
