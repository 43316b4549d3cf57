"""What a runner holds of its job: progress out, stop requests in, units once and for all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from threading import Lock

from webui.errors import Interrupted, Skipped
from webui.jobs.events import Channel
from webui.jobs.job import EventType, Job, JobState, JsonObject, Unit
from webui.jobs.ledger import Ledger, to_json
from webui.jobs.progress import Meter, Progress


class Stop(IntEnum):
    """How urgently a running job is to end; a request only ever becomes more urgent."""

    NO = 0
    AFTER_CURRENT = 1
    SHUTDOWN = 2  # the worker stops: the job goes back to the queue
    NOW = 3


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `JobState.QUEUED` puts the job back, to be resumed."""

    state: JobState
    result: str | None = None
    error: str | None = None


class JobHandle:
    """One job in the hands of a worker.

    The runner's part of the exactly-once protocol (docs/jobs.md): for each unit that `finished`
    does not name yet, ``names = begin_unit(index, {"file": free_name})``, write the file under the
    name that came *back*, by a temporary file and a rename, then `finish_unit`. What may differ
    between two runs (random seeds, the date) goes through `remember` first.

    All methods may raise StorageError when the queue's file cannot be written.
    """

    def __init__(self, ledger: Ledger, job: Job, channel: Channel) -> None:
        self.job = job
        self._ledger = ledger
        self._channel = channel
        self._meter = Meter(ledger.clock)
        self._units = {unit.index: unit for unit in ledger.reader.units_of(job.number)}
        self._remembered = ledger.reader.remembered(job.number)
        self._taken = ledger.clock()
        self._charged = self._taken
        self._is_running = False
        self._lock = Lock()
        self._stop = Stop.NO
        self._raised = Stop.NO
        self._skip_asked = False
        self._is_skipped = False
        self.is_resumed = bool(self._units) or job.seconds > 0 or job.crashes > 0

    # What earlier runs left.

    @property
    def finished(self) -> dict[int, JsonObject]:
        """Facts of the finished units by index; these must not be made again."""
        return {unit.index: unit.facts for unit in self._units.values() if unit.finished}

    @property
    def begun(self) -> dict[int, JsonObject]:
        """Facts of the units that were begun but not finished; their files may exist."""
        return {unit.index: unit.facts for unit in self._units.values() if not unit.finished}

    def reserved_elsewhere(self) -> list[JsonObject]:
        """Facts of units that other unfinished jobs have begun: their names are not free."""
        return [unit.facts for unit in self._ledger.reader.reserved(self.job.number)]

    def remember(self, text: str) -> str:
        """Store what every run of this job must agree on.

        Returns: the text that holds: the first that was given, by this run or an earlier one.
        """
        if self._remembered is None:
            with self._ledger.change() as change:
                change.write(
                    "UPDATE jobs SET remembered = ? WHERE number = ?", text, self.job.number
                )
            self._remembered = text
        return self._remembered

    # Units.

    def begin_unit(self, index: int, facts: JsonObject) -> JsonObject:
        """Reserve names before anything is written under them.

        Returns: the facts that hold: those of the first run that began this unit.
        Raises: ValueError: if the unit is finished.
        """
        unit = self._units.get(index)
        if unit is not None:
            if unit.finished:
                raise ValueError(f"unit {index} of job {self.job.id} is finished already")
            return unit.facts
        with self._ledger.change() as change:
            change.write(
                "INSERT INTO units (job, place, finished, facts) VALUES (?, ?, 0, ?)",
                self.job.number,
                index,
                to_json(facts),
            )
        self._units[index] = Unit(index, False, facts)
        return facts

    def finish_unit(self, index: int, facts: JsonObject) -> None:
        """Record that the unit is complete and on disk; from here on it is never made again.

        Raises: ValueError: if it is finished already.
        """
        unit = self._units.get(index)
        if unit is not None and unit.finished:
            raise ValueError(f"unit {index} of job {self.job.id} is finished already")
        with self._ledger.change() as change:
            change.write(
                "INSERT OR REPLACE INTO units (job, place, finished, facts) VALUES (?, ?, 1, ?)",
                self.job.number,
                index,
                to_json(facts),
            )
            change.charge(self.job, self.take_seconds())
            data: JsonObject = {"index": index, "facts": dict(facts)}
            change.tell(self.job.number, self.job.id, EventType.IMAGE, data)
        self._units[index] = Unit(index, True, facts)

    # Progress.

    def loading(self, fraction: float, text: str) -> None:
        """Say how far (0 to 1) the loading of `text` is.

        Raises: Interrupted.
        """
        self._meter.say(text)
        data: JsonObject = {"fraction": fraction, "text": text}
        self._channel.flash(EventType.LOADING, data, self._ledger.clock())
        self.check()

    def start_batch(self, job_no: int, job_count: int) -> None:
        """Begin with batch `job_no` (0-based); a former skip is forgotten.

        Raises: Interrupted: if asked to stop now or after the batch before.
        """
        with self._lock:
            self._skip_asked = self._is_skipped = False
            if self._stop is Stop.AFTER_CURRENT:
                self._raised = Stop.AFTER_CURRENT
                raise Interrupted("The job was stopped after the current picture.")
        self.enter_pass(job_no, job_count)

    def enter_pass(self, job_no: int, job_count: int) -> None:
        """Go on to another pass of the same batch, e.g. hires fix.

        Raises: Interrupted, Skipped.
        """
        self._enter_running()
        self._meter.enter_pass(job_no, job_count)
        self._flash_step()
        self.check()

    def step(self, index: int, total: int, text: str = "") -> None:
        """Say that `index` (1-based) of `total` steps of this pass are done.

        Raises: Interrupted, Skipped.
        """
        self._enter_running()
        self._meter.enter_step(index, total, text)
        self._flash_step()
        self.check()

    def preview(self, blob: bytes, media_type: str = "image/jpeg") -> None:
        """Show the unfinished picture; only the latest is kept."""
        preview = self._meter.show(blob, media_type)
        data: JsonObject = {"number": preview.number, "media_type": media_type}
        self._channel.flash(EventType.PREVIEW, data, self._ledger.clock(), blob)

    def warn(self, text: str) -> None:
        """Tell the user a sentence; it stays in the job's story."""
        with self._ledger.change() as change:
            change.tell(self.job.number, self.job.id, EventType.WARNING, {"text": text})

    def warn_in_passing(self, text: str) -> None:
        """Tell whoever watches now, without the file: for when the file is what is wrong."""
        self._channel.flash(EventType.WARNING, {"text": text}, self._ledger.clock())

    def check(self) -> None:
        """Raise what was asked for; for places that have no steps to report.

        Raises: Interrupted, Skipped.
        """
        with self._lock:
            if self._stop >= Stop.SHUTDOWN:
                self._raised = self._stop
                raise Interrupted(
                    "The job was interrupted."
                    if self._stop is Stop.NOW
                    else "Easel is shutting down; the job goes on at the next start."
                )
            if self._skip_asked:
                self._skip_asked = False
                raise Skipped("The batch was skipped.")

    # For the queue and the worker.

    def ask(self, stop: Stop) -> None:
        """Request an end; takes effect within one step."""
        with self._lock:
            self._stop = max(self._stop, stop)

    def ask_skip(self) -> None:
        """Request that the current batch be given up."""
        with self._lock:
            self._skip_asked = self._is_skipped = True

    def outcome(self, result: str | None) -> Outcome:
        """How the run ended, if the runner returned `result`, or None because it was stopped."""
        with self._lock:
            raised = self._raised
        if raised is Stop.SHUTDOWN:
            return Outcome(JobState.QUEUED)
        if raised is not Stop.NO or result is None:
            return Outcome(JobState.INTERRUPTED, result)
        return Outcome(JobState.DONE, result)

    def take_seconds(self) -> float:
        """Seconds since this was last asked, or since the job was taken; to be charged."""
        now = self._ledger.clock()
        seconds, self._charged = max(0.0, now - self._charged), now
        return seconds

    def elapsed_seconds(self) -> float:
        """Seconds since the job was taken."""
        return max(0.0, self._ledger.clock() - self._taken)

    def progress(self) -> Progress:
        """A snapshot for the page and the API."""
        figures = self._meter.read()
        with self._lock:
            stop, is_skipped = self._stop, self._is_skipped
        return Progress(
            job_id=self.job.id,
            kind=self.job.kind,
            owner=self.job.owner,
            started=self._taken,
            job_no=figures.job_no,
            job_count=figures.job_count,
            sampling_step=figures.sampling_step,
            sampling_steps=figures.sampling_steps,
            fraction=figures.fraction,
            eta_seconds=figures.eta_seconds,
            text=figures.text,
            is_stopping=stop is Stop.AFTER_CURRENT,
            is_interrupted=stop >= Stop.SHUTDOWN,
            is_skipped=is_skipped,
            preview=figures.preview,
        )

    def _enter_running(self) -> None:
        if self._is_running:
            return
        with self._ledger.change() as change:
            change.write("UPDATE jobs SET state = 'running' WHERE number = ?", self.job.number)
            change.tell(self.job.number, self.job.id, EventType.RUNNING, {})
        self._is_running = True

    def _flash_step(self) -> None:
        figures = self._meter.read()
        data: JsonObject = {
            "job_no": figures.job_no,
            "job_count": figures.job_count,
            "step": figures.sampling_step,
            "steps": figures.sampling_steps,
            "fraction": figures.fraction,
            "eta_seconds": figures.eta_seconds,
            "text": figures.text,
        }
        self._channel.flash(EventType.STEP, data, self._ledger.clock())
