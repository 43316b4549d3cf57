"""Easel's entry: parse the command line, then serve, or make one picture."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from webui.errors import WebUIError
from webui.flags import Flags, Generate, parse
from webui.offline import prepare_environment
from webui.paths import make_paths


def main() -> int:
    """Do what the command line asks for; the result is the process's exit code."""
    flags = parse(sys.argv[1:])
    logging.basicConfig(level=flags.log_level, format="%(levelname)s %(name)s: %(message)s")
    prepare_environment()
    try:
        if flags.generate is not None:
            _generate(flags, flags.generate)
        else:
            _serve(flags)
    except WebUIError as error:
        print(f"Easel: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(flags: Flags) -> None:
    from webui.serve import serve

    serve(flags)


def _generate(flags: Flags, wanted: Generate) -> None:
    from webui.headless import generate

    with tempfile.TemporaryDirectory(prefix="easel-") as folder:
        paths = make_paths(flags.data_dir, flags.models_dir, scratch=Path(folder))
        generate(flags, wanted, paths)


if __name__ == "__main__":
    sys.exit(main())
