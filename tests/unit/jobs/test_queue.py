from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from webui.errors import InvalidRequest, JobNotFound, QueueFull, StorageError
from webui.jobs import JobHandle, JobQueue, JobState
from webui.jobs.handle import Outcome

Take = Callable[[JobQueue], JobHandle]
Complete = Callable[[JobQueue, float], JobHandle]


def test_a_job_is_known_as_soon_as_it_is_submitted(queue: JobQueue) -> None:
    job = queue.submit("picture", '{"prompt": "한국어 🍎"}', "ann")
    assert queue.get(job.id, "ann") == job
    assert (job.state, job.position, job.payload) == (
        JobState.QUEUED,
        1,
        '{"prompt": "한국어 🍎"}',
    )
    assert len(job.id) == 32
    assert job.id != queue.submit("picture", "{}", "ann").id


def test_a_foreign_job_does_not_exist(queue: JobQueue, take: Take) -> None:
    job = queue.submit("picture", "{}", "ann", alias="task(1)")
    take(queue)
    calls: list[Callable[[], object]] = [
        lambda: queue.get(job.id, "bob"),
        lambda: queue.get("task(1)", "bob"),
        lambda: queue.cancel(job.id, "bob"),
        lambda: queue.cancel_after_current(job.id, "bob"),
        lambda: queue.skip(job.id, "bob"),
        lambda: queue.release(job.id, "bob"),
        lambda: queue.units(job.id, "bob"),
        lambda: queue.subscribe(job.id, "bob"),
    ]
    for call in calls:
        with pytest.raises(JobNotFound) as foreign:
            call()
        with pytest.raises(JobNotFound) as missing:
            queue.get("0" * 32, "bob")
        assert str(foreign.value) == str(missing.value)
    assert queue.list_jobs("bob") == []
    assert queue.progress("bob") is None
    assert queue.progress("ann", job.id) is not None
    assert queue.get(job.id, None).state is JobState.LOADING


def test_an_alias_means_the_owners_newest_job_of_that_name(queue: JobQueue) -> None:
    queue.submit("picture", "1", "ann", alias="task(1)")
    second = queue.submit("picture", "2", "ann", alias="task(1)")
    bobs = queue.submit("picture", "3", "bob", alias="task(1)")
    disguised = queue.submit("picture", "4", "bob", alias=second.id)
    assert queue.get("task(1)", "ann") == queue.get(second.id, "ann")
    assert queue.get("task(1)", "bob").number == bobs.number
    assert queue.get(second.id, None).number == second.number
    assert queue.get(second.id, "bob").number == disguised.number


def test_an_idempotency_key_gives_the_first_job_again(queue: JobQueue, complete: Complete) -> None:
    first = queue.submit("picture", "{}", "ann", idempotency_key="k")
    assert queue.submit("picture", "{}", "ann", idempotency_key="k").id == first.id
    assert queue.submit("picture", "{}", "bob", idempotency_key="k").id != first.id
    complete(queue, 1.0)
    again = queue.submit("picture", "{}", "ann", idempotency_key="k")
    assert (again.id, again.state, again.result) == (first.id, JobState.DONE, "{}")
    with pytest.raises(InvalidRequest) as error:
        queue.submit("picture", '{"steps": 2}', "ann", idempotency_key="k")
    assert error.value.field == "idempotency_key"


def test_limits_refuse_with_a_sentence(bench: Any, take: Take) -> None:
    queue = bench.open(max_waiting=3, max_waiting_per_owner=2)
    queue.submit("picture", "{}", "ann")
    queue.submit("picture", "{}", "ann")
    with pytest.raises(QueueFull, match="2 of your jobs are waiting already"):
        queue.submit("picture", "{}", "ann")
    queue.submit("picture", "{}", "bob")
    with pytest.raises(QueueFull, match="The queue is full: 3 jobs are waiting"):
        queue.submit("picture", "{}", "cleo")
    assert take(queue).job.owner == "ann"
    queue.submit("picture", "{}", "cleo")
    assert len(queue.list_jobs(None)) == 4


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"payload": "x" * (4 * 1024 * 1024 + 1)}, "payload"),
        ({"payload": "{}", "alias": ""}, "alias"),
        ({"payload": "{}", "alias": "x" * 201}, "alias"),
        ({"payload": "{}", "idempotency_key": "x" * 201}, "idempotency_key"),
    ],
)
def test_unreasonable_texts_are_refused(
    queue: JobQueue, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        queue.submit("picture", owner="ann", **arguments)
    assert error.value.field == field
    assert queue.list_jobs(None) == []


def test_a_waiting_job_is_cancelled_at_once(queue: JobQueue, take: Take) -> None:
    first = queue.submit("picture", "{}", "ann")
    second = queue.submit("picture", "{}", "ann")
    assert queue.cancel(first.id, "ann").state is JobState.INTERRUPTED
    assert queue.get(second.id, "ann").position == 1
    assert take(queue).job.id == second.id
    assert queue.cancel(first.id, "ann").state is JobState.INTERRUPTED


def test_cancelling_what_is_over_changes_nothing(queue: JobQueue, complete: Complete) -> None:
    job = queue.submit("picture", "{}", "ann")
    complete(queue, 1.0)
    done = queue.get(job.id, "ann")
    assert queue.cancel(job.id, "ann") == done
    assert queue.cancel_after_current(job.id, "ann") == done
    assert queue.release(job.id, "ann") == done
    queue.skip(job.id, "ann")
    assert queue.get(job.id, "ann") == done


def test_expected_times_come_from_measured_ones(
    bench: Any, queue: JobQueue, take: Take, complete: Complete
) -> None:
    first = queue.submit("picture", "{}", "ann", work=2.0)
    assert first.eta_seconds is None
    complete(queue, 10.0)
    queue.submit("picture", "{}", "ann", work=1.0)
    second = queue.submit("picture", "{}", "ann", work=4.0)
    unknown = queue.submit("caption", "{}", "ann")
    assert [job.eta_seconds for job in queue.list_jobs("ann", [JobState.QUEUED])] == [
        None,
        25.0,
        5.0,
    ]
    handle = take(queue)
    bench.clock.now += 2.0
    assert queue.get(handle.job.id, "ann").eta_seconds == 3.0
    assert queue.get(second.id, "ann").eta_seconds == 23.0
    handle.enter_pass(0, 2)
    bench.clock.now += 4.0
    handle.step(5, 10)
    assert queue.get(handle.job.id, "ann").eta_seconds == 12.0
    assert queue.get(second.id, "ann").eta_seconds == 32.0
    assert queue.get(unknown.id, "ann").position == 2


def test_own_jobs_are_listed_newest_first_and_in_pages(queue: JobQueue, take: Take) -> None:
    jobs = [queue.submit("picture", str(number), "ann") for number in range(5)]
    queue.submit("picture", "{}", "bob")
    numbers = [job.number for job in jobs]
    assert [job.number for job in queue.list_jobs("ann")] == numbers[::-1]
    assert [job.number for job in queue.list_jobs("ann", limit=2)] == numbers[:2:-1]
    page = queue.list_jobs("ann", limit=2, before=numbers[3])
    assert [job.number for job in page] == [numbers[2], numbers[1]]
    running = take(queue).job.id
    assert [job.id for job in queue.list_jobs("ann", [JobState.LOADING])] == [running]
    assert len(queue.list_jobs(None)) == 6


def test_results_outlive_a_restart(bench: Any, take: Take) -> None:
    queue = bench.open()
    job = queue.submit("picture", "{}", "ann")
    handle = take(queue)
    bench.clock.now += 3.0
    handle.finish_unit(0, {"file": "a.png", "seed": 7})
    queue.finish(handle, Outcome(JobState.DONE, '{"images": 1}'))
    queue.close()
    queue = bench.open()
    found = queue.get(job.id, "ann")
    assert (found.state, found.result, found.seconds) == (JobState.DONE, '{"images": 1}', 3.0)
    assert [(unit.finished, unit.facts) for unit in queue.units(job.id, "ann")] == [
        (True, {"file": "a.png", "seed": 7})
    ]
    assert [event.type.value for event in queue.subscribe(job.id, "ann")] == [
        "queued",
        "loading",
        "image",
        "done",
    ]


def test_only_the_newest_jobs_that_are_over_are_kept(bench: Any, complete: Complete) -> None:
    queue = bench.open(keep_finished=2)
    ids = [queue.submit("picture", "{}", "ann").id for _ in range(4)]
    bobs = queue.submit("picture", "{}", "bob").id
    for _ in range(5):
        complete(queue, 1.0)
    waiting = queue.submit("picture", "{}", "ann").id
    kept = {job.id for job in queue.list_jobs(None)}
    assert kept == {ids[2], ids[3], bobs, waiting}
    assert list(queue.payloads("picture")) == ["{}"] * 4


def test_old_jobs_are_forgotten_with_all_that_belongs_to_them(bench: Any, take: Take) -> None:
    queue = bench.open(keep_seconds=100.0)
    old = queue.submit("picture", "{}", "ann")
    handle = take(queue)
    handle.finish_unit(0, {})
    queue.finish(handle, Outcome(JobState.DONE, "{}"))
    subscription = queue.subscribe(old.id, "ann")
    bench.clock.now += 101.0
    queue.cancel(queue.submit("picture", "{}", "bob").id, "bob")
    with pytest.raises(JobNotFound):
        queue.get(old.id, "ann")
    assert list(subscription) == []
    assert len(queue.list_jobs(None)) == 1
    with closing(sqlite3.connect(bench.path)) as connection:
        assert connection.execute("SELECT count(*) FROM units").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (2,)


def test_a_closed_queue_takes_nothing_more(queue: JobQueue) -> None:
    queue.close()
    with pytest.raises(StorageError, match="closed"):
        queue.submit("picture", "{}", "ann")
    assert queue.take(lambda: False) is None
    queue.close()
