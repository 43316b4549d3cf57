from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from webui.jobs import Event, EventType, JobHandle, JobQueue, JobState
from webui.jobs.handle import Outcome

Take = Callable[[JobQueue], JobHandle]


def _names(events: list[Event]) -> list[str]:
    return [event.type.value for event in events]


def _run(queue: JobQueue, take: Take, units: int) -> None:
    """A job with a step and a preview for each of its units."""
    handle = take(queue)
    for index in range(units):
        handle.start_batch(index, units)
        handle.step(1, 1)
        handle.preview(bytes([index]))
        handle.finish_unit(index, {"file": f"{index}.png"})
    queue.finish(handle, Outcome(JobState.DONE, "{}"))


def test_a_finished_job_tells_its_durable_story(queue: JobQueue, take: Take) -> None:
    job = queue.submit("picture", "{}", "ann")
    _run(queue, take, 2)
    story = list(queue.subscribe(job.id, "ann"))
    assert _names(story) == ["queued", "loading", "running", "image", "image", "done"]
    assert [event.seq for event in story] == [1, 2, 3, 4, 5, 6]
    assert story[4].data == {"index": 1, "facts": {"file": "1.png"}}
    assert _names(list(queue.subscribe(job.id, "ann", after=4))) == ["image", "done"]
    assert list(queue.subscribe(job.id, "ann", after=6)) == []
    assert list(queue.subscribe(job.id, "ann", after=99)) == []


def test_a_late_watcher_gets_the_story_the_latest_look_and_then_what_happens(
    queue: JobQueue, take: Take
) -> None:
    job = queue.submit("picture", "{}", "ann")
    handle = take(queue)
    handle.finish_unit(0, {})
    handle.start_batch(1, 2)
    for step in range(1, 4):
        handle.preview(bytes([step]))
        handle.step(step, 4)
    watcher = iter(queue.subscribe(job.id, "ann"))
    seen = [next(watcher) for _ in range(6)]
    assert _names(seen) == ["queued", "loading", "image", "running", "preview", "step"]
    assert (seen[4].blob, seen[4].data["number"]) == (b"\x03", 3)
    assert seen[5].data["step"] == 3
    assert not seen[5].durable
    assert seen[5].seq == seen[3].seq == 4
    handle.warn("The sampler was changed.")
    assert next(watcher).data == {"text": "The sampler was changed."}
    queue.finish(handle, Outcome(JobState.DONE, "{}"))
    assert _names(list(watcher)) == ["done"]


def test_a_slow_watcher_misses_steps_but_no_durable_event(queue: JobQueue, take: Take) -> None:
    job = queue.submit("picture", "{}", "ann")
    watcher = iter(queue.subscribe(job.id, "ann"))
    assert next(watcher).type is EventType.QUEUED
    _run(queue, take, 100)
    rest = list(watcher)
    assert [event.data["index"] for event in rest if event.type is EventType.IMAGE] == list(
        range(100)
    )
    assert [event.seq for event in rest] == list(range(2, 105))


def test_transient_events_are_not_stored(bench: Any, take: Take) -> None:
    queue = bench.open()
    job = queue.submit("picture", "{}", "ann")
    handle = take(queue)
    handle.loading(0.4, "easel-emoji")
    handle.step(1, 2)
    handle.preview(b"12345")
    queue.close()
    queue = bench.open()
    watcher = iter(queue.subscribe(job.id, "ann", after=2))
    assert [next(watcher).type.value for _ in range(2)] == ["running", "queued"]
    assert b"12345" not in bench.path.read_bytes()


def test_loading_tells_its_fraction_until_the_work_begins(queue: JobQueue, take: Take) -> None:
    job = queue.submit("picture", "{}", "ann")
    handle = take(queue)
    handle.loading(0.4, "easel-emoji")
    watcher = iter(queue.subscribe(job.id, "ann", after=2))
    assert next(watcher).data == {"fraction": 0.4, "text": "easel-emoji"}
    handle.step(1, 2)
    assert [event.type.value for event in (next(watcher), next(watcher))] == ["running", "step"]
    assert _names([next(iter(queue.subscribe(job.id, "ann", after=2)))]) == ["running"]


def test_watchers_of_waiting_jobs_hear_of_their_place(queue: JobQueue, take: Take) -> None:
    queue.submit("picture", "{}", "ann")
    job = queue.submit("picture", "{}", "ann")
    watcher = iter(queue.subscribe(job.id, "ann"))
    assert next(watcher).data == {}
    take(queue)
    moved = next(watcher)
    assert (moved.type, moved.durable) == (EventType.QUEUED, False)
    assert moved.data == {"position": 1, "eta_seconds": None}


def test_silence_is_told_when_asked_for(queue: JobQueue) -> None:
    job = queue.submit("picture", "{}", "ann")
    watcher = iter(queue.subscribe(job.id, "ann", timeout_seconds=0.01))
    assert [next(watcher).type.value for _ in range(3)] == ["queued", "silence", "silence"]
    queue.cancel(job.id, "ann")
    assert _names(list(watcher))[-1] == "interrupted"


def test_a_blocked_thread_is_woken_by_the_next_event(queue: JobQueue, take: Take) -> None:
    job = queue.submit("picture", "{}", "ann")
    seen: list[Event] = []
    thread = threading.Thread(target=lambda: seen.extend(queue.subscribe(job.id, "ann")))
    thread.start()
    _run(queue, take, 3)
    thread.join(10.0)
    assert [event.seq for event in seen if event.durable] == list(range(1, 8))


def test_closing_the_queue_sends_watchers_home(queue: JobQueue) -> None:
    job = queue.submit("picture", "{}", "ann")
    watcher = iter(queue.subscribe(job.id, "ann"))
    assert next(watcher).type is EventType.QUEUED
    queue.close()
    assert list(watcher) == []


def test_many_coroutines_watch_without_a_thread_each(queue: JobQueue, take: Take) -> None:
    job = queue.submit("picture", "{}", "ann")

    async def watch(after: int) -> list[int]:
        subscription = queue.subscribe(job.id, "ann", after=after)
        return [event.seq async for event in subscription if event.durable]

    async def main() -> list[list[int]]:
        watchers = [asyncio.create_task(watch(after)) for after in range(20)]
        await asyncio.sleep(0)
        threads_before = threading.active_count()
        await asyncio.sleep(0)
        assert threading.active_count() == threads_before
        await asyncio.to_thread(_run, queue, take, 90)
        return await asyncio.gather(*watchers)

    for after, seen in enumerate(asyncio.run(main())):
        assert seen == list(range(after + 1, 95))


def test_a_coroutine_hears_silence_and_leaves(queue: JobQueue) -> None:
    job = queue.submit("picture", "{}", "ann")

    async def main() -> list[str]:
        seen = []
        async for event in queue.subscribe(job.id, "ann", timeout_seconds=0.01):
            seen.append(event.type.value)
            if event.type is EventType.SILENCE:
                break
        return seen

    assert asyncio.run(main()) == ["queued", "silence"]
    queue.cancel(job.id, "ann")  # must not call into the loop that is gone
    assert queue.get(job.id, "ann").state is JobState.INTERRUPTED


def test_an_event_loop_that_was_closed_under_a_watcher_harms_nobody(
    queue: JobQueue, take: Take
) -> None:
    job = queue.submit("picture", "{}", "ann")
    loop = asyncio.new_event_loop()
    watcher = aiter(queue.subscribe(job.id, "ann"))
    assert loop.run_until_complete(anext(watcher)).type is EventType.QUEUED
    loop.close()
    _run(queue, take, 1)
    assert queue.get(job.id, "ann").state is JobState.DONE


def test_a_watcher_gets_through_while_the_worker_never_rests(queue: JobQueue, bench: Any) -> None:
    seen_first_step = threading.Event()

    def run_job(handle: JobHandle) -> str:
        step = 0
        while not seen_first_step.is_set():  # pure computing, never a wait
            step += 1
            sorted(range(200_000), key=lambda number: -number)
            handle.step(1, 2, f"round {step}")
            assert step < 200, "the watcher starved"
        return "{}"

    job = queue.submit("picture", "{}", "ann")
    bench.work(queue, run_job)
    for event in queue.subscribe(job.id, "ann"):
        if event.type is EventType.STEP:
            seen_first_step.set()
    assert queue.get(job.id, "ann").state is JobState.DONE


def test_facts_that_json_cannot_carry_are_refused(queue: JobQueue, take: Take) -> None:
    queue.submit("picture", "{}", "ann")
    handle = take(queue)
    with pytest.raises(ValueError, match="JSON"):
        handle.finish_unit(0, {"score": float("nan")})
    handle.finish_unit(0, {"score": 1.0})
    assert handle.finished == {0: {"score": 1.0}}
