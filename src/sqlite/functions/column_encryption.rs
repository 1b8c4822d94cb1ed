//! The callbacks of `encrypt` and `decrypt`.

use std::ffi::{CStr, c_int};

use rusqlite::ffi;

use super::{
    arguments::Arguments,
    calls::answer,
    column_keys::{ColumnKeys, not_encrypted},
    user_functions::{COLUMN_KEYS, fail},
};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, codec::Param, failure},
    value::Value,
};

type Callback = unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);

/// Adds both functions to a connection.
pub(super) fn register(connection: &Connection) -> Result<()> {
    // Safe for schemas: each value has its own nonce, so a trigger that encrypts reveals nothing.
    add(connection, c"encrypt", ffi::SQLITE_INNOCUOUS, encrypt)?;
    // An external file's schema must not be able to decrypt a secret into plain text that is stored or synced.
    add(connection, c"decrypt", ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_DIRECTONLY, decrypt)
}

fn add(connection: &Connection, name: &CStr, flags: c_int, callback: Callback) -> Result<()> {
    let (db, flags) = (connection.raw(), ffi::SQLITE_UTF8 | flags);
    let nothing = std::ptr::null_mut();
    // SAFETY: the connection is open and the name NUL-terminated; the callback needs no context.
    let code = unsafe {
        ffi::sqlite3_create_function_v2(db, name.as_ptr(), 1, flags, nothing, Some(callback), None, None, None)
    };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(failure::last(db, code)) }
}

unsafe extern "C" fn encrypt(context: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite's call.
    unsafe { convert(context, &Arguments::of(count, values), encrypted) }
}

unsafe extern "C" fn decrypt(context: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite's call.
    unsafe { convert(context, &Arguments::of(count, values), decrypted) }
}

fn encrypted(keys: &ColumnKeys, value: Param<'_>) -> Result<Value> {
    let kind = match value {
        Param::Null => return Ok(Value::Null),
        Param::Text(text) => return keys.encrypt(text).map(Value::Blob),
        Param::Integer(_) => "an integer",
        Param::Real(_) => "a real number",
        Param::Blob(_) => "a blob",
    };
    // As a text it would decrypt to a text, so the conversion must be explicit.
    Err(Error::new(ErrorCode::InvalidArgument, format!("encrypt() accepts a text or NULL, but got {kind}"))
        .hint("encrypt(CAST(value AS TEXT)) encrypts a number's text; hex(value) converts a blob to text"))
}

fn decrypted(keys: &ColumnKeys, value: Param<'_>) -> Result<Value> {
    match value {
        Param::Null => Ok(Value::Null),
        Param::Blob(bytes) => keys.decrypt(bytes).map(Value::Text),
        _ => Err(not_encrypted()),
    }
}

/// SAFETY: the context and the arguments must be those of SQLite's call.
unsafe fn convert(
    context: *mut ffi::sqlite3_context,
    arguments: &Arguments<'_>,
    by: fn(&ColumnKeys, Param<'_>) -> Result<Value>,
) {
    let keys = COLUMN_KEYS.with_borrow(Clone::clone);
    let mut result = Ok(Value::Null);
    if let Some(keys) = keys {
        let seen = arguments.each(&mut |value| {
            result = Ok(by(&keys, value)?);
            Ok(())
        });
        result = seen.and(result);
    }
    let value = result.map_err(fail).ok();
    // SAFETY: guaranteed by the caller.
    unsafe { answer(context, value) };
}
