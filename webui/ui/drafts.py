"""What was typed is kept for its owner, tab by tab, and comes back on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webui.errors import WebUIError
from webui.ui.forms.generation import Tab, Values, control_names

if TYPE_CHECKING:
    from webui.services import Services


def remember(services: Services, owner: str, tab: Tab, values: Values) -> None:
    """Keep a tab's values, on top of those that were kept before.

    A draft that is too large (a prompt of millions of characters) is not kept: what was kept before
    stays.
    """
    kept = recall(services, owner, tab)
    try:
        services.drafts.put(_key(owner, tab), {**kept, **values})
    except WebUIError:
        return


def recall(services: Services, owner: str, tab: Tab) -> Values:
    """What was kept of a tab, {} at first."""
    known = set(control_names(tab)) | {"mode"}
    stored: dict[str, Any] = services.drafts.get(_key(owner, tab))
    return {name: value for name, value in stored.items() if name in known}


def _key(owner: str, tab: Tab) -> str:
    return f"{owner}\n{tab}"
