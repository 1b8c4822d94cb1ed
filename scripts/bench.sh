#!/usr/bin/env bash
# The in-browser benchmark over the built package; its peers have a lock file of their own. `page` serves it instead of running it.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need bench
if [ "${1:-}" = page ]; then exec node benches/browser/page.mjs "${@:2}"; fi
exec node benches/browser/run.mjs "$@"
