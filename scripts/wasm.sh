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

# Its own folder: these flags would make every other build start again.
target=target/wasm
built=$target/wasm32-unknown-unknown/release/tidelock.wasm
glue=.cache/glue
features=(--enable-bulk-memory --enable-bulk-memory-opt --enable-nontrapping-float-to-int --enable-sign-ext
  --enable-mutable-globals --enable-reference-types --enable-multivalue)

# The standard library is compiled along, for size, and without what a panic would say: it traps, which is `internal`. Nothing
# that users see is formatted with {:?}, so that goes, too. These are unstable options of the stable compiler: of exactly the
# version that is installed, and they change no code that compiles without them.
say 'wasm: cargo build'
RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zfmt-debug=none' \
  cargo build --release --lib --target wasm32-unknown-unknown --locked --target-dir "$target" \
  -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size

# wasm-opt takes 10 s: not again for the same input.
stamp=$(cat "$built" scripts/wasm.sh scripts/order.mjs package-lock.json | sha256sum)
if [ ! -f pkg-js/dist/tidelock_bg.wasm ] || [ "$stamp" != "$(cat $glue/stamp 2>/dev/null)" ]; then
  say 'wasm: wasm-bindgen, wasm-opt'
  wasm-bindgen --target web --omit-default-module-path --out-dir "$glue" --out-name tidelock "$built"
  mkdir -p pkg-js/dist
  # Not --converge: what it saves raw, gzip loses.
  node_modules/.bin/wasm-opt -Oz --strip-producers --strip-debug "${features[@]}" "$glue/tidelock_bg.wasm" -o "$glue/small.wasm"
  node scripts/order.mjs "$glue/small.wasm" "$glue/named.wasm"
  node_modules/.bin/wasm-opt --reorder-functions-by-name --strip-debug -ol 3 -s 2 --generate-stack-ir --optimize-stack-ir \
    "${features[@]}" "$glue/named.wasm" -o pkg-js/dist/tidelock_bg.wasm
  echo "$stamp" > "$glue/stamp"
fi

node scripts/instance.mjs "$glue/tidelock.js" pkg-js/generated
