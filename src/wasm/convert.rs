//! Errors and plain objects across the boundary.

use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::prelude::*;

use super::plain::plain;
use crate::error::{Error, Result};

/// Converts a value to a plain object.
#[inline(never)]
pub fn to_js<T: Serialize>(value: &T) -> JsValue {
    plain(value)
}

/// Reads a plain object. Throws `invalid_argument` for a wrong shape.
pub fn from_js<T: DeserializeOwned>(value: &JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value.clone()).map_err(|error| {
        to_js(&Error::invalid("The options have a wrong shape").hint("The cause names what is wrong").cause(error))
    })
}

/// Converts the crate's errors to the plain `CoreError` objects that JavaScript catches.
pub trait Thrown<T> {
    /// Returns the value, or the error as a plain object to throw.
    fn thrown(self) -> Result<T, JsValue>;
}

impl<T> Thrown<T> for Result<T> {
    fn thrown(self) -> Result<T, JsValue> {
        self.map_err(|error| to_js(&error))
    }
}
