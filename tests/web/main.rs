//! Tests that need a real browser: `./build.sh test` runs them in headless Chromium by wasm-bindgen-test, on a page without
//! cross-origin isolation, as users have it. Everything that can be tested natively is in `tests/native`.
#![cfg(target_arch = "wasm32")]

mod api;
mod encryption;
mod fetch;
mod indexeddb;
mod sync;

use tidelock::{ErrorCode, OpenOptions, Storage};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn the_page_is_not_isolated() {
    let isolated = js_sys::Reflect::get(&js_sys::global(), &"crossOriginIsolated".into());
    assert_eq!(isolated.ok().and_then(|value| value.as_bool()), Some(false));
}

#[wasm_bindgen_test]
async fn files_need_a_worker() {
    let error = tidelock::open(OpenOptions::new("nowhere").storage(Storage::Opfs)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::UnsupportedEnvironment);
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("dedicated worker")), "{error}");
}
