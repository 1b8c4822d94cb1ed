#!/usr/bin/env bash
# scripts/test.sh [PART...]: everything that must hold (or the named parts), step by step: named, timed, stopped at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

all=(rust native web build typescript packaging node remote e2e browsers demo)
parts=("${@:-${all[@]}}")
logs=.cache/test
passed=0
started=$SECONDS

# counted WORD LOG: cargo says "test result: ok. 12 passed; 0 failed", Node "ℹ pass 12" and "ℹ fail 0".
counted() {
  awk -v cargo="${1}ed;" -v node="$1" '
    /^test result: / { for (i = 2; i <= NF; i++) if ($i == cargo) n += $(i - 1) }
    $2 == node && NF == 3 { n += $3 }
    END { print n + 0 }' "$2"
}

# step NAME COMMAND...: runs it, shows and keeps what it prints, adds up the tests that it reports.
step() {
  local name=$1 log from=$SECONDS ok=1 here failed; shift
  log=${name,,} log=$logs/${log//[^a-z0-9]/-}.log
  say "$name"
  "$@" </dev/null 2>&1 | tee "$log" || ok=
  here=$(counted pass "$log")
  passed=$((passed + here))
  if [ -z "$ok" ]; then
    failed=$(counted fail "$log")
    printf '\n==> FAILED: %s, after %s s; what it printed is in %s\n' "$name" $((SECONDS - from)) "$log"
    printf '%s passed, %s failed\n' "$passed" $((failed > 0 ? failed : 1))
    exit 1
  fi
  printf -- '--- %s: ok, %s s' "$name" $((SECONDS - from))
  if [ "$here" -gt 0 ]; then printf ', %s passed\n' "$here"; else printf '\n'; fi
}

node_tests() { node --test --test-reporter=spec --test-concurrency=1 "$@"; }

test_rust() {
  step 'rust: format' cargo fmt --all --check
  step 'rust: lints, native' cargo clippy --locked --all-targets -- -D warnings
  step 'rust: lints, wasm' cargo clippy --locked --target wasm32-unknown-unknown --lib --test web -- -D warnings
}

# The same random cases each time: what fails here fails again. Leave the variable out, or CASES=2000, to look for others.
test_native() {
  PROPTEST_RNG_SEED=20261120 step 'native tests' cargo test --locked
  step 'simulation, 10000 seeds' scripts/simulate.sh --seeds 10000
}

# On a page as users have it, without cross-origin isolation, and in a worker of such a page.
test_web() {
  need_chromium
  export WASM_BINDGEN_TEST_NO_ORIGIN_ISOLATION=1 WASM_BINDGEN_TEST_TIMEOUT=120
  local tests=(cargo test --locked --target wasm32-unknown-unknown --test web)
  WASM_BINDGEN_USE_BROWSER=1 step 'web: the crate on a page in Chromium' "${tests[@]}"
  WASM_BINDGEN_USE_DEDICATED_WORKER=1 step 'web: the crate in a worker in Chromium' "${tests[@]}"
}

built=
test_build() {
  [ -z "$built" ] || return 0
  step 'build: wasm' scripts/wasm.sh
  step 'build: package' scripts/package.sh
  step 'build: size' node scripts/size.mjs
  built=1
}

test_typescript() {
  test_build
  step 'typescript: format, lints' node_modules/.bin/biome ci --colors=off .
  step 'typescript: unit tests' node pkg-js/test/run.mjs
  step 'messages: each is shown' node_tests tests/messages/
  step 'typescript: the demo' node_modules/.bin/tsc -p www
}

test_packaging() { need_chromium; need_npm tests/packaging/webpack; need_npm benches/browser; need_npm tests/remote; test_build; step 'packaging' node_tests tests/packaging/; }
test_node() { need_sqlite3; need_npm tests/remote; test_build; step 'node: folders, the command line' node_tests tests/node/; }
test_remote() { need_npm tests/remote; step 'remote' node_tests tests/remote/; }
test_e2e() { need_chromium; need_npm tests/remote; test_build; step 'e2e: the package in Chromium' node_tests tests/e2e/; }
test_browsers() { need_other_browsers; need_npm tests/remote; need_npm tests/browsers; test_build; step 'browsers: Firefox and WebKit' node_tests tests/browsers/; }
test_demo() { need_chromium; need_npm tests/remote; test_build; step 'demo' node www/demo.mjs --check; }

for part in "${parts[@]}"; do
  declare -F "test_$part" >/dev/null || die "no test part '$part': there are ${all[*]}"
done
mkdir -p "$logs"
need_rust; need_clang; need_wasm_bindgen; need_sqlite_sources; need_npm
for part in "${parts[@]}"; do "test_$part"; done

printf '\nall steps ok in %s s\n%s passed, 0 failed\n' $((SECONDS - started)) "$passed"
