#!/usr/bin/env bash
# scripts/wasm.sh [NEEDS]: installs these (scripts/tools.sh lists them), and builds the crate into pkg-js/dist/tidelock_bg.wasm with its
# parts beside it, and the glue in .cache/glue. .cargo/config.toml has the flags for SQLite's C code. Copies with function names are in
# .cache/named: names add a quarter of bytes (10 % in gzip).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

# A separate folder, because these flags would invalidate every other build.
target=target/wasm
built=$target/wasm32-unknown-unknown/release/tidelock.wasm
glue=.cache/glue
dist=pkg-js/dist
named=.cache/named
features='--enable-bulk-memory --enable-bulk-memory-opt --enable-nontrapping-float-to-int --enable-sign-ext
  --enable-mutable-globals --enable-reference-types --enable-multivalue'

[ -f "$built" ] || say 'the first build takes two to three minutes on 2 cores'
# What compiling needs is installed first, and the rest beside it: the link leaves a core idle for a minute and a half. A failure of this script
# ends that.
need native
set -m # process groups of their own
need_wasm_bindgen &
wasm_bindgen=$!
need build "$@" &
others=$!
set +m
trap 'kill -- -$wasm_bindgen -$others 2>/dev/null || true' EXIT

# The standard library is compiled for size, too. A panic reports its message and file (src/wasm/panics.rs) before it traps, because an
# `internal` error without them could not be traced to its cause: 2 % more gzip than -Cpanic=immediate-abort, which runs no hook. Nothing
# that users see is formatted with {:?}, so Debug output is removed, and with it the values in panic messages. These are unstable options of
# exactly the installed stable compiler, and they don't change code that compiles without them. scripts/split.mjs reads the relocations.
#
# The files of panics are in the wasm without lines (another 0.8 %: the stack has the function, scripts/names.mjs) and without the folders of
# this machine: only the part of a path after the registry's or the standard library's folder is kept.
#
# As a cdylib only: when the crate is a Rust library, too, cargo silently skips the profile's link-time optimization.
# Without the folders `-*`, which `cargo package` leaves there: with other flags everything would be compiled again.
cargo fetch --quiet --locked
flags=(-Zunstable-options -Cpanic=abort -Zlocation-detail=file -Zfmt-debug=none -Cllvm-args=-disable-lsr
  -Cllvm-args=-enable-pre=false -Clink-arg=--emit-relocs '--cfg=sha2_backend_soft="compact"'
  "--remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust/library/=")
for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/[!-]*/; do flags+=("--remap-path-prefix=$folder="); done
say 'wasm: cargo build'
encoded=$(IFS=$'\x1f'; echo "${flags[*]}") # paths may have spaces
RUSTC_BOOTSTRAP=1 CARGO_ENCODED_RUSTFLAGS="$encoded" \
  cargo rustc --release --lib --crate-type cdylib --features npm --target wasm32-unknown-unknown --locked --target-dir "$target" \
  -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size
wait $others
wait $wasm_bindgen || true
need wasm_bindgen # into PATH; and again, where it failed for want of a package

# Binaryen's programs are wasm themselves: optimising them takes V8 longer than most runs of them.
binaryen() { node --liftoff-only "node_modules/.bin/$1" "${@:2}"; }

# small FILE.wat: optimises a module into dist with wasm-opt, with its functions in an order that compresses well. Without --converge, whose
# raw savings cost more in gzip, as does local-cse; scripts/split/data.mjs has packed the memory. The lowest 1024 bytes of memory are the far
# end of the stack and hold no data.
small() {
  set -e
  local in=$1 out
  out=$(basename "$in" .wat)
  out=$dist/tidelock_${out/#core/bg}.wasm
  binaryen wasm-opt -Oz --low-memory-unused --skip-pass=local-cse --skip-pass=memory-packing --strip-producers -g $features "$in" -o "$in.small"
  node scripts/order.mjs "$in.small" "$in.named"
  binaryen wasm-opt --reorder-functions-by-name -g -ol 3 -s 2 --generate-stack-ir --optimize-stack-ir $features "$in.named" -o "$out"
}

# wasm-opt takes 20 s: skip it for the same input.
stamp=$(cat "$built" scripts/wasm.sh scripts/parts.json scripts/split.mjs scripts/split/* scripts/order.mjs scripts/wasm-bytes.mjs package-lock.json | sha256sum | cut -c 1-32)
if [ ! -f "$dist/tidelock_bg.wasm" ] || [ "$stamp" != "$(cat $glue/stamp 2>/dev/null)" ]; then
  say 'wasm: wasm-bindgen, parts, wasm-opt'
  rm -rf "$glue"/parts "$dist"/*.wasm "$named"
  mkdir -p "$glue"/parts "$dist"
  wasm-bindgen --target web --omit-default-module-path --no-demangle --out-dir "$glue" --out-name tidelock "$built"
  node scripts/split/trim.mjs "$glue/tidelock_bg.wasm" "$glue/tidelock.js" "$glue/trimmed.wasm"
  binaryen wasm-opt --remove-unused-module-elements -g $features "$glue/trimmed.wasm" -o "$glue/whole.wasm"
  binaryen wasm-dis $features "$glue/whole.wasm" -o "$glue/whole.wat"
  node scripts/split.mjs "$built" "$glue/whole.wat" "$glue/parts" > "$glue/split.log"
  export -f binaryen small
  export dist features
  # The largest first, because it takes longest.
  ls -S "$glue"/parts/*.wat | xargs -P "$(nproc)" -I '{}' bash -c 'small "$1"' small '{}'
  node scripts/split/mark.mjs "$stamp" "$named" "$dist"/*.wasm
  echo "$stamp" > "$glue/stamp"
fi
