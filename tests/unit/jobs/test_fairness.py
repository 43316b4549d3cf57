from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from webui.jobs import JobHandle, JobQueue
from webui.jobs.fairness import Waiting, counter_on_arrival, fair_order

Complete = Callable[[JobQueue, float], JobHandle]


def test_the_owner_served_least_is_next_and_each_job_counts_at_once() -> None:
    waiting = [
        Waiting(1, "a", 10.0),
        Waiting(2, "a", 10.0),
        Waiting(3, "b", 4.0),
        Waiting(4, "b", 4.0),
        Waiting(5, "b", 4.0),
        Waiting(6, "b", 4.0),
    ]
    order = [job.number for job in fair_order(waiting, {})]
    assert order == [1, 3, 4, 5, 2, 6]


def test_one_owner_alone_is_served_in_order_of_submission() -> None:
    waiting = [Waiting(number, "a", 1.0) for number in range(5)]
    assert list(fair_order(waiting, {"a": 99.0})) == waiting


def test_equal_counters_are_decided_by_age() -> None:
    waiting = [Waiting(1, "z", 1.0), Waiting(2, "a", 1.0)]
    assert [job.owner for job in fair_order(waiting, {"a": 5.0, "z": 5.0})] == ["z", "a"]


@pytest.mark.parametrize(
    ("served", "active", "expected"),
    [
        ({}, [], 0.0),
        ({"b": 50.0, "c": 70.0}, ["b", "c"], 50.0),
        ({"a": 90.0, "b": 50.0}, ["b"], 90.0),
        ({"a": 20.0, "b": 50.0}, [], 50.0),
    ],
)
def test_a_pause_earns_no_credit(
    served: dict[str, float], active: list[str], expected: float
) -> None:
    assert counter_on_arrival("a", served, active) == expected


def _serve(
    queue: JobQueue, complete: Complete, seconds: dict[str, Iterator[float]], total: float
) -> dict[str, float]:
    """Keep two jobs of each owner waiting until `total` seconds are served; seconds by owner."""
    served: dict[str, float] = {}
    for owner in list(seconds) * 2:
        queue.submit("picture", "{}", owner)
    while sum(served.values()) < total:
        following = {owner: next(durations) for owner, durations in seconds.items()}
        (owner,) = [job.owner for job in queue.list_jobs(None) if job.position == 1]
        assert complete(queue, following[owner]).job.owner == owner
        served[owner] = served.get(owner, 0.0) + following[owner]
        queue.submit("picture", "{}", owner)
    return served


def test_backlogged_owners_get_equal_time_within_ten_percent(
    bench: Any, complete: Complete
) -> None:
    queue = bench.open(keep_finished=3)
    served = _serve(
        queue,
        complete,
        {
            "short": itertools.repeat(1.0),
            "long": itertools.repeat(9.0),
            "mixed": itertools.cycle([2.0, 7.0, 3.0]),
        },
        270.0,
    )
    assert max(served.values()) <= min(served.values()) * 1.1


def test_shares_survive_a_restart(bench: Any, complete: Complete) -> None:
    queue = bench.open()
    queue.submit("picture", "{}", "a")
    complete(queue, 30.0)
    for owner in ("a", "a", "a", "b", "b", "b"):
        queue.submit("picture", "{}", owner)
    assert complete(queue, 20.0).job.owner == "a"
    queue.close()
    queue = bench.open()
    assert [complete(queue, 1.0).job.owner for _ in range(3)] == ["b", "b", "b"]


def test_one_who_returns_does_not_make_up_for_the_pause(bench: Any, complete: Complete) -> None:
    queue = bench.open()
    queue.submit("picture", "{}", "absent")
    complete(queue, 1.0)
    for _ in range(10):
        queue.submit("picture", "{}", "busy")
    for _ in range(4):
        complete(queue, 100.0)
    for _ in range(4):
        queue.submit("picture", "{}", "absent")
    owners = [complete(queue, 10.0).job.owner for _ in range(6)]
    assert Counter(owners) == {"busy": 3, "absent": 3}
