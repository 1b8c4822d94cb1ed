//! Errors and plain objects across the boundary.

use serde::{Serialize, de::DeserializeOwned};
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::prelude::*;

use crate::error::{Error, Result};

/// A plain object for JavaScript: maps become objects, missing options `null`.
pub fn to_js(value: &impl Serialize) -> JsValue {
    let serializer = Serializer::new().serialize_maps_as_objects(true).serialize_missing_as_null(true);
    // Fails only for types that no answer of ours has.
    value.serialize(&serializer).unwrap_or(JsValue::NULL)
}

/// Reads a plain object; a wrong shape is thrown as `invalid_argument`.
pub fn from_js<T: DeserializeOwned>(value: &JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value.clone())
        .map_err(|error| to_js(&Error::invalid("the options have a wrong shape").cause(error)))
}

/// Turns the crate's errors into what JavaScript catches: a plain `CoreError` object.
pub trait Thrown<T> {
    /// The value, or the error as a plain object to throw.
    fn thrown(self) -> Result<T, JsValue>;
}

impl<T> Thrown<T> for Result<T> {
    fn thrown(self) -> Result<T, JsValue> {
        self.map_err(|error| to_js(&error))
    }
}
