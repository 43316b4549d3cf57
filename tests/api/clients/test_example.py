"""The client of docs/examples, over a real port."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

FILE = Path(__file__).parents[3] / "docs" / "examples" / "easel_client.py"


@pytest.fixture(scope="module")
def client() -> Any:
    spec = importlib.util.spec_from_file_location("easel_client", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TINY = {"width": 64, "height": 64, "steps": 2, "sampler": "Euler"}


def test_a_job_from_beginning_to_end(client: Any, port: int) -> None:
    easel = client.Easel(f"http://127.0.0.1:{port}")
    wanted = {"prompt": "a cat", "nosuch": 1, **TINY}
    job = easel.submit(wanted, key="once")
    assert job["warnings"] == ["The field 'nosuch' is not known."]
    events = [event["event"] for event in easel.events(job["id"])]
    assert events[0] == "queued" and events[-1] == "done" and "image" in events
    [picture] = easel.pictures(job["id"])
    assert Image.open(io.BytesIO(picture)).size == (64, 64)
    assert easel.submit(wanted, key="once")["id"] == job["id"]
    with pytest.raises(client.EaselError) as error:
        easel.submit(wanted | {"prompt": "a dog"}, key="once")
    assert error.value.status == 422
    uploaded = easel.upload(picture)
    again = easel.submit({**TINY, "init": {"images": [uploaded], "denoising_strength": 0.5}})
    assert [e["event"] for e in easel.events(again["id"])][-1] == "done"
    assert easel.cancel(again["id"])["state"] == "done"
    assert easel.job(again["id"])["images"][0]["width"] == 64
    with pytest.raises(client.EaselError) as error:
        easel.job("0" * 32)
    assert error.value.status == 404
