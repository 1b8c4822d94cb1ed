#!/usr/bin/env bash
# scripts/test.sh [PART | TEST FILE]... | --changed [COMMIT]: installs the tools that these tests need, then runs them (scripts/test.mjs).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

have node || die 'Node 20.19 or later is missing'
parts=$(node scripts/test.mjs --parts "$@")
[ -z "$parts" ] || need $parts
exec node scripts/test.mjs "$@"
