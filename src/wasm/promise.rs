//! The engine's futures as promises.

use std::future::Future;

use js_sys::Promise;
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use super::convert::{Thrown, to_js};
use crate::{error::Result, ports::LocalFuture};

/// Converts a future to a promise. Not generic: the code for each type of future is large.
fn promise_of(future: LocalFuture<'static, Result<JsValue, JsValue>>) -> Promise {
    wasm_bindgen_futures::future_to_promise(future)
}

/// Returns a promise that resolves with a plain object.
pub(super) fn answer<T: Serialize>(future: impl Future<Output = Result<T>> + 'static) -> Promise {
    promise_of(Box::pin(async move { future.await.map(|answer| to_js(&answer)).thrown() }))
}

/// Returns a promise that resolves with a JavaScript value.
pub(super) fn value(future: impl Future<Output = Result<JsValue>> + 'static) -> Promise {
    promise_of(Box::pin(async move { future.await.thrown() }))
}

/// Returns a promise that resolves without a value.
pub(super) fn done(future: impl Future<Output = Result<()>> + 'static) -> Promise {
    promise_of(Box::pin(async move { future.await.map(|()| JsValue::UNDEFINED).thrown() }))
}

/// Awaits a promise that JavaScript handed in; a rejection is the thrown value.
pub(super) async fn settled(promise: Result<Promise, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(promise?).await
}
