"""Easel's entry: parse the command line, build the services, mount API and page, serve."""

from __future__ import annotations

import logging
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from dataclasses import replace
from pathlib import Path

from webui.errors import WebUIError
from webui.flags import DEFAULT_PORT, Flags, Generate, parse
from webui.offline import prepare_environment
from webui.paths import make_paths


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

    port = flags.port or _free_port(flags.host)
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


def _free_port(host: str) -> int:
    for port in range(DEFAULT_PORT, DEFAULT_PORT + 100):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            if probe.connect_ex((host if host != "0.0.0.0" else "127.0.0.1", port)) != 0:
                return port
    raise WebUIError("All ports from 7860 to 7959 are taken: choose one with --port.")


def _announce(server: object, flags: Flags, port: int) -> None:
    while not getattr(server, "started", False):
        time.sleep(0.05)
    name = "127.0.0.1" if flags.host in ("0.0.0.0", "::") else flags.host
    print(f"Easel: http://{name}:{port}", flush=True)
    if flags.browser:
        webbrowser.open(f"http://{name}:{port}")


def _generate(flags: Flags, wanted: Generate) -> int:
    from webui.headless import generate

    with tempfile.TemporaryDirectory(prefix="easel-") as scratch:
        paths = replace(make_paths(flags.data_dir, flags.models_dir), scratch=Path(scratch))
        generate(flags, wanted, paths)
    return 0


if __name__ == "__main__":
    sys.exit(main())
