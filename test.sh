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
# two processes with one thread each take half the time of one with two
OMP_NUM_THREADS=1 exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
