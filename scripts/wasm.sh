#!/usr/bin/env bash
# The crate → pkg-js/dist/tidelock_bg.wasm and pkg-js/generated/instance.js. The flags for SQLite's C are in .cargo/config.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

need_rust
need_clang
need_wasm_bindgen
need_sqlite_sources
need_npm

built=target/wasm32-unknown-unknown/release/tidelock.wasm
glue=.cache/glue
features=(--enable-bulk-memory --enable-bulk-memory-opt --enable-nontrapping-float-to-int --enable-sign-ext
  --enable-mutable-globals --enable-reference-types --enable-multivalue)

say 'wasm: cargo build'
cargo build --release --lib --target wasm32-unknown-unknown --locked

# wasm-opt takes 10 s: not again for the same input.
stamp=$(cat "$built" scripts/wasm.sh package-lock.json | sha256sum)
if [ ! -f pkg-js/dist/tidelock_bg.wasm ] || [ "$stamp" != "$(cat $glue/stamp 2>/dev/null)" ]; then
  say 'wasm: wasm-bindgen, wasm-opt'
  wasm-bindgen --target web --omit-default-module-path --out-dir "$glue" --out-name tidelock "$built"
  mkdir -p pkg-js/dist
  node_modules/.bin/wasm-opt -Oz --converge --strip-producers "${features[@]}" \
    "$glue/tidelock_bg.wasm" -o pkg-js/dist/tidelock_bg.wasm
  echo "$stamp" > "$glue/stamp"
fi

node scripts/instance.mjs "$glue/tidelock.js" pkg-js/generated
