from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from webui.jobs import JobHandle, JobQueue, RunJob, Worker
from webui.jobs.handle import Outcome
from webui.jobs.job import JobState


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Opens queues and workers on one file, and closes them after the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self._closers: list[Callable[[], object]] = []

    def open(self, **settings: Any) -> JobQueue:
        queue = JobQueue(self.path, clock=self.clock, **settings)
        self._closers.append(queue.close)
        return queue

    def work(self, queue: JobQueue, run_job: RunJob, retry_seconds: float = 5.0) -> Worker:
        worker = Worker(queue, run_job, retry_seconds=retry_seconds)
        self._closers.append(lambda: worker.stop(10.0))
        worker.start()
        return worker

    def close(self) -> None:
        for close in reversed(self._closers):
            close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "jobs.sqlite")
    yield bench
    bench.close()


@pytest.fixture
def queue(bench: Bench) -> JobQueue:
    return bench.open()


@pytest.fixture
def take() -> Callable[[JobQueue], JobHandle]:
    """The next job of a queue in which one is waiting."""

    def take(queue: JobQueue) -> JobHandle:
        handle = queue.take(lambda: False)
        assert handle is not None
        return handle

    return take


@pytest.fixture
def complete(
    bench: Bench, take: Callable[[JobQueue], JobHandle]
) -> Callable[[JobQueue, float], JobHandle]:
    """Run the next job for some seconds of the test's clock."""

    def complete(queue: JobQueue, seconds: float) -> JobHandle:
        handle = take(queue)
        bench.clock.now += seconds
        queue.finish(handle, Outcome(JobState.DONE, "{}"))
        return handle

    return complete
