"""Serve page and API from one port until told to stop."""

from __future__ import annotations

import threading
import time
import webbrowser
from typing import TYPE_CHECKING

from webui.address import choose_port, url_of
from webui.flags import Flags
from webui.paths import make_paths

if TYPE_CHECKING:
    import uvicorn


def serve(flags: Flags) -> None:
    """Build everything and serve it; returns when the server was stopped.

    Raises: WebUIError: it cannot be started.
    """
    import gradio
    import uvicorn

    from webui.api.app import create_app
    from webui.api.auth import name_of
    from webui.services import build
    from webui.ui.app import build as build_page

    port = choose_port(flags.host, flags.port)
    services = build(flags, make_paths(flags.data_dir, flags.models_dir))
    page = build_page(services)
    app = create_app(services)
    who = name_of if services.accounts.has_users else None
    arguments = page.mount_arguments()
    gradio.mount_gradio_app(app, page.blocks, path="/", auth_dependency=who, **arguments)
    config = uvicorn.Config(
        app,
        host=flags.host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=2,
        ssl_certfile=flags.tls_cert,
        ssl_keyfile=flags.tls_key,
    )
    server = uvicorn.Server(config)
    app.state.end_server = lambda: setattr(server, "should_exit", True)
    services.start()
    threading.Thread(target=_announce, args=(server, flags, port), daemon=True).start()
    try:
        server.run()
    finally:
        services.stop()


def _announce(server: uvicorn.Server, flags: Flags, port: int) -> None:
    while not server.started:
        time.sleep(0.05)
    url = url_of(flags.host, port)
    if flags.tls_cert is not None:
        url = url.replace("http:", "https:", 1)
    print(f"Easel: {url}", flush=True)  # noqa: T201 - what it is for
    if flags.browser:
        webbrowser.open(url)
