#!/usr/bin/env bash
# Start Easel. The first start makes .venv and installs what is needed; flags: ./webui.sh --help
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
for python in python3.11 python3.12 python3.13 python3 python; do
    command -v "$python" >/dev/null 2>&1 || continue
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && break
    python=
done
if [ -z "${python:-}" ] || ! command -v "$python" >/dev/null 2>&1; then
    echo "Easel needs Python 3.11 (3.12 and 3.13 do as well): install it and start again." >&2
    exit 1
fi
"$python" tools/environment.py
exec .venv/bin/python app.py "$@"
