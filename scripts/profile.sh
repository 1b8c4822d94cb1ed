#!/usr/bin/env bash
# Runs Chrome's profiler over a step of the benchmark. The package is the published one, but with function names.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need profile
mkdir -p .cache/profile/dist
cp pkg-js/dist/*.js .cache/named/*.wasm .cache/profile/dist/
exec node benches/browser/profile.mjs "$@"
