"""kill -9 in the middle of a batch: the next start finishes it, byte for byte as if unbroken."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny.services.conftest import start
from webui.jobs.job import EventType, JobState
from webui.services import OWNER_LOCAL

ROOT = Path(__file__).resolve().parents[3]
CHILD = """
import sys
from pathlib import Path
from tests.tiny.services.conftest import start
from tests.tiny.services.test_generation import SMALL
from dataclasses import replace
from webui.services import OWNER_LOCAL

data, checkpoints, submit = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "submit"
services = start(data, checkpoints)
if submit:
    request = replace(SMALL, batch_count=8, steps=6)
    print(services.submit(request, OWNER_LOCAL).id, flush=True)
for job in services.queue.list_jobs(OWNER_LOCAL):
    for event in services.queue.subscribe(job.id, OWNER_LOCAL):
        print(event.type, flush=True)
services.stop()
"""


def child(data: Path, checkpoints: Path, task: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(data), str(checkpoints), task],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def files(data: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(data)): path.read_bytes()
        for path in sorted((data / "outputs").rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def unbroken(tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    data = tmp_path_factory.mktemp("unbroken")
    with child(data, tiny_checkpoints, "submit") as process:
        process.communicate(timeout=300)
    made = files(data)
    assert len(made) == 9  # eight pictures and their grid
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_batch_is_finished_with_the_same_bytes(
    tiny_checkpoints: Path, tmp_path: Path, unbroken: dict[str, bytes], seed: int
) -> None:
    chance = random.Random(seed)
    with child(tmp_path, tiny_checkpoints, "submit") as process:
        assert process.stdout is not None
        for _ in zip(range(chance.randrange(5, 40)), process.stdout, strict=False):
            pass
        time.sleep(chance.random() * 0.05)
        process.send_signal(signal.SIGKILL)
    before = set(files(tmp_path))

    with child(tmp_path, tiny_checkpoints, "finish") as process:
        process.communicate(timeout=300)

    after = files(tmp_path)
    assert before <= set(after)
    assert after == unbroken


def test_a_job_that_killed_easel_twice_is_parked(tiny_checkpoints: Path, tmp_path: Path) -> None:
    for task in ("submit", "finish"):
        with child(tmp_path, tiny_checkpoints, task) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() == EventType.STEP:
                    break
            process.send_signal(signal.SIGKILL)
    services = start(tmp_path, tiny_checkpoints)
    try:
        (job,) = services.queue.list_jobs(OWNER_LOCAL)
        assert job.state is JobState.PARKED
        assert job.error
        assert json.loads(job.payload)["batch_count"] == 8
    finally:
        services.stop()
