from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from webui.errors import QueueFull
from webui.jobs import EventType, JobHandle, JobQueue, JobState

ROOT = Path(__file__).parents[3]
THREADS = 8
JOBS_PER_THREAD = 8


def test_no_job_is_lost_or_run_twice_under_many_threads(bench: Any) -> None:
    queue = bench.open()
    runs: list[str] = []
    guard = Lock()

    def run_job(handle: JobHandle) -> str:
        with guard:
            runs.append(handle.job.id)
        for index in range(2):
            handle.start_batch(index, 2)
            handle.step(1, 1)
            handle.preview(b"look")
            handle.finish_unit(index, {"file": f"{handle.job.id}-{index}"})
        return handle.job.payload

    def client(number: int) -> list[tuple[str, str, JobState]]:
        owner = f"owner {number % 3}"
        ended = []
        for turn in range(JOBS_PER_THREAD):
            payload = f"{number}/{turn}"
            job = queue.submit("x", payload, owner, idempotency_key=payload)
            assert queue.submit("x", payload, owner, idempotency_key=payload).id == job.id
            if turn % 4 == 3:
                queue.cancel(job.id, owner)
            seqs = [event.seq for event in queue.subscribe(job.id, owner) if event.durable]
            assert seqs == list(range(1, len(seqs) + 1))
            found = queue.get(job.id, owner)
            ended.append((job.id, found.result or payload, found.state))
            assert ended[-1][1] == payload
        return ended

    bench.work(queue, run_job)
    bench.work(queue, run_job)
    with ThreadPoolExecutor(THREADS) as pool:
        ended = [entry for entries in pool.map(client, range(THREADS)) for entry in entries]
    assert len({job_id for job_id, _, _ in ended}) == THREADS * JOBS_PER_THREAD
    done = {job_id for job_id, _, state in ended if state is JobState.DONE}
    assert len(runs) == len(set(runs))
    assert done <= set(runs)
    assert len(done) >= THREADS * JOBS_PER_THREAD * 3 // 4
    for job_id in done:
        assert [unit.finished for unit in queue.units(job_id, None)] == [True, True]


def test_one_submission_wins_a_race_for_a_key(queue: JobQueue) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [
            pool.submit(queue.submit, "x", "{}", "ann", idempotency_key="k") for _ in range(40)
        ]
        ids = {future.result().id for future in futures}
    assert len(ids) == 1
    assert len(queue.list_jobs(None)) == 1


def test_the_limit_holds_in_a_race(bench: Any) -> None:
    queue = bench.open(max_waiting=10)

    def submit(number: int) -> bool:
        try:
            queue.submit("x", "{}", f"owner {number}")
        except QueueFull:
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(submit, range(30))) == 10
    assert len(queue.list_jobs(None)) == 10


def test_threads_and_coroutines_see_the_same_story(queue: JobQueue, bench: Any) -> None:
    def run_job(handle: JobHandle) -> str:
        for index in range(70):
            handle.start_batch(index, 70)
            handle.step(1, 1)
            handle.finish_unit(index, {})
        return "{}"

    job = queue.submit("x", "{}", "ann")

    def durable() -> list[int]:
        return [event.seq for event in queue.subscribe(job.id, "ann") if event.durable]

    async def durable_async() -> list[int]:
        return [event.seq async for event in queue.subscribe(job.id, "ann") if event.durable]

    async def main(pool: ThreadPoolExecutor) -> list[list[int]]:
        loop = asyncio.get_running_loop()
        threads = [loop.run_in_executor(pool, durable) for _ in range(4)]
        coroutines = [asyncio.create_task(durable_async()) for _ in range(8)]
        bench.work(queue, run_job)
        return list(await asyncio.gather(*threads, *coroutines))

    with ThreadPoolExecutor(4) as pool:
        stories = asyncio.run(main(pool))
    assert stories == [list(range(1, 75))] * 12


FULL_DISK = """
import resource, sys, threading
from pathlib import Path
from webui.errors import StorageError
from webui.jobs import JobQueue, Worker

path = Path(sys.argv[1])
queue = JobQueue(path)
first = queue.submit("x", "{}", "ann")
has_begun, is_full = threading.Event(), threading.Event()

def run_job(handle):
    has_begun.set()
    is_full.wait(20)
    return "{}"

worker = Worker(queue, run_job, retry_seconds=0.05)
worker.start()
has_begun.wait(20)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # as good as a full disk
try:
    queue.submit("x", "{}", "ann")
except StorageError as error:
    print(error)
is_full.set()
for event in queue.subscribe(first.id, "ann"):
    if event.type.value == "warning" and not event.durable:
        print(event.data["text"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        break
for event in queue.subscribe(first.id, "ann"):
    pass
print(queue.get(first.id, "ann").state.value)
second = queue.submit("x", "{}", "ann")
for event in queue.subscribe(second.id, "ann"):
    pass
print(queue.get(second.id, "ann").state.value, len(queue.list_jobs(None)))
worker.stop()
queue.close()
"""


def test_a_full_disk_is_told_and_the_queue_goes_on_when_there_is_room(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "jobs.sqlite")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    refused, warned, first, second = answer.stdout.splitlines()
    assert refused.startswith("The job queue cannot be written (")
    assert refused.endswith("Is the disk full?")
    assert warned == refused
    assert (first, second) == ("done", "done 2")


def test_a_warning_is_part_of_the_story(
    queue: JobQueue, take: Callable[[JobQueue], JobHandle]
) -> None:
    job = queue.submit("x", "{}", "ann")
    take(queue).warn("The upscaler is missing; Lanczos was used.")
    queue.cancel(job.id, "ann")
    texts = []
    for event in queue.subscribe(job.id, "ann", timeout_seconds=0.01):
        if event.type is EventType.SILENCE:
            break
        texts.append(event.data.get("text"))
    assert texts == [None, None, "The upscaler is missing; Lanczos was used."]
