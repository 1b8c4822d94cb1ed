//! SQL functions and collations that are implemented in JavaScript.

use std::{cmp::Ordering, rc::Rc};

use js_sys::{Array, BigInt, JsString, Uint8Array};
use wasm_bindgen::prelude::*;

use super::{convert::Thrown, handle::Core, options::Fields};
use crate::{
    browser::{BrowserEntropy, thrown_text, to_bytes},
    error::{Error, ErrorCode, Result},
    memory::room_for,
    ports::Entropy,
    sqlite::{
        Integers, MAX_SAFE_INTEGER, Param,
        functions::{self, Arguments, CallPhase, ColumnKeys, FunctionDefinition, FunctionKind, Functions},
    },
    value::Value,
};

#[wasm_bindgen]
extern "C" {
    /// The package's class `UserFunctions`.
    pub type UserFunctions;

    /// Calls a function for a [`CallPhase`]; returns null, a finite number, a bigint of 64 bits, a string or a
    /// `Uint8Array`.
    #[wasm_bindgen(method, catch)]
    fn call(
        this: &UserFunctions,
        function: usize,
        phase: u32,
        state: u32,
        arguments: &Array,
    ) -> std::result::Result<JsValue, JsValue>;

    /// Compares two texts: returns a number less than, equal to, or greater than 0.
    #[wasm_bindgen(method, catch)]
    fn compare(this: &UserFunctions, collation: usize, one: &str, other: &str) -> std::result::Result<f64, JsValue>;
}

struct JsFunctions {
    user: UserFunctions,
    integers: Integers,
}

#[wasm_bindgen]
impl Core {
    /// Registers SQL functions for every connection of this instance: `{ name, kind, deterministic, directOnly }[]`,
    /// `kind` by its index in scalar, aggregate, window, collation; `integers` as the option. Call this before
    /// `open`.
    #[wasm_bindgen(js_name = addFunctions)]
    pub fn add_functions(definitions: &Array, user: UserFunctions, integers: &str) -> std::result::Result<(), JsValue> {
        let definitions = definitions.iter().map(|each| {
            let fields = Fields(&each);
            FunctionDefinition {
                name: fields.any_text("name").unwrap_or_default(),
                kind: match fields.any_number("kind") {
                    Some(1.0) => FunctionKind::Aggregate,
                    Some(2.0) => FunctionKind::Window,
                    Some(3.0) => FunctionKind::Collation,
                    _ => FunctionKind::Scalar,
                },
                deterministic: fields.is("deterministic"),
                direct_only: fields.is("directOnly"),
            }
        });
        let integers = match integers {
            "bigint" => Integers::Bigint,
            "number" => Integers::Number,
            _ => Integers::Auto,
        };
        let functions = JsFunctions { user, integers };
        functions::add(definitions.collect(), Rc::new(functions)).thrown()
    }

    /// Registers `encrypt` and `decrypt` for every connection of this instance: `Uint8Array[]` of 32 bytes each; the
    /// first key encrypts. Call this before `open`, and after the part `encryption` was loaded.
    #[wasm_bindgen(js_name = addColumnKeys)]
    pub fn add_column_keys(keys: &Array) -> std::result::Result<(), JsValue> {
        let copy = |key: JsValue| {
            let mut bytes = [0; 32];
            // TypeScript has checked the length: another one would trap.
            Uint8Array::from(key).copy_to(&mut bytes);
            bytes
        };
        let keys: Vec<_> = keys.iter().map(copy).collect();
        let keys = ColumnKeys::new(&keys, Box::new(|bytes| BrowserEntropy.fill(bytes))).thrown()?;
        functions::add_column_keys(keys);
        Ok(())
    }
}

impl Functions for JsFunctions {
    fn call(&self, function: usize, phase: CallPhase, state: u32, arguments: &Arguments<'_>) -> Result<Value> {
        let given = Array::new();
        arguments.each(&mut |value| {
            given.push(&to_js(value, self.integers)?);
            Ok(())
        })?;
        let result = self.user.call(function, phase as u32, state, &given).map_err(thrown)?;
        from_js(&result)
    }

    fn compare(&self, collation: usize, one: &str, other: &str) -> Result<Ordering> {
        let order = self.user.compare(collation, one, other).map_err(thrown)?;
        Ok(order.partial_cmp(&0.0).unwrap_or(Ordering::Equal))
    }
}

fn to_js(value: Param<'_>, integers: Integers) -> Result<JsValue> {
    Ok(match value {
        Param::Null => JsValue::NULL,
        Param::Integer(value) => {
            let exact = value.unsigned_abs() <= MAX_SAFE_INTEGER;
            match integers {
                Integers::Auto | Integers::Number if exact => JsValue::from_f64(value as f64),
                Integers::Number => {
                    return Err(Error::new(ErrorCode::IntegerOutOfRange, "An argument is beyond 2^53-1")
                        .hint("Open the database with integers: 'auto' or 'bigint'"));
                }
                _ => BigInt::from(value).into(),
            }
        }
        Param::Real(value) => JsValue::from_f64(value),
        Param::Text(value) => JsString::from(value).into(),
        Param::Blob(value) => Uint8Array::from(value).into(),
    })
}

/// Converts a value that TypeScript has checked.
fn from_js(value: &JsValue) -> Result<Value> {
    if let Some(number) = value.as_f64() {
        let integral = number.trunc() == number && number.abs() <= MAX_SAFE_INTEGER as f64;
        return Ok(if integral { Value::Integer(number as i64) } else { Value::Real(number) });
    }
    if let Some(text) = value.dyn_ref::<JsString>() {
        // A unit of UTF-16 takes three bytes at most.
        room_for(3 * u64::from(text.length()))?;
        return Ok(Value::Text(text.into()));
    }
    if value.is_bigint() {
        let value = i64::try_from(value.clone()).map_err(|_| Error::internal("A bigint beyond 64 bits"))?;
        return Ok(Value::Integer(value));
    }
    Ok(match value.dyn_ref::<Uint8Array>() {
        Some(bytes) => Value::Blob(to_bytes(bytes)?),
        None => Value::Null,
    })
}

fn thrown(error: JsValue) -> Error {
    Error::new(ErrorCode::Internal, thrown_text(&error))
}
