#!/usr/bin/env bash
# The crate → pkg-js/dist/tidelock_bg.wasm with its parts beside it, and pkg-js/generated/instance.js. The flags for SQLite's C are in .cargo/config.toml.
# The same files with their functions' names are in .cache/named: that is a quarter more (10 % in gzip), which no app should download.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

# Its own folder: these flags would make every other build start again.
target=target/wasm
built=$target/wasm32-unknown-unknown/release/tidelock.wasm
glue=.cache/glue
dist=pkg-js/dist
named=.cache/named
features='--enable-bulk-memory --enable-bulk-memory-opt --enable-nontrapping-float-to-int --enable-sign-ext
  --enable-mutable-globals --enable-reference-types --enable-multivalue'

[ -f "$built" ] || say 'the first build takes two to three minutes on 2 cores'
need build

# The standard library is compiled along, for size. A panic tells what it is and where (src/wasm/panics.rs) before it traps, or the
# `internal` that users get could not be traced to its cause: 2.8 % of gzip more than -Cpanic=immediate-abort, which runs no hook.
# Nothing that users see is formatted with {:?}, so that goes, and with it the values that a panic would show. These are unstable
# options of the stable compiler: of exactly the version that is installed, and they change no code that compiles without them. The
# relocations tell what reaches what, for scripts/split.mjs.
#
# The places of panics are in the file: without their columns, and without the folders of this machine, of which only what comes after
# the registry's and the standard library's is left.
#
# As a cdylib alone: while the crate is a Rust library, too, cargo leaves the profile's link-time optimization out without a word.
cargo fetch --quiet --locked
remap="--remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust/library/="
for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do remap+=" --remap-path-prefix=$folder="; done
say 'wasm: cargo build'
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zunstable-options -Cpanic=abort -Zlocation-detail=file,line -Zfmt-debug=none
  -Cllvm-args=-disable-lsr -Clink-arg=--emit-relocs --cfg=sha2_backend_soft=\"compact\" $remap" \
  cargo rustc --release --lib --crate-type cdylib --target wasm32-unknown-unknown --locked --target-dir "$target" \
  -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size

# small FILE.wat: a part of it in dist, by wasm-opt, and its functions in an order that gzip likes. Not --converge: what it saves raw,
# gzip loses; so does naming what is computed twice (local-cse). The lowest 1024 bytes of memory are the far end of the stack: nothing
# lies there.
small() {
  set -e
  local in=$1 out opt=node_modules/.bin/wasm-opt
  out=$(basename "$in" .wat)
  out=$dist/tidelock_${out/#core/bg}.wasm
  $opt -Oz --low-memory-unused --skip-pass=local-cse --strip-producers -g $features "$in" -o "$in.small"
  node scripts/order.mjs "$in.small" "$in.named"
  $opt --reorder-functions-by-name -g -ol 3 -s 2 --generate-stack-ir --optimize-stack-ir $features "$in.named" -o "$out"
}

# wasm-opt takes 20 s: not again for the same input.
stamp=$(cat "$built" scripts/wasm.sh scripts/parts.json scripts/split.mjs scripts/split/* scripts/order.mjs scripts/wasm-bytes.mjs package-lock.json | sha256sum | cut -c 1-32)
if [ ! -f "$dist/tidelock_bg.wasm" ] || [ "$stamp" != "$(cat $glue/stamp 2>/dev/null)" ]; then
  say 'wasm: wasm-bindgen, parts, wasm-opt'
  rm -rf "$glue"/parts "$dist"/*.wasm "$named"
  mkdir -p "$glue"/parts "$dist"
  wasm-bindgen --target web --omit-default-module-path --no-demangle --out-dir "$glue" --out-name tidelock "$built"
  node scripts/split/trim.mjs "$glue/tidelock_bg.wasm" "$glue/tidelock.js" "$glue/trimmed.wasm"
  node_modules/.bin/wasm-opt --remove-unused-module-elements -g $features "$glue/trimmed.wasm" -o "$glue/whole.wasm"
  node_modules/.bin/wasm-dis $features "$glue/whole.wasm" -o "$glue/whole.wat"
  node scripts/split.mjs "$built" "$glue/whole.wat" "$glue/parts" > "$glue/split.log"
  export -f small
  export dist features
  # The largest first: it takes longest.
  ls -S "$glue"/parts/*.wat | xargs -P "$(nproc)" -I '{}' bash -c 'small "$1"' small '{}'
  node scripts/split/mark.mjs "$stamp" "$named" "$dist"/*.wasm
  echo "$stamp" > "$glue/stamp"
fi

node scripts/instance.mjs "$glue/tidelock.js" "$glue/parts/names.json" pkg-js/generated
