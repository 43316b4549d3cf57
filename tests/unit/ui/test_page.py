from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from tests.unit.ui.conftest import close, in_loop
from webui.errors import ModelNotFound
from webui.flags import Flags
from webui.paths import make_paths
from webui.request import from_json
from webui.services import Services, build
from webui.settings import Settings, sections
from webui.ui import header
from webui.ui.app import Page, head
from webui.ui.commands import answer
from webui.ui.drafts import recall, remember
from webui.ui.forms.generation import TABS, Tab, control_names, defaults
from webui.ui.loading import PageEvents
from webui.ui.messages import Toasts
from webui.ui.tabs import img2img, inpaint, png_info, settings, txt2img
from webui.ui.tabs.generation import GenerationTab, submit_event
from webui.ui.tabs.settings import IN_HEADER, SettingsEvents, SettingsTab
from webui.ui.widgets.hidden import Wires, hidden
from webui.ui.widgets.styles import StyleEvents, draw_dialog

DRAWERS = {"txt2img": txt2img.draw, "img2img": img2img.draw, "inpaint": inpaint.draw}

A1111_IDS = """
tabs setting_sd_model_checkpoint refresh_sd_model_checkpoint quicksettings txt2img_prompt
txt2img_neg_prompt txt2img_generate txt2img_interrupt txt2img_skip txt2img_token_counter
txt2img_negative_token_counter txt2img_styles txt2img_toprow txt2img_styles_edit_button
txt2img_clear_prompt txt2img_sampling txt2img_scheduler txt2img_steps txt2img_width
txt2img_height txt2img_res_switch_btn txt2img_batch_count txt2img_batch_size txt2img_cfg_scale
txt2img_seed txt2img_random_seed txt2img_reuse_seed txt2img_subseed_show txt2img_subseed
txt2img_subseed_strength txt2img_random_subseed txt2img_reuse_subseed txt2img_seed_resize_from_w
txt2img_seed_resize_from_h txt2img_hr txt2img_hr_upscaler txt2img_hires_steps
txt2img_denoising_strength txt2img_hr_scale txt2img_hr_resize_x txt2img_hr_resize_y
hr_checkpoint hr_sampler hr_scheduler hires_prompt hires_neg_prompt txt2img_enable
txt2img_checkpoint txt2img_switch_at txt2img_results txt2img_override_settings img2img_prompt
img2img_neg_prompt img2img_generate img2img_image img2img_sketch img2img_batch_upload
mode_img2img img2img_resize_mode img2img_scale img2img_denoising_strength
img2img_detect_image_size_btn img2img_results img2maskimg inpaint_sketch img_inpaint_base
img_inpaint_mask img2img_mask_blur img2img_mask_alpha img2img_mask_mode img2img_inpainting_fill
img2img_inpaint_full_res img2img_inpaint_full_res_padding pnginfo_image settings_search
setting_samples_save
"""


def ids(page: Page) -> Counter[str]:
    found = (getattr(block, "elem_id", None) for block in page.blocks.blocks.values())
    return Counter(elem_id for elem_id in found if elem_id)


def test_no_element_id_is_given_twice(page: Page) -> None:
    assert [elem_id for elem_id, count in ids(page).items() if count > 1] == []


def test_a1111s_element_ids_are_there(page: Page) -> None:
    assert sorted(set(A1111_IDS.split()) - set(ids(page))) == []


def test_nothing_of_gradios_own_is_offered(page: Page) -> None:
    arguments = page.mount_arguments()
    assert arguments["footer_links"] == []
    assert arguments["run_history"] is False
    assert arguments["enable_monitoring"] is False
    assert page.blocks.analytics_enabled is False
    public = [fn.api_name for fn in page.blocks.fns.values() if fn.api_visibility == "public"]
    assert public == []


def test_the_head_tells_the_browser_where_each_field_is(page: Page) -> None:
    text = page.head.split("window.EASEL = ", 1)[1].split(";</script>", 1)[0]
    facts = json.loads(text.replace("<\\/", "</"))
    assert facts["fields"]["txt2img"]["hires.scale"] == "txt2img_hr_scale"
    assert facts["locales"]["ko"].keys() == facts["locales"]["en"].keys()
    known = ids(page)
    missing = [
        elem_id
        for tab, fields in facts["fields"].items()
        for name, elem_id in fields.items()
        if elem_id not in known and name in control_names(tab)
    ]
    assert missing == []
    for script in ("boot.js", "easel.js"):
        assert f'src="./internal/assets/{script}"' in page.head


def test_a_closing_tag_in_a_sentence_cannot_end_the_script(services: Services) -> None:
    assert "</script><script>" not in head(services, {}).replace("</script><script ", "")


def request_of(**cookies: str) -> gr.Request:
    return gr.Request(headers={}, cookies=cookies)


def said(updates: dict[Any, Any], toasts: Toasts) -> str:
    """The note that an event shows."""
    return str(json.loads(updates[toasts.field])["text"])


def drawn(services: Services, name: Tab) -> GenerationTab:
    def draw() -> GenerationTab:
        with gr.Blocks():
            return DRAWERS[name](services, Wires.draw(name, Toasts.draw()))

    return in_loop(draw)


def given(tab: GenerationTab, **changes: Any) -> dict[Any, Any]:
    """What an event hands in: the fresh page's values, some changed (by control name)."""
    values = defaults(tab.form.tab) | {"width": 128, "height": 128} | changes
    found = {control: values[name] for name, control in tab.form.controls.items()}
    found |= {c: getattr(c, "value", None) for c in tab.pictures.components}
    return found | {tab.wires.command: ""}


@pytest.mark.parametrize("name", TABS)
def test_every_control_of_the_form_is_drawn(services: Services, name: Tab) -> None:
    pictures = {"init.images", "init.inpaint.mask"}
    assert set(drawn(services, name).form.controls) == set(control_names(name)) - pictures


def test_generate_puts_a_job_into_the_queue(services: Services) -> None:
    tab = drawn(services, "txt2img")
    values = given(tab, prompt="a red apple", **{"seed.seed": 7})
    jobs, problem = submit_event(services, tab)(values, request_of())
    assert problem == ""
    (alias,) = json.loads(jobs)
    job = services.queue.get(alias, "local")
    request = from_json(job.payload)
    assert alias.startswith("txt2img-")
    assert (request.prompt, request.seed.seed, request.size) == ("a red apple", 7, (128, 128))


def test_a_refusal_names_field_and_reason(services: Services) -> None:
    tab = drawn(services, "txt2img")
    jobs, problem = submit_event(services, tab)(given(tab, width=333), request_of())
    assert json.loads(jobs) == []
    assert json.loads(problem)["field"] == "width"
    assert "multiple of 8" in json.loads(problem)["text"]
    assert services.queue.list_jobs("local") == []


@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "Load a picture first."), ("ko", "먼저 이미지를 불러오세요.")]
)
@pytest.mark.parametrize("name", ["img2img", "inpaint"])
def test_a_missing_picture_is_asked_for_in_the_browser_s_language(
    services: Services, name: Tab, language: str, sentence: str
) -> None:
    tab = drawn(services, name)
    request = request_of(easel_language=language)
    _, problem = submit_event(services, tab)(given(tab), request)
    assert json.loads(problem) == {"field": "init.images", "text": sentence}


def picture_file(folder: Path, name: str, infotext: str = "") -> str:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if infotext:
        info.add_text("parameters", infotext)
    file = folder / name
    Image.new("RGB", (128, 64), "red").save(file, pnginfo=info)
    return str(file)


def test_img2img_sends_the_uploaded_picture(services: Services, tmp_path: Path) -> None:
    tab = drawn(services, "img2img")
    assert tab.pictures.sources is not None
    file = picture_file(tmp_path, "a.png")
    values = given(tab) | {tab.pictures.sources.pictures["img2img"].component: file}
    jobs, _ = submit_event(services, tab)(values, request_of())
    request = from_json(services.queue.get(json.loads(jobs)[0], "local").payload)
    assert request.init is not None
    assert services.pictures.read(request.init.images[0]) == Path(file).read_bytes()


def test_a_batch_makes_a_job_of_each_file_with_its_own_infotext(
    services: Services, tmp_path: Path
) -> None:
    tab = drawn(services, "img2img")
    assert tab.pictures.sources is not None
    mode, *_, files, use_info, wanted = tab.pictures.components
    infotext = "a dog\nSteps: 9, Sampler: Euler, CFG scale: 3, Seed: 5, Size: 128x64"
    paths = [picture_file(tmp_path, "a.png", infotext), picture_file(tmp_path, "b.png")]
    values = given(tab, prompt="oil painting") | {mode: "batch", files: paths, use_info: True}
    values[wanted] = ["prompt", "seed.seed"]
    jobs, problem = submit_event(services, tab)(values, request_of())
    assert problem == ""
    first, second = (
        from_json(services.queue.get(alias, "local").payload) for alias in json.loads(jobs)
    )
    assert (first.prompt, first.seed.seed, first.steps) == ("oil painting a dog", 5, 20)
    assert second.prompt == "oil painting"


def test_paste_command_fills_the_form_and_the_draft(services: Services) -> None:
    tab = drawn(services, "txt2img")
    text = "a cat\nSteps: 7, Sampler: Euler a, CFG scale: 5.5, Seed: 42, Size: 2560x192"
    values = given(tab) | {tab.wires.command: json.dumps({"do": "paste", "text": text})}
    updates = answer(services, tab)(values, request_of())
    controls = tab.form.controls
    assert updates[controls["prompt"]]["value"] == "a cat"
    assert updates[controls["width"]] == gr.update(value=2560, maximum=2560)
    assert recall(services, "local", "txt2img")["steps"] == 7


def test_seed_commands_set_the_seeds(services: Services) -> None:
    tab = drawn(services, "txt2img")
    for name in ("seed", "subseed"):
        values = given(tab) | {tab.wires.command: json.dumps({"do": name, "seed": 9})}
        updates = answer(services, tab)(values, request_of())
        assert updates == {tab.form.controls[f"seed.{name}"]: gr.update(value=9)}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"do": "unknown"}', "1"])
def test_commands_that_mean_nothing_change_nothing(services: Services, text: str) -> None:
    tab = drawn(services, "txt2img")
    assert answer(services, tab)(given(tab) | {tab.wires.command: text}, request_of()) == gr.skip()


def test_a_picture_that_was_sent_lands_in_the_tab_s_first_field(services: Services) -> None:
    tab = drawn(services, "img2img")
    assert tab.pictures.sources is not None
    picture = services.pictures.put(Path(picture_file(services.paths.data, "x.png")).read_bytes())
    command = json.dumps({"do": "receive", "picture": picture})
    updates = answer(services, tab)(given(tab) | {tab.wires.command: command}, request_of())
    field = tab.pictures.sources.pictures["img2img"].component
    assert updates[field]["value"].size == (128, 64)
    assert updates[tab.form.controls["width"]]["value"] == 128
    assert updates[tab.form.controls["height"]]["value"] == 64


def test_another_owner_s_picture_is_not_sent(services: Services) -> None:
    tab = drawn(services, "img2img")
    command = json.dumps({"do": "receive", "job": "nobody's", "index": 0})
    updates = answer(services, tab)(given(tab) | {tab.wires.command: command}, request_of())
    assert list(updates) == [tab.wires.toasts.field]
    assert "job" in said(updates, tab.wires.toasts)


def settings_tab(services: Services) -> SettingsEvents:
    def draw() -> SettingsTab:
        with gr.Blocks():
            return settings.draw(services, hidden("for_browser"), hidden("command"), Toasts.draw())

    return SettingsEvents(services, in_loop(draw))


def test_every_setting_that_is_shown_is_drawn_but_the_header_s(services: Services) -> None:
    shown = {key for keys in sections().values() for key in keys}
    assert shown - set(settings_tab(services).tab.controls) == {IN_HEADER}


def test_a_changed_setting_holds_at_once_and_can_be_reset(services: Services) -> None:
    events = settings_tab(services)
    shown = {
        control: settings.shown_value(services.settings.current, key)
        for control, key in events.keys.items()
    }
    controls = events.tab.controls
    changed = events.apply(shown | {controls["jpeg_quality"]: 91}, request_of())
    assert services.settings.current.jpeg_quality == 91
    assert changed[events.tab.changed] == "jpeg_quality"
    back = events.reset(json.dumps({"do": "reset", "key": "jpeg_quality"}), request_of())
    assert back[controls["jpeg_quality"]] == 80
    assert services.settings.current == Settings()


def test_a_value_that_does_not_fit_is_refused_and_taken_back(services: Services) -> None:
    events = settings_tab(services)
    control = events.tab.controls["grid_background_color"]
    updates = events.apply({control: "red"}, request_of())
    assert updates[control] == "#ffffff"
    assert "grid_background_color" in said(updates, events.tab.toasts)


def test_an_emptied_number_keeps_the_setting(services: Services) -> None:
    events = settings_tab(services)
    events.apply({events.tab.controls["target_side_length"]: None}, request_of())
    assert services.settings.current == Settings()


def test_the_browser_is_told_the_settings_that_it_needs(services: Services) -> None:
    told = json.loads(settings.for_browser(services.settings.current))
    assert told["interrupt_after_current"] is True
    assert told["theme"] == "system"


def style_events(services: Services) -> StyleEvents:
    def draw() -> StyleEvents:
        with gr.Blocks():
            tab = DRAWERS["txt2img"](services, Wires.draw("txt2img", Toasts.draw()))
            return StyleEvents(services, tab, draw_dialog("txt2img"))

    return in_loop(draw)


def test_styles_are_saved_chosen_written_and_deleted(services: Services) -> None:
    events = style_events(services)
    dropdown = events.tab.form.controls["styles"]
    updates = events.saver([dropdown])("Neon", "{prompt}, neon", "dull", request_of())
    assert updates[dropdown]["choices"] == ["Neon"]
    assert said(updates, events.toasts) == "The style Neon is saved."
    assert events.pick("Neon") == ("{prompt}, neon", "dull")
    assert events.pick("unknown") == ("", "")
    assert events.write("a cat", "", ["Neon"]) == ("a cat, neon", "dull", [])
    assert events.deleter([dropdown])("Neon", request_of())[dropdown]["choices"] == []


def test_a_style_without_a_name_is_refused(services: Services) -> None:
    events = style_events(services)
    updates = events.saver([])("", "x", "", request_of())
    assert "name" in said(updates, events.toasts)
    assert services.styles.names() == []


@pytest.fixture
def two_checkpoints(tmp_path: Path, tiny_checkpoints: Path) -> Any:
    """Services that know the shipped checkpoint (128 px) and another (512 px)."""
    folder = tmp_path / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    for file in tiny_checkpoints.glob("tinyA.*"):
        shutil.copy(file, folder)
    made = build(Flags(), make_paths(tmp_path))
    yield made
    close(made)


def page_events(services: Services) -> PageEvents:
    def draw() -> PageEvents:
        with gr.Blocks():
            top = header.draw(services)
            toasts = Toasts.draw()
            tabs = {name: DRAWERS[name](services, Wires.draw(name, toasts)) for name in TABS}
            return PageEvents(services, top, tabs, hidden("easel_settings"), toasts)

    return in_loop(draw)


def test_loading_brings_back_what_was_typed(services: Services) -> None:
    remember(services, "local", "txt2img", {"prompt": "a boat", "hires.on": True})
    events = page_events(services)
    updates = events.load(request_of())
    first, second = events.tabs["txt2img"].form.controls, events.tabs["img2img"].form.controls
    assert updates[first["prompt"]]["value"] == "a boat"
    assert updates[first["hires.on"]]["value"] is True
    native = services.model_status().native
    assert (updates[second["width"]]["value"], updates[second["height"]]["value"]) == native
    assert json.loads(updates[events.browser])["localization"] == "Browser"


def test_sizes_follow_another_checkpoint_where_they_were_left(two_checkpoints: Services) -> None:
    services = two_checkpoints
    by_name = {choice.name: choice for choice in services.checkpoints()}
    shipped, other = by_name["easel-emoji"], by_name["tinyA"]
    services.select_checkpoint(shipped.title)
    events = page_events(services)
    before = services.model_status().native
    values: dict[Any, Any] = {events.header.checkpoint: other.title}
    for name, tab in events.tabs.items():
        left = before if name != "inpaint" else (96, 160)
        controls = tab.form.controls
        values |= {controls["width"]: left[0], controls["height"]: left[1]}
    updates = events.choose(values, request_of())
    changed = {
        name: updates.get(tab.form.controls["width"], {}).get("value")
        for name, tab in events.tabs.items()
    }
    assert changed == {"txt2img": other.width, "img2img": other.width, "inpaint": None}
    assert services.settings.current.sd_model_checkpoint == other.title
    assert f"{other.width} × {other.height}" in updates[events.header.badge]


def test_an_unknown_checkpoint_is_told_and_the_former_shown(services: Services) -> None:
    events = page_events(services)
    with pytest.raises(ModelNotFound):
        services.select_checkpoint("no such file")
    updates = events.choose({events.header.checkpoint: "no such file"}, request_of())
    assert "no such file" in said(updates, events.toasts)
    assert updates[events.header.checkpoint]["value"] == services.model_status().title


def test_png_info_shows_every_text_escaped() -> None:
    from webui.image_files.metadata import Metadata

    found = Metadata(
        "a <b>cat</b>\nSteps: 7, Sampler: Euler, CFG scale: 5", {"note<": "<img src=x>"}
    )
    table = png_info.table_html(found)
    assert "a &lt;b&gt;cat&lt;/b&gt;" in table
    assert '<th scope="row">note&lt;</th><td>&lt;img src=x&gt;</td>' in table
    assert '<th scope="row">Steps</th><td>7</td>' in table
    assert 'data-t="pnginfo.nothing"' in png_info.table_html(Metadata(None, {}))
