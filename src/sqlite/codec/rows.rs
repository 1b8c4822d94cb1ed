//! Result rows as JavaScript reads them out of wasm memory.

use std::ffi::c_int;

use rusqlite::ffi;

use super::{Integers, MAX_SAFE_INTEGER, tag, utf16_length};
use crate::error::{Error, ErrorCode, Result};

/// Areas larger than this are given back before the next result, instead of being used again.
const KEEP_BYTES: usize = 16 << 20;

/// The rows of one result, row-major. The buffers are used again by the next one.
#[derive(Debug, Default)]
pub struct FlatRows {
    /// How many rows there are.
    pub rows: usize,
    /// How many columns a row has; 0 when the statement gives no rows.
    pub columns: usize,
    /// The number of the column names, see [`Connection::shape_columns`](crate::sqlite::Connection::shape_columns); 0 when
    /// there are no columns.
    pub shape: u32,
    /// What each value is, as [`tag`] says.
    pub tags: Vec<u8>,
    /// Each value's number, length, or 64 bits: the bits of a double unless the tag is [`tag::BIGINT`].
    pub slots: Vec<u64>,
    /// The UTF-8 bytes of all texts joined. Always valid UTF-8: what isn't is replaced by U+FFFD.
    pub text: Vec<u8>,
    /// The bytes of all blobs joined.
    pub blobs: Vec<u8>,
}

impl FlatRows {
    /// No rows, no columns.
    pub fn clear(&mut self) {
        fn empty<T>(area: &mut Vec<T>) {
            if area.capacity().saturating_mul(size_of::<T>()) > KEEP_BYTES {
                *area = Vec::new();
            }
            area.clear();
        }
        self.rows = 0;
        self.columns = 0;
        self.shape = 0;
        empty(&mut self.tags);
        empty(&mut self.slots);
        empty(&mut self.text);
        empty(&mut self.blobs);
    }

    /// Adds the row that the statement stands at. Fails with `integer_out_of_range` and `out_of_memory`.
    ///
    /// # Safety
    /// The statement must be alive and stand at a row of that many columns.
    pub(in crate::sqlite) unsafe fn push(
        &mut self,
        raw: *mut ffi::sqlite3_stmt,
        columns: usize,
        integers: Integers,
    ) -> Result<()> {
        self.tags.try_reserve(columns).map_err(|_| no_memory())?;
        self.slots.try_reserve(columns).map_err(|_| no_memory())?;
        for index in 0..columns as c_int {
            // SAFETY: as the caller promises; a text or a blob is copied before the next call on the statement. Asking for
            // the value once and reading it is quicker than several column calls; that such a value is "unprotected"
            // means other threads, and there are none.
            let (tag, slot) = unsafe {
                let value = ffi::sqlite3_column_value(raw, index);
                match ffi::sqlite3_value_type(value) {
                    ffi::SQLITE_INTEGER => {
                        integer(ffi::sqlite3_value_int64(value), integers).ok_or_else(|| out_of_range(raw, index))?
                    }
                    ffi::SQLITE_FLOAT => (tag::REAL, ffi::sqlite3_value_double(value).to_bits()),
                    ffi::SQLITE_TEXT => {
                        let start = ffi::sqlite3_value_text(value);
                        let length = self.push_text(bytes(value, start)?)?;
                        (tag::TEXT, length_slot(length))
                    }
                    ffi::SQLITE_BLOB => {
                        let start = ffi::sqlite3_value_blob(value).cast();
                        let bytes = bytes(value, start)?;
                        self.blobs.try_reserve(bytes.len()).map_err(|_| no_memory())?;
                        self.blobs.extend_from_slice(bytes);
                        (tag::BLOB, length_slot(bytes.len()))
                    }
                    _ => (tag::NULL, 0),
                }
            };
            self.tags.push(tag);
            self.slots.push(slot);
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds a text; returns its length in UTF-16 units.
    #[inline]
    fn push_text(&mut self, bytes: &[u8]) -> Result<usize> {
        self.text.try_reserve(bytes.len()).map_err(|_| no_memory())?;
        if bytes.is_ascii() {
            self.text.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        if std::str::from_utf8(bytes).is_ok() {
            self.text.extend_from_slice(bytes);
            return Ok(utf16_length(bytes));
        }
        let start = self.text.len();
        for chunk in bytes.utf8_chunks() {
            let replaced = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
            self.text.try_reserve(chunk.valid().len() + replaced.len()).map_err(|_| no_memory())?;
            self.text.extend_from_slice(chunk.valid().as_bytes());
            self.text.extend_from_slice(replaced.as_bytes());
        }
        Ok(utf16_length(&self.text[start..]))
    }
}

/// What `sqlite3_value_text` or `_blob` just pointed to. Null stands for an empty blob, or for a text that there was no
/// memory to convert to UTF-8.
///
/// SAFETY: the pointer must have just come from that value.
#[inline]
unsafe fn bytes<'a>(value: *mut ffi::sqlite3_value, start: *const u8) -> Result<&'a [u8]> {
    // SAFETY: as above; SQLite tells the length of what it just gave.
    unsafe {
        let length = ffi::sqlite3_value_bytes(value) as usize;
        if !start.is_null() {
            Ok(std::slice::from_raw_parts(start, length))
        } else if length == 0 && ffi::sqlite3_value_type(value) == ffi::SQLITE_BLOB {
            Ok(&[])
        } else {
            Err(no_memory())
        }
    }
}

#[inline]
fn integer(value: i64, integers: Integers) -> Option<(u8, u64)> {
    let exact = value.unsigned_abs() <= MAX_SAFE_INTEGER;
    match integers {
        Integers::Auto | Integers::Number if exact => Some((tag::INTEGER, (value as f64).to_bits())),
        Integers::Number => None,
        Integers::Auto | Integers::Bigint => Some((tag::BIGINT, value as u64)),
    }
}

fn length_slot(length: usize) -> u64 {
    (length as f64).to_bits()
}

/// SAFETY: as for [`FlatRows::push`].
unsafe fn out_of_range(raw: *mut ffi::sqlite3_stmt, index: c_int) -> Error {
    // SAFETY: as above; the name is copied at once.
    let column = unsafe {
        let name = ffi::sqlite3_column_name(raw, index);
        if name.is_null() { String::new() } else { std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned() }
    };
    Error::new(ErrorCode::IntegerOutOfRange, format!("the column {column} has an integer beyond 2^53-1"))
        .hint("open the database with integers: 'auto' or 'bigint'")
        .detail("column", column)
}

fn no_memory() -> Error {
    Error::new(ErrorCode::OutOfMemory, "no memory for the result").hint("read fewer rows at once: LIMIT, db.iterate()")
}
