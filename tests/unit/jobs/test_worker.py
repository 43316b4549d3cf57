from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from webui.errors import BadOutput, Interrupted, Skipped
from webui.jobs import EventType, Job, JobHandle, JobQueue, JobState

WAIT_SECONDS = 20.0


def _await_end(queue: JobQueue, job: Job) -> Job:
    for event in queue.subscribe(job.id, None, timeout_seconds=WAIT_SECONDS):
        assert event.type is not EventType.SILENCE, "the job hangs"
    return queue.get(job.id, None)


class Puppet:
    """A runner that says when it has begun and goes on stepping until it is stopped."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.raised: list[str] = []

    def __call__(self, job: JobHandle) -> str:
        job.start_batch(0, 1)
        self.has_begun.set()
        step = 0
        try:
            while True:
                step += 1
                job.step(step, 10_000_000)
        except Interrupted as error:
            self.raised.append(str(error))
            raise


def test_a_worker_runs_jobs_one_after_the_other(queue: JobQueue, bench: Any) -> None:
    jobs = [queue.submit("double", str(number), "ann") for number in range(3)]
    bench.work(queue, lambda job: str(2 * int(job.job.payload)))
    assert [_await_end(queue, job).result for job in jobs] == ["0", "2", "4"]
    late = queue.submit("double", "21", "ann")
    assert _await_end(queue, late).result == "42"


def test_an_error_with_a_sentence_is_told_and_the_worker_goes_on(
    queue: JobQueue, bench: Any
) -> None:
    def run_job(job: JobHandle) -> str:
        if job.job.payload == "bad":
            raise BadOutput("The picture became NaN; use float32. \udcff")
        return "{}"

    bad, good = queue.submit("x", "bad", "ann"), queue.submit("x", "good", "ann")
    bench.work(queue, run_job)
    failed = _await_end(queue, bad)
    assert (failed.state, failed.error) == (
        JobState.FAILED,
        "The picture became NaN; use float32. ?",
    )
    assert list(queue.subscribe(bad.id, None))[-1].data == {"error": failed.error}
    assert _await_end(queue, good).state is JobState.DONE


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), SystemExit(3), MemoryError()])
def test_an_unexpected_error_fails_the_job_and_its_traceback_is_logged(
    queue: JobQueue, bench: Any, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def run_job(job: JobHandle) -> str:
        if job.job.payload == "bad":
            raise error
        return "{}"

    bad, good = queue.submit("x", "bad", "ann"), queue.submit("x", "good", "ann")
    with caplog.at_level(logging.ERROR):
        bench.work(queue, run_job)
        assert _await_end(queue, good).state is JobState.DONE
    failed = queue.get(bad.id, None)
    assert failed.state is JobState.FAILED
    assert failed.error == (
        f"Something went wrong inside Easel ({type(error).__name__}). "
        f"The log says more, under job {bad.id}."
    )
    assert "Traceback" in caplog.text
    assert bad.id in caplog.text


def test_interrupt_takes_effect_within_a_step(queue: JobQueue, bench: Any) -> None:
    puppet = Puppet()
    job = queue.submit("x", "{}", "ann")
    bench.work(queue, puppet)
    assert puppet.has_begun.wait(WAIT_SECONDS)
    queue.cancel(job.id, "ann")
    assert _await_end(queue, job).state is JobState.INTERRUPTED
    assert puppet.raised == ["The job was interrupted."]


def test_interrupt_takes_effect_while_loading(queue: JobQueue, bench: Any) -> None:
    has_begun = threading.Event()

    def run_job(job: JobHandle) -> str:
        while True:
            job.loading(0.5, "a large model")
            has_begun.set()

    job = queue.submit("x", "{}", "ann")
    bench.work(queue, run_job)
    assert has_begun.wait(WAIT_SECONDS)
    queue.cancel(job.id, "ann")
    assert _await_end(queue, job).state is JobState.INTERRUPTED


def test_a_runner_may_return_what_it_has_when_it_is_interrupted(
    queue: JobQueue, bench: Any
) -> None:
    def run_job(job: JobHandle) -> str:
        queue.cancel(job.job.id, None)
        try:
            job.step(1, 2)
        except Interrupted:
            return '{"partial": true}'
        return "not reached"

    job = queue.submit("x", "{}", "ann")
    bench.work(queue, run_job)
    ended = _await_end(queue, job)
    assert (ended.state, ended.result) == (JobState.INTERRUPTED, '{"partial": true}')


def test_the_current_batch_is_finished_when_asked_to_stop_after_it(
    queue: JobQueue, bench: Any
) -> None:
    def run_job(job: JobHandle) -> str:
        for batch in range(4):
            job.start_batch(2 * batch, 8)
            if batch == 1:
                queue.cancel_after_current(job.job.id, "ann")
                progress = queue.progress("ann")
                assert progress is not None
                assert progress.is_stopping
                assert not progress.is_interrupted
            job.step(1, 1)
            job.enter_pass(2 * batch + 1, 8)  # hires fix belongs to the same batch
            job.step(1, 1)
            job.finish_unit(batch, {})
        return "{}"

    job = queue.submit("x", "{}", "ann")
    bench.work(queue, run_job)
    assert _await_end(queue, job).state is JobState.INTERRUPTED
    assert [unit.index for unit in queue.units(job.id, None)] == [0, 1]


def test_stopping_after_the_last_batch_is_no_interruption(queue: JobQueue, bench: Any) -> None:
    def run_job(job: JobHandle) -> str:
        job.start_batch(0, 1)
        queue.cancel_after_current(job.job.id, "ann")
        job.step(1, 1)
        return "{}"

    job = queue.submit("x", "{}", "ann")
    bench.work(queue, run_job)
    assert _await_end(queue, job).state is JobState.DONE


def test_skip_gives_up_one_batch_only(queue: JobQueue, bench: Any) -> None:
    skipped: list[int] = []

    def run_job(job: JobHandle) -> str:
        for batch in range(3):
            job.start_batch(batch, 3)
            if batch == 1:
                queue.skip(job.job.id, "ann")
            try:
                job.step(1, 1)
            except Skipped:
                skipped.append(batch)
                continue
            job.finish_unit(batch, {})
            if batch == 2:
                queue.skip(job.job.id, "ann")  # too late: nothing is left to skip
        return "{}"

    job = queue.submit("x", "{}", "ann")
    bench.work(queue, run_job)
    assert _await_end(queue, job).state is JobState.DONE
    assert skipped == [1]
    assert [unit.index for unit in queue.units(job.id, None)] == [0, 2]


def test_a_stopped_worker_puts_its_job_back_and_another_resumes_it(bench: Any) -> None:
    queue = bench.open()
    puppet = Puppet()

    def first(job: JobHandle) -> str:
        job.finish_unit(0, {"file": "0.png"})
        return puppet(job)

    job = queue.submit("x", "{}", "ann")
    later = queue.submit("x", "{}", "ann")
    worker = bench.work(queue, first)
    assert puppet.has_begun.wait(WAIT_SECONDS)
    assert worker.stop(WAIT_SECONDS)
    assert puppet.raised == ["Easel is shutting down; the job goes on at the next start."]
    waiting = queue.get(job.id, None)
    assert (waiting.state, waiting.position, waiting.crashes) == (JobState.QUEUED, 1, 0)
    queue.close()

    queue = bench.open()
    bench.work(queue, lambda handle: str(sorted(handle.finished)))
    assert _await_end(queue, job).result == "[0]"
    assert _await_end(queue, later).result == "[]"


def test_a_job_that_reaches_no_step_before_the_end_is_no_crash_either(bench: Any) -> None:
    queue = bench.open()
    has_begun, may_go_on = threading.Event(), threading.Event()

    def run_job(_: JobHandle) -> str:
        has_begun.set()
        may_go_on.wait(WAIT_SECONDS)
        return "too late"

    job = queue.submit("x", "{}", "ann")
    worker = bench.work(queue, run_job)
    assert has_begun.wait(WAIT_SECONDS)
    assert not worker.stop(0.01)
    queue.close()
    may_go_on.set()
    assert worker.stop(WAIT_SECONDS)
    found = bench.open().get(job.id, None)
    assert (found.state, found.crashes, found.result) == (JobState.QUEUED, 0, None)


def test_a_worker_without_work_stops_at_once(queue: JobQueue, bench: Any) -> None:
    assert bench.work(queue, lambda _: "{}").stop(WAIT_SECONDS)


def test_progress_has_both_rows_and_a_pace(queue: JobQueue, bench: Any) -> None:
    seen: list[tuple[Any, ...]] = []

    def run_job(job: JobHandle) -> str:
        def look() -> None:
            progress = queue.progress("ann", job.job.id)
            assert progress is not None
            seen.append(
                (
                    progress.job_no,
                    progress.job_count,
                    progress.sampling_step,
                    progress.sampling_steps,
                    progress.fraction,
                    progress.eta_seconds,
                    progress.text,
                )
            )

        job.loading(1.0, "easel-emoji")
        look()
        job.start_batch(0, 2)
        bench.clock.now += 5.0
        job.step(5, 10, "sampling")
        look()
        job.start_batch(1, 2)
        job.preview(b"one")
        job.preview(b"two", "image/png")
        bench.clock.now += 9.0
        job.step(4, 10)
        look()
        progress = queue.progress(None)
        assert progress is not None
        assert progress.preview is not None
        assert (progress.preview.number, progress.preview.blob) == (2, b"two")
        assert (progress.preview.media_type, progress.started) == ("image/png", 1000.0)
        return "{}"

    job = queue.submit("x", "{}", "ann")
    bench.work(queue, run_job)
    assert _await_end(queue, job).error is None
    assert seen == [
        (0, 1, 0, 0, 0.0, None, "easel-emoji"),
        (0, 2, 5, 10, 0.25, 15.0, "sampling"),
        (1, 2, 4, 10, 0.7, pytest.approx(6.0), ""),
    ]
    assert queue.progress(None) is None


def test_a_resumed_job_reckons_its_pace_from_where_it_goes_on(queue: JobQueue, bench: Any) -> None:
    paces: list[float | None] = []

    def run_job(job: JobHandle) -> str:
        job.start_batch(6, 8)
        bench.clock.now += 10.0
        job.step(1, 1)
        progress = queue.progress(None)
        assert progress is not None
        paces.append(progress.eta_seconds)
        return "{}"

    bench.work(queue, run_job)
    assert _await_end(queue, queue.submit("x", "{}", "ann")).state is JobState.DONE
    assert paces == [10.0]
