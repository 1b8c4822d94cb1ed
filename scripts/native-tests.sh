#!/usr/bin/env bash
# Compiles the native tests, and prints a message of cargo for each program, as JSON; scripts/test.mjs runs them. The unit tests aren't
# optimised: they run 3 s longer, and compile in a quarter of the time.
set -euo pipefail
cd "$(dirname "$0")/.."

json=--message-format=json-render-diagnostics
cargo rustc --locked --features realtime --profile test "$json" --lib -- -C opt-level=0
cargo test --locked --features realtime --no-run "$json" --test native --examples
cargo test --locked --no-run "$json" -p tidelock-gcm -p tidelock-macros -p tidelock-math
