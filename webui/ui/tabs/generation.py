"""What txt2img, img2img and inpaint share: the tab as a value, and what its events do."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import WebUIError
from webui.ui.drafts import remember
from webui.ui.events import BROWSER, QUIET, edited
from webui.ui.forms.form import Form
from webui.ui.forms.generation import Values, to_request
from webui.ui.messages import explain, field_of, owner_of
from webui.ui.widgets.prompts import Prompts, count_tokens
from webui.ui.widgets.size import SizeTools

if TYPE_CHECKING:
    from webui.request import GenerationRequest
    from webui.services import Services
    from webui.ui.forms.controls import SeedButtons
    from webui.ui.widgets.hidden import Wires
    from webui.ui.widgets.init import ResizeTools
    from webui.ui.widgets.sources import Sources

Given = Mapping[Any, Any]
"""What an event hands in: values by component."""


SUBMITTED = """(jobs, problem) => {
    const v1 = window.easel.v1;
    if (!problem) return JSON.parse(jobs).forEach((job) => v1.submitted("TAB", job));
    const { field, text } = JSON.parse(problem);
    v1.toast(text);
    v1.refused("TAB", field, text);
}"""


@dataclass(frozen=True)
class Group:
    """A collapsed group whose header says its state.

    Attributes:
        switch: name of the control that turns it on.
        shown: names of the controls that its header tells of.
    """

    accordion: Any
    switch: str
    shown: Sequence[str]
    summary: Callable[[Values], str]


@dataclass(frozen=True)
class Pictures:
    """The picture components of a tab.

    Attributes:
        components: all whose values a request needs.
        read: these values -> one set of values for each request to make.
        sources: sub-tabs that they stand on; None where there are none (txt2img).
    """

    components: Sequence[Any] = ()
    read: Callable[[Given, Values], list[Values]] = lambda _given, _values: [{}]
    sources: Sources | None = None
    resize: ResizeTools | None = None


@dataclass(frozen=True)
class GenerationTab:
    """A drawn tab, ready to be wired."""

    form: Form
    prompts: Prompts
    seed: SeedButtons
    wires: Wires
    size: SizeTools
    groups: Sequence[Group]
    pictures: Pictures = field(default_factory=Pictures)

    @property
    def controls(self) -> list[Any]:
        """All controls that are not pictures."""
        return list(self.form.controls.values())


def submit_event(services: Services, tab: GenerationTab) -> Callable[..., Any]:
    """The handler of Generate: values -> request(s) -> job(s)."""

    def submit(given: dict[Any, Any], request: gr.Request) -> tuple[str, str]:
        values = tab.form.values(given)
        try:
            pictures = tab.pictures.read(given, values)
            requests = [to_request(tab.form.tab, {**values, **each}) for each in pictures]
            jobs = [_submit(services, tab, each, request) for each in requests]
        except WebUIError as error:
            text = explain(error, request)
            return "[]", json.dumps({"field": field_of(error), "text": text})
        return json.dumps(jobs), ""

    return submit


def _submit(
    services: Services, tab: GenerationTab, wanted: GenerationRequest, request: gr.Request
) -> str:
    job_id = f"{tab.form.tab}-{uuid.uuid4().hex}"
    services.submit(wanted, owner_of(request), job_id)
    return job_id


def wire(services: Services, tab: GenerationTab) -> None:
    """Connect a tab's events."""
    _wire_generate(services, tab)
    _wire_typing(services, tab)
    _wire_groups(tab)
    _wire_seed(services, tab)


def _wire_generate(services: Services, tab: GenerationTab) -> None:
    name = tab.form.tab
    click, wires = tab.prompts.generate.click, tab.wires
    click(
        submit_event(services, tab),
        inputs={*tab.controls, *tab.pictures.components},
        outputs=[wires.job, wires.problem],
        **QUIET,
    ).then(
        inputs=[wires.job, wires.problem],
        js=SUBMITTED.replace("TAB", name),
        **BROWSER,
    )


def keep(services: Services, tab: GenerationTab) -> Callable[..., Any]:
    """A handler that stores the draft and counts the tokens."""

    def kept(given: dict[Any, Any], request: gr.Request) -> tuple[str, str]:
        values = tab.form.values(given)
        remember(services, owner_of(request), tab.form.tab, values)
        return count_tokens(services, values)

    return kept


def after(services: Services, tab: GenerationTab, event: Any) -> None:  # noqa: ANN401 - gr's
    """Store the draft after an event that changed controls."""
    event.then(keep(services, tab), **_keeping(tab))


def _keeping(tab: GenerationTab) -> dict[str, Any]:
    return {
        "inputs": set(tab.controls),
        "outputs": list(tab.prompts.counters),
        **QUIET,
    }


def _wire_typing(services: Services, tab: GenerationTab) -> None:
    gr.on(
        [edited(control) for control in tab.controls],
        keep(services, tab),
        trigger_mode="always_last",
        **_keeping(tab),
    )


def _wire_groups(tab: GenerationTab) -> None:
    controls = tab.form.controls
    for group in tab.groups:

        def summarise(given: dict[Any, Any], group: Group = group) -> Any:  # noqa: ANN401
            return gr.update(label=group.summary(tab.form.values(given)))

        shown = [controls[name] for name in (group.switch, *group.shown)]
        gr.on(
            [control.change for control in shown],
            summarise,
            inputs=set(shown),
            outputs=group.accordion,
            trigger_mode="always_last",
            **QUIET,
        )
        controls[group.switch].input(
            lambda on: gr.update(open=on),
            inputs=controls[group.switch],
            outputs=group.accordion,
            **QUIET,
        )


def _wire_seed(services: Services, tab: GenerationTab) -> None:
    controls, buttons, name = tab.form.controls, tab.seed, tab.form.tab
    for button, reuse, control in (
        (buttons.random, buttons.reuse, "seed"),
        (buttons.random_subseed, buttons.reuse_subseed, "subseed"),
    ):
        number = controls[f"seed.{control}"]
        event = button.click(js="() => -1", outputs=number, **BROWSER)
        after(services, tab, event)
        selected = f"(now) => window.easel.v1.selected('{name}')?.{control} ?? now"
        event = reuse.click(js=selected, inputs=number, outputs=number, **BROWSER)
        after(services, tab, event)
    extra = controls["seed.extra"]
    extra.change(
        lambda on: gr.update(visible=on),
        inputs=extra,
        outputs=buttons.extra_row,
        **QUIET,
    )
