//! What a Rust program in a dedicated worker uses, where there is neither a window nor a document: the calls of
//! `tests/web/api.rs`, sync over `fetch`, and files in the browser's private file system.
#![cfg(target_arch = "wasm32")]

#[path = "../web/api.rs"]
mod api;
mod opfs;
#[path = "../web/sync.rs"]
mod sync;

use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

#[wasm_bindgen_test]
fn this_is_a_dedicated_worker() {
    let has = |name: &str| js_sys::Reflect::has(&js_sys::global(), &name.into()).unwrap();
    assert!(has("DedicatedWorkerGlobalScope") && !has("window") && !has("document"));
}
