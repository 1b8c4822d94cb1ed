//! The arguments of a call.

use std::{borrow::Cow, ffi::c_int, slice};

use rusqlite::ffi;

use crate::{error::Result, sqlite::codec::Param, value::Value};

/// The arguments of a call.
pub struct Arguments<'a> {
    values: &'a [*mut ffi::sqlite3_value],
}

impl<'a> Arguments<'a> {
    /// Wraps the arguments of a call of SQLite. SAFETY: `count` values must be valid as long as they are used.
    pub(super) unsafe fn of(count: c_int, values: *mut *mut ffi::sqlite3_value) -> Self {
        // SAFETY: as the caller promises; without values the pointer may be null.
        Self { values: if count == 0 { &[] } else { unsafe { slice::from_raw_parts(values, count as usize) } } }
    }

    /// Returns the number of arguments.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether there are no arguments.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns all arguments in order.
    pub fn values(&self) -> Vec<Value> {
        let mut values = Vec::new();
        self.each(&mut |value| {
            values.push(value.into());
            Ok(())
        })
        // The closure never fails.
        .unwrap_or_default();
        values
    }

    /// Passes each argument to `visit`, in order.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(Param<'_>) -> Result<()>) -> Result<()> {
        self.values.iter().try_for_each(|value| {
            // SAFETY: SQLite keeps the arguments during the call; a text or blob is read before the next call.
            unsafe {
                match ffi::sqlite3_value_type(*value) {
                    ffi::SQLITE_INTEGER => visit(Param::Integer(ffi::sqlite3_value_int64(*value))),
                    ffi::SQLITE_FLOAT => visit(Param::Real(ffi::sqlite3_value_double(*value))),
                    ffi::SQLITE_TEXT => {
                        let start = ffi::sqlite3_value_text(*value);
                        visit(Param::Text(&text(start, ffi::sqlite3_value_bytes(*value))))
                    }
                    ffi::SQLITE_BLOB => {
                        let start = ffi::sqlite3_value_blob(*value).cast();
                        visit(Param::Blob(bytes(start, ffi::sqlite3_value_bytes(*value))))
                    }
                    _ => visit(Param::Null),
                }
            }
        })
    }
}

/// SAFETY: null, or `length` bytes that are valid as long as they are used.
unsafe fn bytes<'a>(start: *const u8, length: c_int) -> &'a [u8] {
    // SAFETY: as above.
    if start.is_null() { &[] } else { unsafe { slice::from_raw_parts(start, length as usize) } }
}

/// Returns a text; invalid UTF-8 becomes U+FFFD. SAFETY: as for [`bytes`].
pub(super) unsafe fn text<'a>(start: *const u8, length: c_int) -> Cow<'a, str> {
    // SAFETY: as the caller promises.
    String::from_utf8_lossy(unsafe { bytes(start, length) })
}
