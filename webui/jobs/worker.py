"""The thread that works off the queue, and survives all that goes wrong in what it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from webui.errors import JobStopped, StorageError, WebUIError
from webui.jobs.handle import JobHandle, Outcome, Stop
from webui.jobs.job import JobState
from webui.jobs.queue import JobQueue

logger = logging.getLogger(__name__)

RunJob = Callable[[JobHandle], str]
"""Does the job and returns its result as JSON text. Raises WebUIError with a sentence for the user;
lets Interrupted pass, or returns what there is when it was interrupted."""


class Worker:
    """Takes jobs one after the other in a thread of its own.

    Args:
        retry_seconds: pause before the next attempt when the queue's file cannot be written.
    """

    def __init__(self, queue: JobQueue, run_job: RunJob, *, retry_seconds: float = 5.0) -> None:
        self._queue = queue
        self._run_job = run_job
        self._retry_seconds = retry_seconds
        self._stopping = Event()
        self._current: JobHandle | None = None
        self._thread = Thread(target=self._work, name="job worker", daemon=True)

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def stop(self, timeout_seconds: float | None = None) -> bool:
        """Take no further job, and put the running one back within a step, to be resumed later.

        Returns: whether the thread has ended; False if the runner did not reach a step in time.
        """
        self._stopping.set()
        current = self._current
        if current is not None:
            current.ask(Stop.SHUTDOWN)
        self._queue.wake()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                handle = self._queue.take(self._stopping.is_set)
            except StorageError as error:
                logger.error("no job can be started: %s", error)
                self._stopping.wait(self._retry_seconds)
                continue
            if handle is None:
                return
            self._current = handle
            if self._stopping.is_set():  # `stop` may have looked before there was a current job
                handle.ask(Stop.SHUTDOWN)
            self._finish(handle, self._run(handle))
            self._current = None

    def _run(self, handle: JobHandle) -> Outcome:
        try:
            return handle.outcome(self._run_job(handle))
        except JobStopped:
            return handle.outcome(None)
        except WebUIError as error:
            logger.info("job %s failed: %s", handle.job.id, error)
            return Outcome(JobState.FAILED, error=_printable(str(error)))
        except (Exception, SystemExit) as error:  # the job boundary: no job may end the worker
            logger.exception("job %s failed unexpectedly", handle.job.id)
            return Outcome(
                JobState.FAILED,
                error=f"Something went wrong inside Easel ({type(error).__name__}). "
                f"The log says more, under job {handle.job.id}.",
            )

    def _finish(self, handle: JobHandle, outcome: Outcome) -> None:
        """Record the outcome, however long the disk stays full, unless Easel shuts down."""
        while True:
            try:
                self._queue.finish(handle, outcome)
            except StorageError as error:
                logger.error("job %s is over but cannot be recorded: %s", handle.job.id, error)
                handle.warn_in_passing(str(error))
                if self._stopping.wait(self._retry_seconds):
                    return
            else:
                return


def _printable(text: str) -> str:
    """Replace what UTF-8 cannot carry, e.g. the odd bytes of a file name."""
    return text.encode("utf-8", "replace").decode("utf-8")
