"""Server-sent events (WHATWG HTML §9.2): how a job's story and the status reach the page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.responses import StreamingResponse

from webui.images.codec import to_data_url
from webui.jobs.events import Subscription
from webui.jobs.job import Event, EventType

RETRY_MILLISECONDS = 2000
SILENCE_SECONDS = 15.0
"""A comment is sent after so much silence, so that both sides notice a dead connection."""


def encode(kind: str, data: Any, number: int | None = None) -> bytes:  # noqa: ANN401 - any JSON
    """One event. JSON has no raw line breaks, so that one `data:` line holds it."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def event_data(event: Event) -> dict[str, Any]:
    """A job event's facts for the page: a preview with its picture, an image without nesting."""
    data: dict[str, Any] = {"job": event.job_id, "time": event.time, **event.data}
    if event.blob is not None:
        data["picture"] = to_data_url(event.blob, str(event.data.get("media_type", "image/png")))
    if event.type is EventType.IMAGE:
        facts = data.pop("facts", {})
        data |= facts if isinstance(facts, dict) else {}
    return data


IsThere = Callable[[Mapping[str, Any]], bool]
"""Whether the file of a picture with these facts exists."""


async def encoded_events(subscription: Subscription, is_there: IsThere) -> AsyncIterator[bytes]:
    """A job's events as bytes; a comment where nothing happened for a while.

    Pictures whose files were deleted since are told with `is_gone`.
    """
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    async for event in subscription:
        if event.type is EventType.SILENCE:
            yield b": silence\n\n"
        else:
            data = event_data(event)
            if event.type is EventType.IMAGE and not is_there(data):
                data["is_gone"] = True
            yield encode(event.type.value, data, event.seq)


def stream(chunks: AsyncIterator[bytes]) -> StreamingResponse:
    """An answer that no proxy may hold back."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(chunks, media_type="text/event-stream", headers=headers)
