"""kill -9 of a real process in the middle of a job of eight units."""

from __future__ import annotations

import os
import random
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

from webui.errors import StorageError
from webui.jobs import EventType, JobQueue, JobReader, JobState

SCRIPT = Path(__file__).with_name("crashing.py")
ROOT = Path(__file__).parents[3]


class Bench:
    """A queue and a folder that outlive the processes that use them."""

    def __init__(self, folder: Path) -> None:
        self.queue_path = folder / "jobs.sqlite"
        self.files = folder / "files"
        self.files.mkdir()

    def submit(self) -> str:
        queue = JobQueue(self.queue_path)
        job = queue.submit("units", "{}", "ann")
        queue.close()
        return job.id

    def start(self, *death: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), str(self.queue_path), str(self.files), *death],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> None:
        process = self.start()
        process.communicate(timeout=60)
        assert process.returncode == 0

    def assert_complete(self, *job_ids: str) -> None:
        """Each unit of each job exists once, under its recorded name, with the right bytes."""
        script = runpy.run_path(str(SCRIPT))
        units_per_job, content = script["UNITS"], script["content"]
        reader = JobReader(self.queue_path)
        names: list[str] = []
        for job_id in job_ids:
            job = reader.get(job_id, "ann")
            assert job.state is JobState.DONE
            assert job.result is not None
            units = reader.units(job_id, "ann")
            assert [unit.index for unit in units if unit.finished] == list(range(units_per_job))
            images = [event for event in reader.events(job) if event.type is EventType.IMAGE]
            assert [event.data["index"] for event in images] == list(range(units_per_job))
            for unit in units:
                names.append(str(unit.facts["file"]))
                assert (self.files / names[-1]).read_bytes() == content(job.result, unit.index)
        reader.close()
        assert sorted(path.name for path in self.files.iterdir()) == sorted(set(names))
        assert len(set(names)) == len(names)


@pytest.fixture
def crash_bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("point", "index"),
    [
        ("before begin", "0"),
        ("after begin", "7"),
        ("before rename", "3"),
        ("after rename", "0"),
        ("after rename", "7"),
        ("after finish", "7"),
    ],
)
def test_death_at_each_seam_of_the_protocol(crash_bench: Bench, point: str, index: str) -> None:
    job_id = crash_bench.submit()
    process = crash_bench.start(point, index)
    process.communicate(timeout=60)
    assert process.returncode == -9
    crash_bench.finish()
    crash_bench.assert_complete(job_id)


def test_death_at_random_moments(crash_bench: Bench) -> None:
    generator = random.Random(7)
    job_ids: list[str] = []
    for _ in range(4):
        job_ids.append(crash_bench.submit())
        process = crash_bench.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(generator.randrange(8)):
            process.stdout.readline()
        time.sleep(generator.random() * 0.02)
        process.kill()
        process.communicate(timeout=60)
        crash_bench.finish()
    crash_bench.assert_complete(*job_ids)


def test_another_job_does_not_take_the_names_that_a_crashed_one_reserved(
    crash_bench: Bench,
) -> None:
    first = crash_bench.submit()
    queue = JobQueue(crash_bench.queue_path)
    second = queue.submit("units", "{}", "bob")
    queue.close()
    crash_bench.start("after begin", "2").communicate(timeout=60)
    queue = JobQueue(crash_bench.queue_path)
    assert queue.get(second.id, "bob").position == 1  # bob was served less
    queue.close()
    crash_bench.finish()
    reader = JobReader(crash_bench.queue_path)
    assert reader.units(first, "ann")[2].facts == {"file": "00003.bin"}
    names = [
        str(unit.facts["file"])
        for job_id, owner in ((first, "ann"), (second.id, "bob"))
        for unit in reader.units(job_id, owner)
    ]
    reader.close()
    assert sorted(names) == [f"{number:05}.bin" for number in range(1, 17)]


def test_a_job_that_crashed_twice_is_parked_until_it_is_released(crash_bench: Bench) -> None:
    job_id = crash_bench.submit()
    for _ in range(2):
        process = crash_bench.start("after rename", "3")
        process.communicate(timeout=60)
        assert process.returncode == -9
    queue = JobQueue(crash_bench.queue_path)
    parked = queue.get(job_id, "ann")
    assert (parked.state, parked.crashes, parked.position) == (JobState.PARKED, 2, None)
    assert parked.error is not None
    assert "ended unexpectedly twice" in parked.error
    story = list(queue.subscribe(job_id, "ann"))
    assert (story[-1].type, story[-1].data) == (EventType.PARKED, {"error": parked.error})
    other = queue.submit("units", "{}", "ann")
    assert queue.get(other.id, "ann").position == 1
    released = queue.release(job_id, "ann")
    assert (released.state, released.crashes, released.error) == (JobState.QUEUED, 0, None)
    queue.cancel(other.id, "ann")
    queue.close()
    crash_bench.finish()
    crash_bench.assert_complete(job_id)


def test_a_job_that_was_asked_to_stop_is_not_resumed(crash_bench: Bench) -> None:
    job_id = crash_bench.submit()
    crash_bench.start("after finish", "1").communicate(timeout=60)
    script = (
        "import os, sys; from pathlib import Path; from webui.jobs import JobQueue\n"
        "queue = JobQueue(Path(sys.argv[1])); handle = queue.take(lambda: False)\n"
        "queue.cancel(handle.job.id, None); os.kill(os.getpid(), 9)"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(crash_bench.queue_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    queue = JobQueue(crash_bench.queue_path)
    assert queue.get(job_id, "ann").state is JobState.INTERRUPTED
    assert len(queue.units(job_id, "ann")) == 2
    queue.close()


def test_the_file_is_refused_while_a_living_process_holds_it(crash_bench: Bench) -> None:
    crash_bench.submit()
    script = (
        "import sys; from pathlib import Path; from webui.jobs import JobQueue\n"
        "queue = JobQueue(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(crash_bench.queue_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StorageError, match=rf"in use by another Easel \(process {holder.pid}\)"):
        JobQueue(crash_bench.queue_path)
    reader = JobReader(crash_bench.queue_path)
    assert len(reader.list_jobs(None)) == 1
    reader.close()
    holder.kill()
    holder.communicate(timeout=60)
    queue = JobQueue(crash_bench.queue_path)
    assert len(queue.list_jobs(None)) == 1
    queue.close()
