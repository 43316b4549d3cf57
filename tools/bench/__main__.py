"""``python -m tools.bench NAME [...]``: figures are ratios against a peer in the same run."""

from __future__ import annotations

import sys

from tools.bench import api, catalog, lora, start, txt2img

BENCHES = {
    "api": api.main,
    "txt2img": txt2img.main,
    "start": start.main,
    "catalog": catalog.main,
    "lora": lora.main,
}


def main() -> int:
    """Run the bench that is named first."""
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHES:
        print(f"usage: python -m tools.bench {{{','.join(BENCHES)}}} [options]", file=sys.stderr)
        return 2
    return BENCHES[sys.argv[1]](sys.argv[2:])


sys.exit(main())
