#!/usr/bin/env bash
# scripts/test.sh [PART | TEST FILE]... | --changed [COMMIT]: installs the tools that these tests need, then runs them (scripts/test.mjs).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

have node || die 'Node 20.19 or later is missing'
parts=$(node scripts/test.mjs --parts "$@")
[ -z "$parts" ] || need $parts
# A clone that is built once is built faster without what the next build would need.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0
exec node scripts/test.mjs "$@"
