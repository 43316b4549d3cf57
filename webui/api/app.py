"""The HTTP application: routes, checks, errors. The entry point mounts the page on it."""

from __future__ import annotations

import time

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from webui import __version__
from webui.api.auth import Authenticator, IdentityGuard, Passwords, SingleUser
from webui.api.guard import OriginGuard, own_names
from webui.api.headers import SecurityHeaders
from webui.api.limits import BodyLimit
from webui.api.own_files import OwnFiles
from webui.api.problems import install_handlers
from webui.api.routes import (
    account,
    extensions,
    extras,
    generate,
    jobs,
    jobs_v1,
    lists,
    merge,
    metadata,
    missing,
    model_files,
    models,
    options,
    pictures,
    progress,
    server,
    status,
)
from webui.paths import PROGRAM
from webui.services import OWNER_LOCAL, Services

ROUTERS = (
    account.router,
    generate.router,
    extras.router,
    progress.router,
    options.router,
    lists.router,
    extensions.router,
    models.router,
    merge.router,
    model_files.router,
    metadata.router,
    jobs.router,
    jobs_v1.router,
    pictures.router,
    status.router,
    server.router,
    missing.router,
)

ASSETS = PROGRAM / "webui" / "ui" / "assets"


def create_app(services: Services, authenticator: Authenticator | None = None) -> FastAPI:
    """Build the application.

    Args:
        authenticator: tells who asks; by default the users of `services.accounts`, or, where there
            are none, everybody is the one local owner.
    """
    app = FastAPI(title="Easel", version=__version__, docs_url=None, redoc_url=None)
    app.state.services = services
    app.state.built = time.time()
    accounts = services.accounts
    passwords = Passwords(accounts) if accounts.has_users else None
    app.state.passwords = passwords
    who = authenticator or passwords or SingleUser(OWNER_LOCAL)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/internal/assets", _Assets(directory=ASSETS), name="assets")
    install_handlers(app)
    # the last one added is asked first
    app.add_middleware(BodyLimit)
    app.add_middleware(OwnFiles)
    app.add_middleware(IdentityGuard, authenticator=who)
    app.add_middleware(OriginGuard, names=own_names(services.flags))
    app.add_middleware(SecurityHeaders)
    return app


class _Assets(StaticFiles):
    """The page's scripts and style sheets: asked for each time, 304 while they are the same."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, not to be used again unasked: all parts of the page must be of one version."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response
