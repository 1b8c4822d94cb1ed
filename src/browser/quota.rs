//! The origin's storage: usage, quota, and whether it is persistent: `navigator.storage`.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::{global, property};
use crate::ports::Estimate;

/// Returns the browser's estimate of the origin's storage.
pub async fn estimate() -> Estimate {
    let Some(storage) = storage() else { return Estimate::default() };
    let sizes = ask(&storage, "estimate").await;
    let bytes = |name| sizes.as_ref().and_then(|sizes| property(sizes, name)?.as_f64()).map(|bytes| bytes as u64);
    Estimate {
        usage: bytes("usage"),
        quota: bytes("quota"),
        persisted: ask(&storage, "persisted").await.is_some_and(|persisted| persisted.is_truthy()),
    }
}

/// Asks the browser not to evict the stored data; it may ask the user. Returns whether the browser agreed.
pub async fn persist() -> bool {
    match storage() {
        Some(storage) => ask(&storage, "persist").await.is_some_and(|persisted| persisted.is_truthy()),
        None => false,
    }
}

fn storage() -> Option<JsValue> {
    property(&global("navigator")?, "storage")
}

/// Calls a method without arguments and awaits its promise; `None` when it is missing or fails.
async fn ask(storage: &JsValue, method: &str) -> Option<JsValue> {
    let method: Function = Reflect::get(storage, &method.into()).ok()?.dyn_into().ok()?;
    let promise: Promise = method.call0(storage).ok()?.dyn_into().ok()?;
    JsFuture::from(promise).await.ok()
}
