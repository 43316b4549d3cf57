"""The page in the words of its users. Every wait is for a state, never for a time."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Locator, Page

_COUNT_ENDS = """() => {
  window.__ends = [];
  window.easel.v1.job.on('end', (event) => window.__ends.push(event));
}"""
_IS_READY = """() => window.easel && window.EASEL?.settings?.theme
  && document.querySelector('#txt2img_prompt textarea')
  && document.querySelector('easel-results')"""
_DROP = """(data) => {
  const bytes = Uint8Array.from(atob(data.content), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], data.name, { type: data.type }));
  return transfer;
}"""


class Driver:
    """A page that is open."""

    def __init__(self, page: Page, server: str) -> None:
        self.page = page
        self.server = server

    # Opening.

    def load(self) -> None:
        """Go to the page and wait until it can be used."""
        self.page.goto(self.server)
        self._ready()

    def reload(self) -> None:
        self.page.reload()
        self._ready()

    def _ready(self) -> None:
        self.page.wait_for_function(_IS_READY)
        self.page.evaluate(_COUNT_ENDS)

    def show(self, tab: str) -> None:
        """Open a tab."""
        self.page.locator(f"#tab_{tab}-button").first.click()
        self.page.locator(f"#tab_{tab}").wait_for(state="visible")

    # Fields.

    def prompt(self, text: str, tab: str = "txt2img") -> None:
        self.page.locator(f"#{tab}_prompt textarea").fill(text)

    def prompt_text(self, tab: str = "txt2img") -> str:
        return self.page.locator(f"#{tab}_prompt textarea").input_value()

    def set_number(self, elem_id: str, value: float) -> None:
        """Type into a number field, or the number field of a slider."""
        field = self.page.locator(f"#{elem_id} input[type=number]").first
        field.fill(str(value))
        field.blur()

    def number(self, elem_id: str) -> float:
        return float(self.page.locator(f"#{elem_id} input[type=number]").first.input_value())

    def configure(self, values: Mapping[str, float], tab: str = "txt2img") -> None:
        """Set several number fields: `configure({"steps": 4})`."""
        for name, value in values.items():
            self.set_number(f"{tab}_{name}", value)

    def wait_for_number(self, elem_id: str, value: float) -> None:
        self.page.wait_for_function(
            "([id, value]) => Number(document.querySelector(`#${id} input[type=number]`)?.value)"
            " === value",
            arg=[elem_id, value],
        )

    def wait_for_prompt(self, text: str, tab: str = "txt2img") -> None:
        self.page.wait_for_function(
            "([id, text]) => document.querySelector(`#${id} textarea`)?.value === text",
            arg=[f"{tab}_prompt", text],
        )

    # Jobs.

    def results(self, tab: str = "txt2img") -> Locator:
        return self.page.locator(f"easel-results[data-tab={tab}]")

    def start(self, tab: str = "txt2img") -> None:
        """Press Generate and wait until something runs."""
        self.page.locator(f"#{tab}_generate").click()
        self.wait_state("running", tab)

    def wait_state(self, state: str, tab: str = "txt2img") -> None:
        self.page.locator(f"easel-results[data-tab={tab}][data-state={state}]").wait_for()

    def wait_first_step(self, tab: str = "txt2img") -> None:
        """Wait until the running job has done a step."""
        self.wait_state("running", tab)
        self.page.wait_for_function(
            "(tab) => Number(document.querySelector(`easel-results[data-tab=${tab}] .er-progress`)"
            ".style.getPropertyValue('--er-progress')) > 0",
            arg=tab,
        )

    def ends(self) -> list[dict[str, Any]]:
        """How the jobs ended that this page has followed since it was loaded."""
        found: list[dict[str, Any]] = self.page.evaluate("window.__ends")
        return found

    def wait_ends(self, count: int) -> dict[str, Any]:
        """Wait until so many jobs have ended; returns the last end."""
        self.page.wait_for_function("(count) => window.__ends.length >= count", arg=count)
        return self.ends()[-1]

    def generate(self, tab: str = "txt2img") -> dict[str, Any]:
        """Press Generate and wait for the end."""
        before = len(self.ends())
        self.page.locator(f"#{tab}_generate").click()
        end = self.wait_ends(before + 1)
        self.page.locator(f"#{tab}_generate_box[data-state=idle]").wait_for()
        return end

    def stop(self, tab: str = "txt2img") -> None:
        """End the running job at once, whatever it is."""
        before = len(self.ends())
        self.page.evaluate(
            "async (tab) => { const jobs = await (await fetch('internal/jobs?state=running"
            "&state=loading&state=queued')).json(); for (const job of jobs) "
            "await fetch(`internal/jobs/${job.id}/cancel`, {method: 'POST'}); }",
            tab,
        )
        self.wait_ends(before + 1)

    def picture(self, tab: str = "txt2img") -> Locator:
        return self.results(tab).locator(".er-picture")

    def thumbs(self, tab: str = "txt2img") -> Locator:
        return self.results(tab).locator(".er-thumb")

    def wait_picture(self, tab: str = "txt2img") -> tuple[int, int]:
        """Wait until the big picture is there; returns its true size."""
        self.page.wait_for_function(
            "(tab) => document.querySelector(`easel-results[data-tab=${tab}] .er-picture`)"
            "?.naturalWidth > 0",
            arg=tab,
        )
        size: list[int] = self.picture(tab).evaluate("(e) => [e.naturalWidth, e.naturalHeight]")
        return size[0], size[1]

    def selected(self, tab: str = "txt2img") -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("(tab) => window.easel.v1.selected(tab)", tab)
        return found

    def picture_bytes(self, tab: str = "txt2img") -> bytes:
        """The selected picture's file."""
        chosen = self.selected(tab)
        url = f"{self.server}/internal/jobs/{chosen['job']}/images/{chosen['index']}"
        return self.page.request.get(url).body()

    def info(self, tab: str = "txt2img") -> dict[str, str]:
        """The rows of the infotext's table."""
        rows = self.results(tab).locator(".er-info tr")
        cells: list[tuple[str, str]] = rows.evaluate_all(
            "(rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent))"
        )
        return dict(cells)

    # Dropping.

    def drop(
        self, selector: str, content: bytes, name: str = "x.png", kind: str = "image/png"
    ) -> None:
        """Drop a file onto an element."""
        data = {"content": base64.b64encode(content).decode(), "name": name, "type": kind}
        transfer = self.page.evaluate_handle(_DROP, data)
        target = self.page.locator(selector).first
        for event in ("dragenter", "dragover", "drop"):
            target.dispatch_event(event, {"dataTransfer": transfer})

    def paste(self, selector: str, content: bytes, kind: str = "image/png") -> None:
        """Paste a file from the clipboard."""
        data = {"content": base64.b64encode(content).decode(), "name": "x.png", "type": kind}
        transfer = self.page.evaluate_handle(_DROP, data)
        self.page.locator(selector).first.evaluate(
            "(target, clipboardData) => target.dispatchEvent(new ClipboardEvent('paste',"
            " {clipboardData, bubbles: true, cancelable: true}))",
            transfer,
        )

    def get_json(self, path: str) -> Any:
        return json.loads(self.page.request.get(f"{self.server}/{path}").text())
