#!/usr/bin/env bash
# Everything that must hold, step by step: named, timed, stopped at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

logs=.cache/test
rm -rf "$logs"; mkdir -p "$logs"
passed=0
started=$SECONDS

# step NAME COMMAND...: runs it, shows and keeps what it prints, adds up the tests that it reports.
step() {
  local name=$1 log="$logs/${1//[^a-z0-9]/-}.log" from=$SECONDS; shift
  say "$name"
  if ! "$@" </dev/null 2>&1 | tee "$log"; then
    printf '\n==> FAILED: %s (after %s s; its output is in %s)\n%s passed, 1 failed\n' "$name" $((SECONDS - from)) "$log" "$passed"
    exit 1
  fi
  # cargo says "test result: ok. 12 passed", Node "ℹ pass 12".
  local count
  count=$(sed -nE 's/^test result: ok\. ([0-9]+) passed.*/\1/p; s/^. pass ([0-9]+)$/\1/p' "$log" | awk "{ n += \$1; seen = 1 } END { if (seen) print n }")
  passed=$((passed + ${count:-0}))
  printf -- '--- %s: ok, %s s%s\n' "$name" $((SECONDS - from)) "${count:+, $count passed}"
}

node_tests() { node --test --test-reporter=spec --test-concurrency=1 "$@"; }

wasm_tests() {
  # What users have: no cross-origin isolation.
  WASM_BINDGEN_USE_BROWSER=1 WASM_BINDGEN_TEST_NO_ORIGIN_ISOLATION=1 WASM_BINDGEN_TEST_TIMEOUT=120 \
    cargo test --locked --target wasm32-unknown-unknown --lib --test web
}

tools() { need_rust; need_clang; need_wasm_bindgen; need_sqlite_sources; need_npm; need_npm tests/remote; need_chromium; }

say 'tools'; tools # not a step: it sets PATH for those that follow
step 'rust format' cargo fmt --check
step 'rust lints, native' cargo clippy --locked --all-targets -- -D warnings
step 'rust lints, wasm' cargo clippy --locked --target wasm32-unknown-unknown --lib --test web -- -D warnings
step 'rust tests, native' cargo test --locked
step 'rust tests, Chromium' wasm_tests
step 'build: wasm' scripts/wasm.sh
step 'build: package' scripts/package.sh
step 'typescript and javascript: format, lints' node_modules/.bin/biome ci --colors=off .
step 'packaging' node_tests tests/packaging/
step 'remote' node_tests tests/remote/
step 'end to end' node_tests tests/e2e/
step 'demo' node www/demo.mjs --check

printf '\nall steps ok in %s s\n%s passed, 0 failed\n' $((SECONDS - started)) "$passed"
