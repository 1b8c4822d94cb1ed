#!/usr/bin/env bash
# scripts/simulate.sh [sync] [--seeds N] [--seed S]: runs random workloads over a faulty store, N seeds (10000) or the one seed S;
# with `sync`: random configurations and histories of the sync against a model of its remote (100000);
# with `kills [--rounds N]`: kills browsers, tabs and workers in the middle of writes, checkpoints and moves, 60 times in each test.
# The same seed gives the same run. Exits with 1 and prints the seed when a run breaks an invariant.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

wrong() { printf 'build.sh: simulate: %s\n' "$*" >&2; exit 2; }
# number OPTION VALUE: prints the value of an option. Call it so that its status counts: not within `export`.
number() { [[ $2 =~ ^[0-9]+$ ]] || wrong "$1 wants a number, not '$2'"; echo "$2"; }

if [ "${1:-}" = kills ]; then
  case "${2:-}" in
    '') TIDELOCK_KILLS=60 ;;
    --rounds) TIDELOCK_KILLS=$(number --rounds "${3:-}") ;;
    *) wrong "kills has no option '$2'" ;;
  esac
  export TIDELOCK_KILLS
  need e2e
  scripts/wasm.sh
  scripts/package.sh
  exec node --test --test-concurrency=1 --test-reporter=spec --test-name-pattern='kill|die' \
    tests/e2e/{kills,opfs,moving,dying-tabs}.test.mjs
fi
test=simulation::acknowledged
export TIDELOCK_SEEDS=10000
if [ "${1:-}" = sync ]; then
  test=sync::random::whatever TIDELOCK_SEEDS=100000
  shift
fi
while [ $# -gt 0 ]; do
  case $1 in
    --seeds) TIDELOCK_SEEDS=$(number --seeds "${2:-}") ;;
    --seed)
      TIDELOCK_SEED=$(number --seed "${2:-}")
      export TIDELOCK_SEED
      ;;
    *) wrong "there is no option '$1'" ;;
  esac
  shift 2
done
need simulate
exec cargo test --locked --features realtime --quiet --test native -- "$test" --nocapture
