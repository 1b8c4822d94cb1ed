#!/usr/bin/env bash
# The in-browser benchmark over the built package; its peers have a lock file of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need_npm
need_npm benches/browser
need_chromium
exec node benches/browser/run.mjs "$@"
