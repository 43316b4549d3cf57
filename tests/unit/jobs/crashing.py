"""A process that makes the eight units of a job as files; tests kill it, or tell it where to die.

Usage: python crashing.py QUEUE FOLDER [POINT INDEX]
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from webui.jobs import EventType, JobHandle, JobQueue, JobState, Worker

UNITS = 8
Die = Callable[[str, int], None]


def content(seed: str, index: int) -> bytes:
    """What unit `index` must hold."""
    return hashlib.sha256(f"{seed} {index}".encode()).digest() * 1000


def free_name(folder: Path, reserved: set[str]) -> str:
    """The next number that is neither on disk nor promised to another job."""
    number = 1
    while f"{number:05}.bin" in reserved or (folder / f"{number:05}.bin").exists():
        number += 1
    return f"{number:05}.bin"


def make_units(job: JobHandle, folder: Path, die: Die) -> str:
    """The runner: follows the protocol of docs/jobs.md."""
    seed = job.remember(str(random.SystemRandom().random()))
    for index in range(UNITS):
        if index in job.finished:
            continue
        job.start_batch(index, UNITS)
        for step in range(1, 4):
            time.sleep(0.001)
            job.step(step, 3)
        held = [*job.reserved_elsewhere(), *job.begun.values()]
        name = free_name(folder, {str(facts["file"]) for facts in held})
        die("before begin", index)
        facts = job.begin_unit(index, {"file": name})
        die("after begin", index)
        path = folder / str(facts["file"])
        part = path.with_suffix(".part")
        part.write_bytes(content(seed, index))
        die("before rename", index)
        part.replace(path)
        die("after rename", index)
        job.finish_unit(index, facts)
        die("after finish", index)
    return seed


def main() -> None:
    queue_path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    point, place = (sys.argv[3], int(sys.argv[4])) if len(sys.argv) > 3 else ("", -1)

    def die(here: str, index: int) -> None:
        if (here, index) == (point, place):
            os.kill(os.getpid(), signal.SIGKILL)

    queue = JobQueue(queue_path)
    worker = Worker(queue, lambda job: make_units(job, folder, die))
    worker.start()
    print("ready", flush=True)
    for job in queue.list_jobs(None, [JobState.QUEUED, JobState.LOADING, JobState.RUNNING]):
        for event in queue.subscribe(job.id, None):
            if event.type is EventType.IMAGE:
                print("unit", flush=True)
    worker.stop()
    queue.close()


if __name__ == "__main__":
    main()
