#!/usr/bin/env bash
# Everything that must hold: style, types, layers, tests (browser tests included). ./test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=$(command -v python3.11 || command -v python3 || command -v python)
"$python" tools/environment.py --dev
tools/browser.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/lint-imports
exec .venv/bin/python -m pytest "$@"
