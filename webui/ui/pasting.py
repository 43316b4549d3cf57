"""Fill a tab's controls from an infotext, a stored draft or a finished picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from webui.image_files.infotext_paste import apply_changes
from webui.request import GenerationRequest, Init, Inpaint
from webui.ui.forms.generation import Tab, Values, from_request, to_request

if TYPE_CHECKING:
    from webui.image_files.infotext_paste import Pasted
    from webui.services import Services

SENT = ("prompt", "negative_prompt", "styles", "steps", "sampler", "schedule", "cfg_scale")
"""What goes with a txt2img picture to img2img and inpaint, besides size and seed."""


@dataclass(frozen=True)
class Filled:
    """Values for a tab's controls, and sentences on what was left out."""

    values: Values
    problems: tuple[str, ...]


def pasted_request(
    services: Services, text: str, tab: Tab, values: Mapping[str, Any]
) -> tuple[GenerationRequest, tuple[str, ...]]:
    """The request of a tab's controls, changed by an infotext.

    Args:
        text: an infotext; '': the last picture's.
        values: of the controls now.
    Returns: the request, and a sentence for everything that was left out.
    Raises: InvalidRequest: the controls hold something out of range.
    """
    pasted = services.paste(text)
    request, problems = apply_changes(_with_init(tab, values), _changes(pasted))
    return request, (*pasted.problems, *problems)


def paste(services: Services, text: str, tab: Tab, values: Mapping[str, Any]) -> Filled:
    """The values that a tab's controls take when an infotext is pasted; arguments as above."""
    request, problems = pasted_request(services, text, tab, values)
    filled = from_request(tab, request)
    for name in ("init.images", "init.inpaint.mask"):
        filled.pop(name, None)
    return Filled(filled, problems)


def sent(services: Services, infotext: str, tab: Tab, values: Mapping[str, Any]) -> Values:
    """The values that go with a txt2img picture to another tab: prompts, sampling, perhaps the
    seed.
    """
    filled = paste(services, infotext, tab, values).values
    settings = services.settings.current
    wanted = (*SENT, "seed.seed") if settings.send_seed else SENT
    return {name: filled[name] for name in wanted if name in filled}


def _changes(pasted: Pasted) -> dict[str, Any]:
    overrides = {override.key: override.value for override in pasted.overrides}
    return {**pasted.changes, "overrides": overrides}


def _with_init(tab: Tab, values: Mapping[str, Any]) -> GenerationRequest:
    known = {"init.images": [], **values}
    request = to_request(tab, known)
    if tab == "inpaint" and request.init is None:
        return replace(request, init=Init(images=(), inpaint=Inpaint(mask="")))
    return request
