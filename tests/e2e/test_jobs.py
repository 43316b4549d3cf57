from __future__ import annotations

from collections.abc import Callable

from tests.e2e.driver import Driver

Open = Callable[..., Driver]
LONG = {"steps": 150, "width": 256, "height": 256, "batch_count": 4, "batch_size": 1, "seed": 1}


def begin_long(easel: Driver, **values: float) -> None:
    easel.prompt("a long job")
    easel.configure(LONG | values)
    easel.start()
    easel.wait_first_step()


def test_reload_attaches_to_the_running_job(easel: Driver) -> None:
    begin_long(easel)
    easel.reload()
    easel.wait_first_step()
    easel.page.locator("#txt2img_generate_box[data-state=running]").wait_for()
    assert easel.prompt_text() == "a long job"
    easel.stop()
    easel.wait_state("interrupted")


def test_a_second_device_sees_and_stops_the_job(easel: Driver, open_page: Open) -> None:
    other = open_page()
    begin_long(easel)
    other.wait_first_step()
    other.page.locator("#txt2img_interrupt").click()
    other.page.locator("#txt2img_interrupt").click()
    assert other.wait_ends(1)["state"] == "interrupted"
    assert easel.wait_ends(1)["state"] == "interrupted"
    easel.page.locator("#txt2img_generate_box[data-state=idle]").wait_for()


def test_first_interrupt_waits_for_the_picture(easel: Driver) -> None:
    begin_long(easel, steps=12, batch_count=6, width=128, height=128)
    easel.page.locator("#txt2img_interrupt").click()
    easel.page.locator(".easel-toast").first.wait_for()
    assert easel.wait_ends(1)["state"] == "interrupted"
    easel.wait_picture()
    job = easel.get_json(f"internal/jobs/{easel.selected()['job']}")
    pictures = [image for image in job["images"] if image["kind"] == "image"]
    assert 1 <= len(pictures) < 6


def test_second_interrupt_stops_at_once(easel: Driver) -> None:
    begin_long(easel)
    easel.page.locator("#txt2img_interrupt").click()
    easel.page.locator("#txt2img_generate_box[data-state=stopping]").wait_for()
    easel.page.locator("#txt2img_interrupt").click()
    end = easel.wait_ends(1)
    assert end["state"] == "interrupted"
    job = easel.get_json(f"internal/jobs/{end['job']}")
    assert len([image for image in job["images"] if image["kind"] == "image"]) <= 1


def test_skip_goes_on_with_the_next_batch(easel: Driver) -> None:
    begin_long(easel, steps=24, batch_count=2, width=128, height=128)
    easel.page.locator("#txt2img_skip").click()
    easel.page.wait_for_function(
        "() => document.querySelector('easel-results[data-tab=txt2img] .er-progress-text')"
        ".textContent.includes('2')"
    )
    end = easel.wait_ends(1)
    assert end["state"] == "done"
    job = easel.get_json(f"internal/jobs/{end['job']}")
    assert [image["seed"] for image in job["images"] if image["kind"] == "image"] == [2]


def test_a_waiting_job_is_shown_and_cancelled(easel: Driver) -> None:
    begin_long(easel)
    easel.show("img2img")
    waiting = easel.page.evaluate(
        """async () => {
      const body = {prompt: 'x', steps: 2, width: 64, height: 64, force_task_id: 'waiting-one'};
      fetch('sdapi/v1/txt2img', {method: 'POST', headers: {'Content-Type': 'application/json'},
        body: JSON.stringify(body)});
      for (;;) {
        const status = await (await fetch('internal/status')).json();
        if (status.queue.waiting) return status.queue.waiting;
      }
    }"""
    )
    assert waiting == 1
    easel.page.locator("#easel_queue", has_text="1 waiting").wait_for()
    easel.stop()
    easel.page.wait_for_function(
        "() => document.querySelector('#easel_queue').textContent.trim() === ''"
    )


def test_results_survive_reload(easel: Driver) -> None:
    easel.prompt("to be found again")
    easel.configure(LONG | {"steps": 3, "batch_count": 1, "width": 64, "height": 64})
    easel.generate()
    easel.wait_picture()
    chosen = easel.selected()
    easel.reload()
    easel.wait_picture()
    assert easel.selected() == chosen
    assert easel.info()["Prompt"] == "to be found again"
