#!/usr/bin/env bash
# The crate → pkg-js/dist/tidelock_bg.wasm with its parts beside it, and pkg-js/generated/instance.js. The flags for SQLite's C are in .cargo/config.toml.
# With --names the same code, its functions' names kept, in .cache/profile/dist instead, for scripts/profile.sh: package that after an
# ordinary build.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

need build

# Its own folder: these flags would make every other build start again.
target=target/wasm
built=$target/wasm32-unknown-unknown/release/tidelock.wasm
glue=.cache/glue
dist=pkg-js/dist
names=
if [ "${1:-}" = --names ]; then
  glue=.cache/profile/glue dist=.cache/profile/dist names=1
fi
features='--enable-bulk-memory --enable-bulk-memory-opt --enable-nontrapping-float-to-int --enable-sign-ext
  --enable-mutable-globals --enable-reference-types --enable-multivalue'

# The standard library is compiled along, for size, and without what a panic would say: it traps, which is `internal`. Nothing
# that users see is formatted with {:?}, so that goes, too. These are unstable options of the stable compiler: of exactly the
# version that is installed, and they change no code that compiles without them. The relocations tell what reaches what, for
# scripts/split.mjs.
#
# As a cdylib alone: while the crate is a Rust library, too, cargo leaves the profile's link-time optimization out without a word.
say 'wasm: cargo build'
RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zfmt-debug=none
  -Cllvm-args=-disable-lsr -Clink-arg=--emit-relocs --cfg=sha2_backend_soft="compact"' \
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
  if [ -n "$names" ]; then
    $opt -Oz --low-memory-unused --skip-pass=local-cse -g $features "$in" -o "$out"
    return
  fi
  $opt -Oz --low-memory-unused --skip-pass=local-cse --strip-producers --strip-debug $features "$in" -o "$in.small"
  node scripts/order.mjs "$in.small" "$in.named"
  $opt --reorder-functions-by-name --strip-debug -ol 3 -s 2 --generate-stack-ir --optimize-stack-ir $features "$in.named" -o "$out"
}

# wasm-opt takes 20 s: not again for the same input.
stamp=$(cat "$built" scripts/wasm.sh scripts/parts.json scripts/split.mjs scripts/split/* scripts/order.mjs scripts/wasm-bytes.mjs package-lock.json | sha256sum | cut -c 1-32)
if [ ! -f "$dist/tidelock_bg.wasm" ] || [ "$stamp" != "$(cat $glue/stamp 2>/dev/null)" ]; then
  say 'wasm: wasm-bindgen, parts, wasm-opt'
  rm -rf "$glue"/parts "$dist"/*.wasm
  mkdir -p "$glue"/parts "$dist"
  wasm-bindgen --target web --omit-default-module-path --no-demangle --out-dir "$glue" --out-name tidelock "$built"
  node scripts/split/trim.mjs "$glue/tidelock_bg.wasm" "$glue/tidelock.js" "$glue/trimmed.wasm"
  node_modules/.bin/wasm-opt --remove-unused-module-elements -g $features "$glue/trimmed.wasm" -o "$glue/whole.wasm"
  node_modules/.bin/wasm-dis $features "$glue/whole.wasm" -o "$glue/whole.wat"
  node scripts/split.mjs "$built" "$glue/whole.wat" "$glue/parts"
  export -f small
  export dist names features
  # The largest first: it takes longest.
  ls -S "$glue"/parts/*.wat | xargs -P "$(nproc)" -I '{}' bash -c 'small "$1"' small '{}'
  node scripts/split/mark.mjs "$stamp" "$dist"/*.wasm
  echo "$stamp" > "$glue/stamp"
fi

[ -n "$names" ] || node scripts/instance.mjs "$glue/tidelock.js" "$glue/parts/names.json" pkg-js/generated
