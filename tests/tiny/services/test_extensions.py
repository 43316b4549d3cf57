"""Extensions in a running Easel: what they offer works, what they break stays theirs."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny.services.conftest import Studio
from webui.errors import InvalidRequest
from webui.extensions.hookspecs import OFFERS, STEP_HOOKS
from webui.jobs.job import EventType
from webui.request import GenerationRequest, Hires, Seed
from webui.services import OWNER_LOCAL

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
REQUEST = GenerationRequest(
    prompt="a cat", width=64, height=64, steps=2, sampler="Euler", seed=Seed(seed=5)
)
CALLED = ("before_generate", "patch_model", "before_batch", *STEP_HOOKS, "postprocess_image")
MANIFEST = """schema = 1
id = "{id}"
name = "{id}"
version = "1"
api = "{api}"
license = "MIT"
{more}
"""

NAMESAKE = """
def draw(denoiser, x, trajectory, **kwargs):
    return x

@hook
def samplers():
    return [Sampler("Euler", (), draw)]
"""


def install(data: Path, extension: str, code: str, *, api: str = ">=1,<2", more: str = "") -> None:
    folder = data / "extensions" / extension
    folder.mkdir(parents=True)
    text = MANIFEST.format(id=extension, api=api, more=more)
    (folder / "extension.toml").write_text(text)
    (folder / "__init__.py").write_text(f"from webui.extensions.v1 import *\n{code}")


def raising(hook: str) -> str:
    return f"@hook\ndef {hook}():\n    raise RuntimeError('broken {hook}')\n"


def picture(studio: Studio, request: GenerationRequest = REQUEST) -> bytes:
    [unit] = studio.make(request)
    image = Image.open(io.BytesIO(studio.content(unit)))
    return image.tobytes()


def test_hostile_extensions_are_named_and_change_no_picture(
    open_studio: Callable[..., Studio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.services.IMPORT_SECONDS", 1.0)
    data = tmp_path / "data"
    plain = open_studio()
    expected = picture(plain)
    plain.services.stop()
    install(data, "raises-at-import", "raise SystemExit('no')")
    install(data, "wants-the-future", "", api=">=99")
    install(data, "wants-another-torch", "", more='dependencies = ["torch<1"]')
    install(data, "wants-the-unknown", "", more='dependencies = ["no-such-package-here"]')
    install(data, "never-ends", "while True: pass")
    install(data, "unknown-hook", "@hook\ndef no_such_hook(): pass")
    install(data, "wrong-manifest", "", more="colour = 'red'")
    install(data, "takes-a-name", NAMESAKE)
    for hook in OFFERS:
        install(data, f"offers-{hook.replace('_', '-')}", raising(hook))
    for hook in CALLED:
        install(data, f"fails-in-{hook.replace('_', '-')}", raising(hook))

    studio = open_studio()
    records = {record.id: record for record in studio.services.extensions.records()}
    reasons = {name: record.reason for name, record in records.items()}
    assert "SystemExit: no" in reasons["raises-at-import"]
    assert "99" in reasons["wants-the-future"]
    assert "torch<1" in reasons["wants-another-torch"]
    assert "no-such-package-here" in reasons["wants-the-unknown"]
    assert records["never-ends"].state == "quarantined"
    assert "no_such_hook" in reasons["unknown-hook"]
    assert "colour" in reasons["wrong-manifest"]
    assert "already a sampler or schedule named Euler" in reasons["takes-a-name"]
    for hook in OFFERS:
        assert f"broken {hook}" in reasons[f"offers-{hook.replace('_', '-')}"]
    job = studio.services.submit(REQUEST, OWNER_LOCAL)
    events = studio.follow(job)
    assert events[-1].type is EventType.DONE
    warnings = [e.data["text"] for e in events if e.type is EventType.WARNING]
    for hook in set(CALLED) - {"mask_blend"}:
        named = [text for text in warnings if f"fails-in-{hook.replace('_', '-')}'" in str(text)]
        assert named, hook
    content = studio.content(studio.units(job)[0])
    assert Image.open(io.BytesIO(content)).tobytes() == expected


def test_a_hook_that_fails_three_times_is_switched_off(
    open_studio: Callable[..., Studio], tmp_path: Path
) -> None:
    install(tmp_path / "data", "weak", raising("denoiser_input"))
    studio = open_studio()
    job = studio.services.submit(replace(REQUEST, steps=6), OWNER_LOCAL)
    warnings = [e.data["text"] for e in studio.follow(job) if e.type is EventType.WARNING]
    assert len(warnings) == 3
    assert "switched off" in str(warnings[-1])
    assert ("weak", "denoiser_input") in studio.services.extensions.guard.switched_off


def test_crash_during_import_is_quarantined_at_the_next_start(
    open_studio: Callable[..., Studio], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    install(data, "crasher", "")
    marker = data / "cache" / "extensions" / "importing"
    marker.parent.mkdir(parents=True)
    marker.write_text("crasher")
    extensions = open_studio().services.extensions
    [record] = [one for one in extensions.records() if one.id == "crasher"]
    assert record.state == "quarantined"
    assert extensions.enable("crasher").state == "loaded"
    assert not marker.exists()


def test_disabling_leaves_nothing_behind(
    open_studio: Callable[..., Studio], tmp_path: Path
) -> None:
    for name in ("acme-sharp", "dynamic-thresholding"):
        shutil.copytree(EXAMPLES / name, tmp_path / "data" / "extensions" / name)
    services = open_studio().services
    extensions = services.extensions
    assert "ACME Sharp" in services.upscalers()
    modules = {name for name in sys.modules if name.startswith("easel_extensions_")}
    assert {"easel_extensions_acme_sharp", "easel_extensions_dynamic_thresholding"} <= modules
    for name in ("acme-sharp", "dynamic-thresholding"):
        assert extensions.disable(name).state == "disabled"
    assert modules.isdisjoint(sys.modules)
    assert "ACME Sharp" not in services.upscalers()
    assert not [name for name in OFFERS if extensions.implementations(name)]
    assert extensions.enable("acme-sharp").hooks == ("upscalers",)
    assert "ACME Sharp" in services.upscalers()


def test_an_examples_upscaler_serves_hires_fix(
    open_studio: Callable[..., Studio], tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLES / "acme-sharp", tmp_path / "data" / "extensions" / "acme-sharp")
    studio = open_studio()
    hires = Hires(upscaler="Lanczos", scale=2.0, denoising_strength=0.3)
    one = picture(studio, replace(REQUEST, hires=hires))
    other = picture(studio, replace(REQUEST, hires=replace(hires, upscaler="ACME Sharp")))
    assert len(other) == 128 * 128 * 3
    assert other != one


def test_units_of_the_examples_change_the_picture_and_stand_in_the_infotext(
    open_studio: Callable[..., Studio], tmp_path: Path
) -> None:
    for name in ("dynamic-thresholding", "light-control"):
        shutil.copytree(EXAMPLES / name, tmp_path / "data" / "extensions" / name)
    studio = open_studio()
    high = replace(REQUEST, cfg_scale=20.0)
    plain = picture(studio, high)
    [unit] = studio.make(replace(high, units={"dynamic-thresholding": [{"mimic_scale": 5}]}))
    assert Image.open(io.BytesIO(studio.content(unit))).tobytes() != plain
    assert "Mimic scale: 5" in str(unit.facts["infotext"])
    at_the_scale = replace(high, units={"dynamic-thresholding": [{"mimic_scale": 20}]})
    assert picture(studio, at_the_scale) == plain

    out = io.BytesIO()
    Image.linear_gradient("L").save(out, "PNG")
    stored = studio.services.pictures.put(out.getvalue())
    controls = [{"picture": stored, "weight": 2.0}]
    lit = picture(studio, replace(REQUEST, units={"light-control": controls}))
    assert lit != picture(studio)
    job = studio.services.submit(replace(REQUEST, units={"light-control": [{}]}), OWNER_LOCAL)
    last = studio.follow(job)[-1]
    assert last.type is EventType.FAILED
    assert "Give the control picture" in str(last.data)


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"nobody": [{}]}, "no unit named 'nobody'"),
        ({"dynamic-thresholding": [{}, {}]}, "at most 1"),
        ({"dynamic-thresholding": [{"mimic_scale": 99}]}, "at most 30"),
    ],
)
def test_wrong_units_are_refused_before_the_job_waits(
    open_studio: Callable[..., Studio], tmp_path: Path, units: dict[str, object], words: str
) -> None:
    name = "dynamic-thresholding"
    shutil.copytree(EXAMPLES / name, tmp_path / "data" / "extensions" / name)
    with pytest.raises(InvalidRequest, match=words):
        open_studio().services.submit(replace(REQUEST, units=units), OWNER_LOCAL)
