#!/usr/bin/env bash
# Known vulnerabilities, licences and sources of all dependencies: cargo-deny by deny.toml, npm audit by each lock file. Needs the network;
# it is no part of the tests, whose outcome would change with the world.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

failed=()
have cargo-deny || die 'cargo-deny is missing: cargo install --locked cargo-deny (some minutes, once)'
cargo deny --locked check || failed+=('cargo deny')
while read -r lock; do
  folder=$(dirname "$lock")
  say "npm audit in $folder"
  npm audit --prefix "$folder" --package-lock-only --audit-level=low || failed+=("npm audit in $folder")
done < <(git ls-files '*package-lock.json')
[ ${#failed[@]} = 0 ] || { printf 'build.sh: failed: %s\n' "${failed[*]}" >&2; exit 1; }
