"""A client for Easel's job API in one file; needs Python's standard library alone.

easel = Easel("http://127.0.0.1:7860", key="easel_...")   # the key only where Easel has users
job = easel.submit({"prompt": "a red apple", "seed": {"seed": 7}})
for event in easel.events(job["id"]):
    print(event["event"], event["data"].get("step", ""))
for picture in easel.pictures(job["id"]):
    Path("apple.png").write_bytes(picture)
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

OVER = {"done", "failed", "interrupted", "parked"}


class EaselError(Exception):
    """Easel refused a request.

    Args:
        status: of HTTP; 429: the queue is full, wait `retry_after` seconds.
    """

    def __init__(self, status: int, sentence: str, retry_after: float | None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after


class Easel:
    """One Easel at an address.

    Args:
        key: an API key, made at /account.
    """

    def __init__(self, address: str, key: str | None = None, timeout_seconds: float = 60) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = timeout_seconds

    def submit(self, request: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """Put a job into the queue.

        Args:
            request: by name, see docs/api.md.
            key: the same key twice is the same job, so that a lost answer costs nothing.
        """
        headers = {"Content-Type": "application/json", "Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", "/jobs", json.dumps(request).encode(), headers)

    def upload(self, picture: bytes) -> str:
        """Send a picture file. Returns: its id, for `init.images` or `init.inpaint.mask`."""
        headers = {"Content-Type": "application/octet-stream"}
        return str(self._json("POST", "/pictures", picture, headers)["picture"])

    def job(self, job_id: str) -> dict[str, Any]:
        """State, place in the queue, progress, finished pictures."""
        return self._json("GET", f"/jobs/{job_id}")

    def cancel(self, job_id: str) -> dict[str, Any]:
        """End a job."""
        return self._json("DELETE", f"/jobs/{job_id}")

    def events(self, job_id: str) -> Iterator[dict[str, Any]]:
        """A job's events until it is over; lost connections are taken up again."""
        last, is_over = 0, False
        while not is_over:
            with self._open(
                "GET", f"/jobs/{job_id}/events", None, {"Last-Event-ID": str(last)}
            ) as answer:
                event: dict[str, Any] = {}
                for line in answer:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name == "id":
                        last = int(value)
                    elif name == "event":
                        event["event"] = value
                    elif name == "data":
                        event["data"] = json.loads(value)
                    elif not name and "data" in event:
                        yield event
                        is_over = event["event"] in OVER
                        event = {}

    def pictures(self, job_id: str) -> Iterator[bytes]:
        """The files of a job's finished pictures."""
        for image in self.job(job_id)["images"]:
            with self._open("GET", f"/jobs/{job_id}/images/{image['index']}") as answer:
                yield answer.read()

    def _json(self, *arguments: Any) -> dict[str, Any]:
        with self._open(*arguments) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def _open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        url = f"{self._address}/api/v1{path}"
        request = Request(url, body, {**self._headers, **(headers or {})}, method=method)
        try:
            return urlopen(request, timeout=self._timeout)
        except HTTPError as error:
            with error:
                problem = json.load(error)
                wait = error.headers.get("Retry-After")
            sentence = str(problem.get("errors") or problem.get("detail"))
            raise EaselError(error.code, sentence, float(wait) if wait else None) from None


def main() -> int:
    """``python easel_client.py ADDRESS PROMPT FILE``: one picture."""
    address, prompt, file = sys.argv[1:]
    easel = Easel(address)
    job = easel.submit({"prompt": prompt})
    for event in easel.events(job["id"]):
        if event["event"] in OVER:
            print(event["event"], event["data"].get("error") or "")
    for picture in easel.pictures(job["id"]):
        Path(file).write_bytes(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
