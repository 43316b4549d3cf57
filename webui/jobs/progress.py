"""How far the running job is: which pass of how many, which step of how many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True)
class Preview:
    """The latest look at the unfinished picture; `number` rises with each."""

    number: int
    blob: bytes
    media_type: str


@dataclass(frozen=True)
class Progress:
    """A running job at one moment.

    Args:
        started: seconds since the epoch, when a worker took the job.
        job_no, job_count: 0-based current pass and their number.
        sampling_step, sampling_steps: steps done and to do in this pass.
        fraction: of the whole job, 0 to 1.
        eta_seconds: expected time until it is done; None until something could be measured.
        text: what is being done, e.g. "loading easel-emoji".
        is_stopping: asked to stop after the current picture.
        is_interrupted: asked to stop now.
        is_skipped: the current batch is being given up.
    """

    job_id: str
    kind: str
    owner: str
    started: float
    job_no: int
    job_count: int
    sampling_step: int
    sampling_steps: int
    fraction: float
    eta_seconds: float | None
    text: str
    is_stopping: bool
    is_interrupted: bool
    is_skipped: bool
    preview: Preview | None


@dataclass(frozen=True)
class Reading:
    """The meter's figures at one moment; the fields are those of `Progress`."""

    job_no: int
    job_count: int
    sampling_step: int
    sampling_steps: int
    fraction: float
    eta_seconds: float | None
    text: str
    preview: Preview | None


class Meter:
    """Counts passes and steps of one run and estimates the rest from the pace. Thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._job_no, self._job_count = 0, 1
        self._step, self._steps = 0, 0
        self._text = ""
        self._preview: Preview | None = None
        self._base: tuple[float, float] | None = None  # time and fraction at the first pass

    def enter_pass(self, job_no: int, job_count: int) -> None:
        """Begin pass `job_no` (0-based) of `job_count`."""
        with self._lock:
            self._job_no, self._job_count = job_no, max(job_count, 1)
            self._step = 0
            self._text = ""
            self._base = self._base or (self._clock(), self._fraction())

    def enter_step(self, step: int, steps: int, text: str) -> None:
        """`step` of `steps` are done."""
        with self._lock:
            self._base = self._base or (self._clock(), self._fraction())
            self._step, self._steps = step, steps
            self._text = text

    def say(self, text: str) -> None:
        """Name what is being done apart from steps."""
        with self._lock:
            self._text = text

    def show(self, blob: bytes, media_type: str) -> Preview:
        """Replace the preview."""
        with self._lock:
            number = self._preview.number + 1 if self._preview else 1
            self._preview = Preview(number, blob, media_type)
            return self._preview

    def read(self) -> Reading:
        """The figures of this moment."""
        with self._lock:
            return Reading(
                self._job_no,
                self._job_count,
                self._step,
                self._steps,
                self._fraction(),
                self._eta_seconds(),
                self._text,
                self._preview,
            )

    def _fraction(self) -> float:
        within = self._step / self._steps if self._steps else 0.0
        return max(0.0, min(1.0, (self._job_no + min(within, 1.0)) / self._job_count))

    def _eta_seconds(self) -> float | None:
        if self._base is None:
            return None
        since, base = self._base
        fraction = self._fraction()
        if fraction <= base:
            return None
        elapsed = max(0.0, self._clock() - since)
        return elapsed * (1.0 - fraction) / (fraction - base)
