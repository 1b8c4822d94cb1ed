#!/usr/bin/env bash
# scripts/simulate.sh [sync] [--seeds N] [--seed S]: runs random workloads over a faulty store, N seeds (10000) or the one seed S;
# with `sync`: random configurations and histories of the sync against a model of its remote (100000).
# The same seed gives the same run. Exits with 1 and prints the seed when a run breaks an invariant.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

test=simulation::acknowledged
export TIDELOCK_SEEDS=10000
if [ "${1:-}" = sync ]; then
  test=sync::random::whatever TIDELOCK_SEEDS=100000
  shift
fi
while [ $# -gt 0 ]; do
  case $1 in
    --seeds) TIDELOCK_SEEDS=${2:?--seeds wants a number} ;;
    --seed) export TIDELOCK_SEED=${2:?--seed wants a number} ;;
    *) die "simulate has no option '$1'" ;;
  esac
  shift 2
done
need simulate
exec cargo test --locked --quiet --test native -- "$test" --nocapture
