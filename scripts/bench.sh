#!/usr/bin/env bash
# Runs the in-browser benchmark over the built package; the peers have their own lock file. `page` serves the benchmark instead.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need bench
if [ "${1:-}" = page ]; then exec node benches/browser/page.mjs "${@:2}"; fi
exec node benches/browser/run.mjs "$@"
