"""What routes ask for by annotation."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from webui.api.auth import Identity, identity_of
from webui.services import Services


def services_of(request: Request) -> Services:
    """The services that `create_app` was given."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


TheServices = Annotated[Services, Depends(services_of)]
Asker = Annotated[Identity, Depends(identity_of)]
