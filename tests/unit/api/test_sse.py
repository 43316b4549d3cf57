from __future__ import annotations

import json

from webui.api.sse import encode, event_data
from webui.jobs.job import Event, EventType, JsonObject


def test_an_event_is_one_data_line() -> None:
    text = encode("image", {"infotext": "a\nb\r\nc\u2028"}, 7).decode()
    assert text.startswith("id: 7\nevent: image\ndata: ")
    assert text.endswith("\n\n")
    assert text.count("\n") == 4
    assert json.loads(text.split("data: ", 1)[1])["infotext"] == "a\nb\r\nc\u2028"


def test_preview_carries_its_picture() -> None:
    event = Event(
        "j", 3, 0.0, EventType.PREVIEW, {"number": 2, "media_type": "image/jpeg"}, blob=b"x"
    )
    assert event_data(event)["picture"] == "data:image/jpeg;base64,eA=="


def test_image_facts_are_not_nested() -> None:
    data: JsonObject = {"index": 1, "facts": {"kind": "image", "seed": 5}}
    found = event_data(Event("j", 3, 0.0, EventType.IMAGE, data))
    assert (found["index"], found["kind"], found["seed"]) == (1, "image", 5)
    assert "facts" not in found
