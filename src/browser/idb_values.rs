//! The form of the store's keys and bytes in IndexedDB.
//!
//! Bytes are ArrayBuffers of their own (never views over wasm memory). Only the head is an object: its bytes, and
//! beside them what `databases()` shows without opening the database.

use js_sys::{Array, ArrayBuffer, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use super::{object, property, to_bytes};
use crate::{
    error::Result,
    ports::{HeadInfo, Key, LogKey},
};

/// The key of the head.
pub const HEAD: &str = "head";
/// The key of the head's copy: only its bytes.
pub const HEAD_COPY: &str = "head copy";

/// Converts bytes to a value.
pub fn buffer(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).buffer().into()
}

/// Returns the bytes of a value, if there is one; empty for any other type, which means damage. Fails with `out_of_memory`.
pub fn bytes(value: &JsValue) -> Result<Option<Vec<u8>>> {
    if value.is_undefined() {
        return Ok(None);
    }
    value.dyn_ref::<ArrayBuffer>().map_or(Ok(Vec::new()), |buffer| to_bytes(&Uint8Array::new(buffer))).map(Some)
}

/// Returns the value of a head.
pub fn head(bytes: &[u8], info: &HeadInfo) -> JsValue {
    let head = described(info);
    let _ = Reflect::set(&head, &HEAD.into(), &buffer(bytes));
    head.into()
}

/// Returns what can be shown of a database.
pub fn described(info: &HeadInfo) -> Object {
    let holder = object(&[
        ("id", (&info.holder.id).into()),
        ("title", (&info.holder.title).into()),
        ("url", (&info.holder.url).into()),
        ("since", JsValue::from_f64(info.holder.since.0 as f64)),
    ]);
    let features: Array = info.features.iter().map(JsValue::from).collect();
    object(&[("holder", holder.into()), ("features", features.into())])
}

/// Returns the bytes of a head's value, as [`bytes`] does.
pub fn head_bytes(value: &JsValue) -> Result<Option<Vec<u8>>> {
    if value.is_undefined() {
        return Ok(None);
    }
    property(value, HEAD).map_or(Ok(Some(Vec::new())), |head| bytes(&head))
}

/// Returns the key that a value is stored under.
pub fn id_of(key: &Key) -> JsValue {
    match key {
        Key::Log(key) => log_key(*key),
        Key::Manifest(generation) => JsValue::from_f64(*generation as f64),
        Key::Chunk(id) => id.to_string().into(),
    }
}

/// Returns the key that a record of the log is stored under.
pub fn log_key((lsn, part): LogKey) -> JsValue {
    Array::of2(&JsValue::from_f64(lsn as f64), &part.into()).into()
}

/// Parses a key made by [`log_key`].
pub fn read_log_key(key: &JsValue) -> Option<LogKey> {
    let key: &Array = key.dyn_ref()?;
    Some((key.get(0).as_f64()? as u64, key.get(1).as_f64()? as u32))
}
