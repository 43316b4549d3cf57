from __future__ import annotations

import pytest

from tests.e2e.driver import Driver

SMALL = {"steps": 2, "width": 64, "height": 64, "batch_count": 1, "batch_size": 1, "seed": 3}
PAYLOADS = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "</template><iframe srcdoc='<script>alert(1)</script>'>",
    "javascript:alert(1)",
    "{{7*7}}${alert(1)}",
)


def test_a_prompt_is_shown_as_text(easel: Driver) -> None:
    text = " ".join(PAYLOADS)
    easel.prompt(text)
    easel.configure(SMALL)
    assert easel.generate()["state"] == "done"
    easel.wait_picture()
    assert easel.info()["Prompt"] == text
    panel = easel.results()
    assert panel.locator("script, iframe, .er-info img").count() == 0
    easel.show("pnginfo")
    easel.page.locator("#pnginfo_image input[type=file]").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": easel.picture_bytes()}
    )
    info = easel.page.locator("#pnginfo_html_info")
    info.get_by_text("onerror", exact=False).first.wait_for()
    assert info.locator("script, iframe, img, svg[onload]").count() == 0


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_other_pages_cannot_act(easel: Driver, origin: str) -> None:
    for path in ("/", "/config", "/sdapi/v1/options", "/gradio_api/queue/join", "/internal/status"):
        for method in ("GET", "POST"):
            answer = easel.page.request.fetch(
                easel.server + path, method=method, headers={"Origin": origin}
            )
            assert answer.status == 403, (path, method)
            assert "access-control-allow-origin" not in answer.headers


def test_the_page_keeps_to_itself(easel: Driver) -> None:
    answer = easel.page.request.get(easel.server)
    assert answer.status == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/gradio_api/runs", "/monitoring"):
        assert easel.page.request.get(easel.server + path).status in (403, 404, 405)
