#!/usr/bin/env bash
# Compiles the native tests and the examples, and prints "program: PATH" for each test program; scripts/test.mjs runs them, and has Clippy
# compile all of it. The programs aren't optimised, except the library that `native` tests: they take a third longer, and compile in a
# quarter of the time.
set -euo pipefail
cd "$(dirname "$0")/.."

# compile COMMAND OPTION... [-- OPTION...]: of cargo.
compile() {
  cargo "$1" --locked --message-format=json-render-diagnostics "${@:2}" |
    sed -n 's|.*"overflow_checks":[a-z]*,"test":true}.*"executable":"\([^"]*/deps/[^"]*\)".*|program: \1|p'
}
compile rustc --features realtime --profile test --lib -- -C opt-level=0
compile rustc --features realtime --profile test --test native -- -C opt-level=0
compile test --no-run -p tidelock-gcm -p tidelock-macros -p tidelock-math
# tests/crate runs the examples. `cargo test --examples` would compile tests of them instead.
cargo build --locked --features realtime --examples
