#!/usr/bin/env bash
# Builds the app into dist/ without trunk: cargo, and wasm-bindgen of the version in Cargo.lock.
set -euo pipefail
cd "$(dirname "$0")"
cargo build --release --locked
rm -rf dist
wasm-bindgen --target web --no-typescript --out-dir dist target/wasm32-unknown-unknown/release/leptos-notes.wasm
script='<script type="module">import init from "./leptos-notes.js"; init()</script>'
sed "s|<link data-trunk.*|$script|" index.html > dist/index.html
