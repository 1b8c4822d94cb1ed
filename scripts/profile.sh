#!/usr/bin/env bash
# Chrome's profiler over a step of the benchmark, on a build whose functions have names. The package's JavaScript is the ordinary one.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need profile
scripts/wasm.sh --names
cp pkg-js/dist/*.js .cache/profile/dist/
exec node benches/browser/profile.mjs "$@"
