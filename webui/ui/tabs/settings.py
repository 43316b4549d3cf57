"""The tab Settings, drawn from the declarations in webui/settings.py; a change holds at once."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from webui.errors import InvalidRequest, WebUIError
from webui.settings import Settings, option_info, sections
from webui.ui.events import BROWSER, QUIET, edited, nothing
from webui.ui.icons import svg
from webui.ui.locale import label, language_of, sentence, span, tag, words
from webui.ui.messages import Toasts, is_admin
from webui.ui.widgets.hidden import hidden

if TYPE_CHECKING:
    from webui.services import Services

IN_HEADER = "sd_model_checkpoint"
WIDEST_SLIDER = 1000
"""Whole numbers with a wider range get a number field."""

NEEDED_BY_BROWSER = (
    "live_previews_enable",
    "show_progress_every_n_steps",
    "show_progress_in_title",
    "interrupt_after_current",
    "disable_token_counters",
    "return_grid",
    "save_selected_only",
    "keyedit_precision_attention",
    "keyedit_precision_extra",
    "keyedit_delimiters",
    "keyedit_move",
    "localization",
    "theme",
)


@dataclass(frozen=True)
class SettingsTab:
    """The tab's components.

    Attributes:
        controls: by setting.
        changed: hidden; keys whose value is not the default, with spaces between.
        command: hidden; `{"do": "reset", "key": ...}` from the browser.
        for_browser: hidden; JSON of the settings that JavaScript needs.
    """

    controls: Mapping[str, Any]
    search: Any
    changed: Any
    command: Any
    for_browser: Any
    toasts: Toasts


def draw(services: Services, for_browser: Any, command: Any, toasts: Toasts) -> SettingsTab:  # noqa: ANN401
    """Draw the tab.

    Args:
        for_browser, command: hidden fields, drawn outside of the tabs.
    """
    shape = Settings.model_json_schema()["properties"]
    controls: dict[str, Any] = {}
    with gr.Row(elem_id="settings_columns", elem_classes=["easel-settings"]):
        with gr.Column(elem_id="settings_nav", elem_classes=["easel-settings-nav"], min_width=0):
            search = gr.Textbox(
                label=label("settings.search"),
                elem_id="settings_search",
                max_lines=1,
                interactive=True,
            )
            gr.HTML(_navigation(), padding=False)
        with gr.Column(elem_id="settings_list", elem_classes=["easel-settings-list"], min_width=0):
            for section, keys in sections().items():
                with gr.Column(
                    elem_id=f"settings_{section}", elem_classes=["easel-settings-section"]
                ):
                    gr.HTML(tag("h2", f"settings.{section}"), padding=False)
                    for key in keys:
                        if key != IN_HEADER and _has_choices(services, key):
                            controls[key] = _row(services, key, shape[key])
    changed = hidden("settings_changed", changed_keys(services.settings.current))
    return SettingsTab(controls, search, changed, command, for_browser, toasts)


def changed_keys(settings: Settings) -> str:
    """Keys of all settings that differ from their default, with spaces between."""
    default = Settings()
    return " ".join(k for k in Settings.model_fields if getattr(settings, k) != getattr(default, k))


def for_browser(settings: Settings) -> str:
    """JSON of the settings that the browser's JavaScript needs."""
    return json.dumps({key: getattr(settings, key) for key in NEEDED_BY_BROWSER})


def shown_value(settings: Settings, key: str) -> Any:  # noqa: ANN401 - any setting's type
    """A setting's value as its control takes it."""
    value = getattr(settings, key)
    return list(value) if isinstance(value, tuple) else value


class SettingsEvents:
    """What the tab's events do."""

    def __init__(self, services: Services, tab: SettingsTab) -> None:
        self.services, self.store, self.tab = services, services.settings, tab
        self.keys = {control: key for key, control in tab.controls.items()}

    def wire(self, opened: Any) -> None:  # noqa: ANN401 - a gr.Tab
        """Connect them.

        Args:
            opened: the tab; when it is opened its controls show what holds now.
        """
        tab, controls = self.tab, list(self.tab.controls.values())
        outputs = [*controls, tab.changed, tab.for_browser, tab.toasts.field]
        commits = [_committed(control) for control in controls]
        once = {"trigger_mode": "always_last", **QUIET}
        for event in (
            opened.select(self.show, outputs=outputs, **QUIET),
            gr.on(commits, self.apply, inputs=set(controls), outputs=outputs, **once),
            edited(tab.command)(self.reset, tab.command, outputs, **QUIET),
        ):
            self._tell_browser(event)
        search = "(query) => window.EASEL.filterSettings(query)"
        edited(tab.search)(inputs=tab.search, js=search, **BROWSER)

    def show(self) -> dict[Any, Any]:
        """Every control with what holds now."""
        current = self.store.current
        shown = {control: shown_value(current, key) for control, key in self.keys.items()}
        return shown | self._facts(current)

    def apply(self, given: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        """Take over what differs from the current settings; an emptied field keeps the old."""
        current = self.store.current
        wanted = {self.keys[control]: value for control, value in given.items()}
        return self._update(
            {
                key: value
                for key, value in wanted.items()
                if value is not None and value != shown_value(current, key)
            },
            request,
        )

    def reset(self, command: str, request: gr.Request) -> dict[Any, Any]:
        """Set one option back to its default."""
        key = str(json.loads(command or "{}").get("key"))
        if key not in self.tab.controls:
            return nothing()
        updates = self._update({key: getattr(Settings(), key)}, request)
        return updates | {self.tab.controls[key]: shown_value(self.store.current, key)}

    def _update(self, changes: dict[str, Any], request: gr.Request) -> dict[Any, Any]:
        before = self.store.current
        try:
            self._check_rights(changes, request)
            return self._facts(self.store.update(changes))
        except WebUIError as error:
            kept = {self.tab.controls[key]: shown_value(before, key) for key in changes}
            return kept | self.tab.toasts.error(error, request)

    def _check_rights(self, changes: dict[str, Any], request: gr.Request) -> None:
        for key in changes:
            if option_info(key).level == "admin" and not is_admin(self.services, request):
                raise InvalidRequest(key, sentence(language_of(request), "settings.not_yours"))

    def _facts(self, settings: Settings) -> dict[Any, Any]:
        changed, browser = changed_keys(settings), for_browser(settings)
        return {self.tab.changed: changed, self.tab.for_browser: browser}

    def _tell_browser(self, event: Any) -> None:  # noqa: ANN401 - Gradio's
        mark = "(keys) => window.EASEL.markSettings(keys)"
        apply = "(text) => window.EASEL.apply(JSON.parse(text))"
        event.then(inputs=self.tab.changed, js=mark, **BROWSER).then(
            inputs=self.tab.for_browser, js=apply, **BROWSER
        )


def _committed(control: Any) -> Any:  # noqa: ANN401 - a Gradio trigger
    """The event that says that the user is done with a value."""
    if isinstance(control, gr.Slider):
        return control.release
    if isinstance(control, gr.Textbox | gr.Number | gr.ColorPicker):
        return control.blur
    return control.input


def _navigation() -> str:
    links = "".join(
        f'<a href="#settings_{section}">{span(f"settings.{section}")}</a>' for section in sections()
    )
    title = html.escape(words("en")["settings.sections"])
    return (
        f'<nav class="easel-sections" data-t-label="settings.sections" aria-label="{title}">'
        f'{links}</nav><p><a href="./account">{span("settings.account")}</a></p>'
    )


def _row(services: Services, key: str, shape: Mapping[str, Any]) -> Any:  # noqa: ANN401
    with gr.Row(elem_classes=["easel-setting"]):
        control = _control(services, key, shape)
        text = html.escape(words("en")["settings.reset"])
        gr.HTML(
            f'<button type="button" class="easel-plain" data-reset="{key}" '
            f'data-t-label="settings.reset" data-t-title="settings.reset" '
            f'aria-label="{text}" hidden>{svg("reset")}</button>',
            padding=False,
            elem_classes=["easel-reset"],
        )
    return control


def _control(services: Services, key: str, shape: Mapping[str, Any]) -> Any:  # noqa: ANN401
    shared = {
        "value": shown_value(services.settings.current, key),
        "label": label(f"setting.{key}"),
        "info": label(f"setting.{key}.info"),
        "elem_id": f"setting_{key}",
        "interactive": True,
    }
    info, kind = option_info(key), shape.get("type")
    if info.choices is not None:
        choices = _run_time_choices(services, info.choices) or []
        return gr.Dropdown(choices=choices, allow_custom_value=True, **shared)
    if "enum" in shape:
        labelled = [(_choice_label(key, name), name) for name in shape["enum"]]
        return gr.Dropdown(choices=labelled, **shared)
    if kind == "boolean":
        return gr.Checkbox(**shared)
    if kind in ("integer", "number"):
        return _number(key, shape, shared)
    if kind == "array":
        return gr.Dropdown(choices=[], multiselect=True, allow_custom_value=True, **shared)
    if "pattern" in shape:
        return gr.ColorPicker(**shared)
    return gr.Textbox(max_lines=1, **shared)


def _number(key: str, shape: Mapping[str, Any], shared: dict[str, Any]) -> Any:  # noqa: ANN401
    whole = shape["type"] == "integer"
    low, high = shape.get("minimum"), shape.get("maximum")
    step = option_info(key).step or (1 if whole else 0.01)
    if low is not None and high is not None and (high - low) / step <= WIDEST_SLIDER:
        return gr.Slider(low, high, step=step, buttons=[], **shared)
    precision = 0 if whole else None
    return gr.Number(minimum=low, maximum=high, step=step, precision=precision, **shared)


def _run_time_choices(services: Services, name: str) -> list[str] | None:
    """The list of that name; None: there is no such list (yet)."""
    lists = {
        "checkpoints": lambda: [choice.title for choice in services.checkpoints()],
        "hypernetworks": lambda: ["None", *(file.name for file in services.hypernetworks())],
        "loras": lambda: ["None", *(file.name for file in services.loras())],
        "vaes": lambda: ["Automatic", "None", *(file.path.name for file in services.vaes())],
        "samplers": services.sampler_names,
        "upscalers": services.upscalers,
        "styles": services.styles.names,
    }
    return list(lists[name]()) if name in lists else None


def _has_choices(services: Services, key: str) -> bool:
    name = option_info(key).choices
    return name is None or _run_time_choices(services, name) is not None


def _choice_label(key: str, name: str) -> str:
    """The words of a choice; technical names ('png', 'bh1') stand for themselves."""
    own = f"setting.{key}.{name}"
    return label(own) if own in words("en") else name
