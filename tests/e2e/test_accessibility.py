from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.driver import Driver

Open = Callable[..., Driver]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
TABS = ("txt2img", "img2img", "inpaint", "pnginfo", "settings")
_RUN = """async () => {
  const found = await window.axe.run(document, {resultTypes: ['violations']});
  const grave = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
  const part = (one) => one.nodes.slice(0, 4).map((node) => node.html.slice(0, 160)).join(' | ');
  return grave.map((one) => `${one.id}: ${part(one)}`);
}"""


def findings(easel: Driver) -> list[str]:
    """Serious and critical findings on the page as it stands."""
    if not easel.page.evaluate("() => Boolean(window.axe)"):
        easel.page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = easel.page.evaluate(_RUN)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_findings(open_page: Open, scheme: Any) -> None:
    easel = open_page(color_scheme=scheme)
    easel.prompt("something to look at")
    easel.configure({"steps": 2, "width": 64, "height": 64, "batch_count": 1, "batch_size": 2})
    easel.generate()
    easel.wait_picture()
    found = {}
    for tab in TABS:
        easel.show(tab)
        found[tab] = findings(easel)
    easel.show("txt2img")
    easel.results().locator(".er-open").click()
    easel.page.locator("dialog.er-lightbox").wait_for()
    found["viewer"] = findings(easel)
    easel.page.keyboard.press("Escape")
    easel.page.locator("#easel_shortcuts").click()
    found["shortcuts"] = findings(easel)
    assert {place: problems for place, problems in found.items() if problems} == {}


def test_no_serious_findings_on_a_phone(open_page: Open) -> None:
    easel = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert findings(easel) == []
