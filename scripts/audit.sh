#!/usr/bin/env bash
# Checks vulnerabilities, licences and sources of all dependencies, with cargo-deny (deny.toml) and npm audit for each lock file. Needs the
# network; not a part of the tests, because its result changes with the outside world. Reports what can't be reached, and checks the rest.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

failed=()
unasked=()
need audit || exit 1
cargo deny --locked check bans licenses sources || failed+=('cargo deny')

said=$(mktemp)
trap 'rm -f "$said"' EXIT

# asked WHAT UNREACHABLE COMMAND...: runs the command. When it fails and its output matches UNREACHABLE, WHAT is reported as unreachable.
asked() {
  local what=$1 unreachable=$2
  shift 2
  if "$@" > "$said" 2>&1; then
    cat "$said"
  elif grep -qiE "$unreachable" "$said"; then
    unasked+=("$what")
  else
    cat "$said"
    failed+=("$what")
  fi
}

say 'vulnerabilities of crates'
asked 'the database of vulnerabilities of crates' 'failed to (fetch|clone|open|load|update) advisory database' \
  cargo deny --locked check advisories
while read -r lock; do
  folder=$(dirname "$lock")
  say "npm audit in $folder"
  asked "npm's audit in $folder" 'audit endpoint returned an error|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ENOAUDIT' \
    npm audit --prefix "$folder" --package-lock-only --audit-level=low
done < <(git ls-files '*package-lock.json')

# report WHY WHAT...: prints one line.
report() {
  local why=$1
  shift
  printf 'build.sh: %s: %s' "$why" "$1" >&2
  shift
  [ $# = 0 ] || printf '; %s' "$@" >&2
  echo >&2
}
[ ${#unasked[@]} = 0 ] || report 'not checked, since it could not be reached' "${unasked[@]}"
[ ${#failed[@]} = 0 ] || report failed "${failed[@]}"
[ ${#unasked[@]} = 0 ] && [ ${#failed[@]} = 0 ]
