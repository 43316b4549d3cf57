"""What was typed and loaded is kept for its owner, tab by tab, and comes back on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webui.errors import WebUIError
from webui.ui.forms.generation import Tab, Values, control_names

if TYPE_CHECKING:
    from webui.services import Services

PICTURES = "pictures"
"""Key of a draft's pictures: ids in the store, by the field that holds them."""


def remember(services: Services, owner: str, tab: Tab, values: Values) -> None:
    """Keep a tab's values, on top of those that were kept before.

    A draft that is too large (a prompt of millions of characters) is not kept: what was kept before
    stays.
    """
    _put(services, owner, tab, {**_get(services, owner, tab), **values})


def recall(services: Services, owner: str, tab: Tab) -> Values:
    """What was kept of a tab's controls, {} at first."""
    known = set(control_names(tab))
    stored = _get(services, owner, tab)
    return {name: value for name, value in stored.items() if name in known}


def remember_pictures(
    services: Services, owner: str, tab: Tab, pictures: dict[str, str | None]
) -> None:
    """Keep which pictures a tab's fields hold, on top of those kept before; None: empty."""
    stored = _get(services, owner, tab)
    merged = {**stored.get(PICTURES, {}), **pictures}
    kept = {name: picture for name, picture in merged.items() if picture}
    _put(services, owner, tab, {**stored, PICTURES: kept})


def recall_pictures(services: Services, owner: str, tab: Tab) -> dict[str, str]:
    """Which pictures a tab's fields held, {} at first."""
    stored = _get(services, owner, tab).get(PICTURES, {})
    return {str(name): str(picture) for name, picture in stored.items()}


def _get(services: Services, owner: str, tab: Tab) -> dict[str, Any]:
    return services.drafts.get(_key(owner, tab))


def _put(services: Services, owner: str, tab: Tab, draft: dict[str, Any]) -> None:
    try:
        services.drafts.put(_key(owner, tab), draft)
    except WebUIError:
        return


def _key(owner: str, tab: Tab) -> str:
    return f"{owner}\n{tab}"
