"""32 clients of two users against one Easel: nothing lost, a calm page, fair shares, full queue.

Prints what was measured and ends with 1 if a bound does not hold.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from tools.bench.start import ROOT, START_SECONDS
from webui.address import LOOPBACK, is_free

USERS = {"ann": ("ann", "ann-secret"), "bob": ("bob", "bob-secret")}
CLIENTS = {"ann": 24, "bob": 8}
BODY = {"prompt": "a cat", "width": 128, "height": 128, "steps": 4, "sampler": "Euler"}
MAX_ANSWER_SECONDS = 0.1
MAX_UNFAIR = 0.1
SURPLUS = 260
"""More jobs than one user may have waiting."""


@dataclass
class Watched:
    """What the watching threads saw."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_bytes: int = 0
    is_over: bool = False


def main(arguments: Sequence[str]) -> int:
    """Start an Easel, load it, tell what happened."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench api", description=__doc__)
    parser.add_argument("--jobs", type=int, default=6, help="of each client")
    jobs = parser.parse_args(arguments).jobs
    port = next(port for port in range(8800, 8900) if is_free(LOOPBACK, port))
    with tempfile.TemporaryDirectory() as data:
        users = [f"--auth={name}:{password}" for name, password in USERS.values()]
        command = [sys.executable, "app.py", "--no-browser", f"--port={port}", *users]
        with subprocess.Popen(
            [*command, f"--data-dir={data}"], cwd=ROOT, stdout=subprocess.DEVNULL
        ) as process:
            try:
                return _measure(f"http://{LOOPBACK}:{port}", process, jobs)
            finally:
                process.terminate()


def _measure(address: str, process: subprocess.Popen[bytes], jobs: int) -> int:
    with httpx.Client(base_url=address, auth=USERS["ann"], timeout=120) as client:
        _wait_until_ready(client)
        first = _submitted(client)  # loads the model
        _wait_for(client, first)
        watched = Watched()
        watchers = [
            threading.Thread(target=_watch, args=(address, path, process.pid, watched))
            for path in ("/", "/sdapi/v1/progress", "/internal/ping")
        ]
        for thread in watchers:
            thread.start()
        began = time.time()
        with ThreadPoolExecutor(sum(CLIENTS.values())) as pool:
            running = [
                pool.submit(_client, address, user, jobs)
                for user, count in CLIENTS.items()
                for _ in range(count)
            ]
            done = [job for one in running for job in one.result()]
        watched.is_over = True
        for thread in watchers:
            thread.join()
        refused = _overfill(client)
    return _report(done, watched, refused, time.time() - began, sum(CLIENTS.values()) * jobs)


def _wait_until_ready(client: httpx.Client) -> None:
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        try:
            if client.get("/internal/status").json()["model"]["state"] == "ready":
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError("Easel did not start")


def _client(address: str, user: str, jobs: int) -> list[tuple[str, dict[str, Any]]]:
    """Submit all at once, as a script does, then wait for each."""
    with httpx.Client(base_url=address, auth=USERS[user], timeout=120) as client:
        ids = [_submitted(client) for _ in range(jobs)]
        return [(user, _wait_for(client, one)) for one in ids]


def _submitted(client: httpx.Client) -> str:
    answer = client.post("/api/v1/jobs", json=BODY)
    return str(answer.raise_for_status().json()["id"])


def _wait_for(client: httpx.Client, job: str) -> dict[str, Any]:
    with client.stream("GET", f"/api/v1/jobs/{job}/events", timeout=None) as answer:
        for _ in answer.iter_bytes():
            pass
    found: dict[str, Any] = client.get(f"/api/v1/jobs/{job}").json()
    return found


def _watch(address: str, path: str, pid: int, watched: Watched) -> None:
    process = psutil.Process(pid)
    times = watched.seconds.setdefault(path, [])
    with httpx.Client(base_url=address, auth=USERS["bob"], timeout=120) as client:
        while not watched.is_over:
            began = time.perf_counter()
            client.get(path).raise_for_status()
            times.append(time.perf_counter() - began)
            watched.peak_bytes = max(watched.peak_bytes, process.memory_info().rss)
            time.sleep(0.2)


def _overfill(client: httpx.Client) -> httpx.Response | None:
    """Submit more jobs than may wait, then cancel them. Returns: the first refusal."""
    refused, ids = None, []
    for _ in range(SURPLUS):
        answer = client.post("/api/v1/jobs", json=BODY | {"steps": 50})
        if answer.status_code == 429:
            refused = answer
            break
        ids.append(answer.json()["id"])
    for one in reversed(ids):
        client.delete(f"/api/v1/jobs/{one}")
    return refused


def _share(done: list[tuple[str, dict[str, Any]]]) -> float:
    """The part of the time that went to bob while both had jobs waiting."""
    end = min(max(j["finished"] for u, j in done if u == user) for user in USERS)
    start = max(min(j["created"] for u, j in done if u == user) for user in USERS)
    seconds = dict.fromkeys(USERS, 0.0)
    for user, job in done:
        if start <= job["started"] and job["finished"] <= end:
            seconds[user] += job["finished"] - job["started"]
    return seconds["bob"] / sum(seconds.values())


def _report(
    done: list[tuple[str, dict[str, Any]]],
    watched: Watched,
    refused: httpx.Response | None,
    seconds: float,
    expected: int,
) -> int:
    finished = sum(job["state"] == "done" and len(job["images"]) > 0 for _, job in done)
    share = _share(done)
    retry = refused.headers.get("Retry-After") if refused is not None else None
    peak = watched.peak_bytes >> 20
    print(f"{finished} of {expected} jobs done in {seconds:.1f} s; at most {peak} MiB")
    print(f"share of the fewer clients: {share:.0%}; full queue: Retry-After {retry}")
    holds = [finished == expected, abs(share - 0.5) <= MAX_UNFAIR / 2, retry is not None]
    for path, times in watched.seconds.items():
        late = statistics.quantiles(times, n=100)[94]
        print(f"{path}: median {statistics.median(times) * 1000:.0f} ms, 95 % {late * 1000:.0f} ms")
        holds.append(late <= MAX_ANSWER_SECONDS)
    return 0 if all(holds) else 1
