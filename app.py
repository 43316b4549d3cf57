"""Easel's entry: parse the command line, build the services, mount API and page, serve."""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from webui.address import choose_port, url_of
from webui.errors import WebUIError
from webui.flags import Flags, Generate, parse
from webui.offline import prepare_environment
from webui.paths import make_paths

if TYPE_CHECKING:
    import uvicorn


def main() -> int:
    """Do what the command line asks for; the result is the process's exit code."""
    flags = parse(sys.argv[1:])
    logging.basicConfig(level=flags.log_level, format="%(levelname)s %(name)s: %(message)s")
    prepare_environment()
    try:
        return _serve(flags) if flags.generate is None else _generate(flags, flags.generate)
    except WebUIError as error:
        print(f"Easel: {error}", file=sys.stderr)
        return 1


def _serve(flags: Flags) -> int:
    import gradio
    import uvicorn

    from webui.api.app import create_app
    from webui.services import build
    from webui.ui.app import build as build_page

    port = choose_port(flags.host, flags.port)
    services = build(flags, make_paths(flags.data_dir, flags.models_dir))
    page = build_page(services)
    app = create_app(services)
    gradio.mount_gradio_app(app, page.blocks, path="/", **page.mount_arguments())
    config = uvicorn.Config(
        app, host=flags.host, port=port, log_level="warning", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    services.start()
    threading.Thread(target=_announce, args=(server, flags, port), daemon=True).start()
    try:
        server.run()
    finally:
        services.stop()
    return 0


def _announce(server: uvicorn.Server, flags: Flags, port: int) -> None:
    while not server.started:
        time.sleep(0.05)
    print(f"Easel: {(url := url_of(flags.host, port))}", flush=True)
    if flags.browser:
        webbrowser.open(url)


def _generate(flags: Flags, wanted: Generate) -> int:
    from webui.headless import generate

    with tempfile.TemporaryDirectory(prefix="easel-") as folder:
        paths = make_paths(flags.data_dir, flags.models_dir, scratch=Path(folder))
        generate(flags, wanted, paths)
    return 0


if __name__ == "__main__":
    sys.exit(main())
