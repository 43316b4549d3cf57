from __future__ import annotations

from playwright.sync_api import Browser

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


def test_other_pages_cannot_act(browser: Browser, server: str) -> None:
    context = browser.new_context()
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        for path in (
            "/",
            "/config",
            "/sdapi/v1/options",
            "/gradio_api/queue/join",
            "/internal/status",
        ):
            for method in ("GET", "POST"):
                headers = {"Origin": origin}
                answer = context.request.fetch(server + path, method=method, headers=headers)
                assert answer.status == 403, (origin, method, path)
                assert "access-control-allow-origin" not in answer.headers
    context.close()


def test_the_page_keeps_to_itself(browser: Browser, server: str) -> None:
    context = browser.new_context()
    answer = context.request.get(server)
    assert answer.status == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/gradio_api/runs", "/monitoring"):
        assert context.request.get(server + path).status in (403, 404, 405)
    context.close()
