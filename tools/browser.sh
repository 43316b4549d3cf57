#!/usr/bin/env bash
# Find a Chromium for the browser tests, else have the system's package manager install one.
set -euo pipefail
find_browser() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return 0
    done
    return 1
}
if found=$(find_browser); then
    echo "browser: $found"
    exit 0
fi
run_as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
echo "browser: none found, asking the package manager for Chromium ..."
if command -v apt-get >/dev/null; then
    run_as_root apt-get update -qq && run_as_root apt-get install -y -qq chromium || true
elif command -v dnf >/dev/null; then
    run_as_root dnf install -y -q chromium || true
elif command -v brew >/dev/null; then
    brew install --cask chromium || true
fi
if ! find_browser; then
    echo "The browser tests need Chromium, and it could not be installed: install it and run ./test.sh again." >&2
    exit 1
fi
