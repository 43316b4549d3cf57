from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from webui.flags import Flags
from webui.jobs.job import Event, EventType, Job, Unit
from webui.paths import make_paths
from webui.request import GenerationRequest
from webui.services import OWNER_LOCAL, Services, build


class Studio:
    """A running Easel on the small checkpoints, without page and network."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def follow(self, job: Job) -> list[Event]:
        """Wait until a job is over; its durable events."""
        subscription = self.services.queue.subscribe(job.id, OWNER_LOCAL, timeout_seconds=60)
        return [event for event in subscription if event.durable]

    def make(self, request: GenerationRequest) -> list[Unit]:
        """Submit a request and return its finished units."""
        job = self.services.submit(request, OWNER_LOCAL)
        events = self.follow(job)
        assert events[-1].type is EventType.DONE, events[-1].data
        return self.units(job)

    def units(self, job: Job) -> list[Unit]:
        units = self.services.queue.units(job.id, OWNER_LOCAL)
        return [unit for unit in units if unit.finished]

    def content(self, unit: Unit) -> bytes:
        return self.services.result_bytes(unit.facts)


def start(data: Path, checkpoints: Path, **changes: object) -> Services:
    flags = Flags(
        checkpoint_dir=(checkpoints,), checkpoint="tinyA.safetensors", dtype="float32", threads=1
    )
    services = build(flags, make_paths(data))
    services.settings.update({"live_previews_enable": False, **changes})
    services.start_working()
    return services


@pytest.fixture
def open_studio(tiny_checkpoints: Path, tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    """Start an Easel in a folder of its own; settings as keywords."""
    running: list[Services] = []

    def opened(**changes: object) -> Studio:
        running.append(start(tmp_path / "data", tiny_checkpoints, **changes))
        return Studio(running[-1])

    yield opened
    for services in running:
        services.stop()
