//! Direct access to the values of a row in SQLite's memory.
//!
//! SQLite has no function that returns a row: each value takes one call to find it, one for its type, and one or two for its content. But
//! the values of a row lie side by side, each a `sqlite3_value` whose first fields are the same in every build and haven't changed
//! for years. So one call finds the row, and the values are read from memory. Each connection verifies this layout
//! ([`looks_as_expected`]); if it differs, and for any value that needs conversion, SQLite's functions are used.

use std::ffi::{c_int, c_void};

use rusqlite::ffi;

/// SQLite's `struct sqlite3_value`.
#[repr(C)]
pub(in crate::sqlite) struct Mem {
    /// An integer, or the bits of a double.
    number: i64,
    start: *const u8,
    length: c_int,
    flags: u16,
    encoding: u8,
    _subtype: u8,
    _db: *mut c_void,
    _allocated: c_int,
    _scratch: u32,
    _memory: *mut c_void,
    _destructor: *mut c_void,
}

/// A value that needs no conversion.
pub(in crate::sqlite) enum PlainMem {
    Null,
    Integer(i64),
    Real(f64),
    /// In UTF-8, if it was stored so.
    Text(*const u8, usize),
    Blob(*const u8, usize),
    /// Any other value, to be read through SQLite's functions.
    Other,
}

// Flags. The first ones are the value's types; some values have several.
const NULL: u16 = 0x01;
const TEXT: u16 = 0x02;
const INTEGER: u16 = 0x04;
const REAL: u16 = 0x08;
const BLOB: u16 = 0x10;
const KINDS: u16 = 0x3f;
/// A blob followed by zeros that aren't in memory.
const ZEROS: u16 = 0x400;

impl Mem {
    #[inline(always)]
    pub fn plain(&self) -> PlainMem {
        match self.flags & KINDS {
            NULL => PlainMem::Null,
            INTEGER => PlainMem::Integer(self.number),
            REAL => PlainMem::Real(f64::from_bits(self.number as u64)),
            TEXT if self.encoding == ffi::SQLITE_UTF8 as u8 => PlainMem::Text(self.start, self.length as usize),
            BLOB if self.flags & ZEROS == 0 => PlainMem::Blob(self.start, self.length as usize),
            _ => PlainMem::Other,
        }
    }
}

/// Returns the values of a statement's current row, as many as it has columns.
///
/// # Safety
/// The statement must be alive, have a current row, and have a column.
#[inline(always)]
pub(in crate::sqlite) unsafe fn row(raw: *mut ffi::sqlite3_stmt) -> *const Mem {
    // SAFETY: guaranteed by the caller. Values being "unprotected" concerns other threads, and there are none.
    unsafe { ffi::sqlite3_column_value(raw, 0).cast() }
}

/// Returns whether values have the expected layout, tested with one of each type.
pub(in crate::sqlite) fn looks_as_expected(db: *mut ffi::sqlite3) -> bool {
    let mut raw = std::ptr::null_mut();
    // SAFETY: the connection is open and the text ends with NUL. Values are read only while the statement has its current row;
    // a start pointer is only compared.
    unsafe {
        let sql = c"SELECT -7, 2.5, 'text', x'626c6f62', NULL, 9007199254740993";
        let code = ffi::sqlite3_prepare_v3(db, sql.as_ptr(), -1, 0, &mut raw, std::ptr::null_mut());
        let stands = code == ffi::SQLITE_OK && ffi::sqlite3_step(raw) == ffi::SQLITE_ROW;
        let expected = stands && {
            let places = (0..6).map(|column| ffi::sqlite3_column_value(raw, column).cast::<Mem>().cast_const());
            let values = row(raw);
            let side_by_side = places.enumerate().all(|(index, place)| place == values.wrapping_add(index));
            side_by_side && {
                let bytes = |column, start: *const u8, length| {
                    length == 4 && start == ffi::sqlite3_column_blob(raw, column).cast()
                };
                matches!((*values).plain(), PlainMem::Integer(-7))
                    && matches!((*values.add(1)).plain(), PlainMem::Real(2.5))
                    && matches!((*values.add(2)).plain(), PlainMem::Text(start, length) if bytes(2, start, length))
                    && matches!((*values.add(3)).plain(), PlainMem::Blob(start, length) if bytes(3, start, length))
                    && matches!((*values.add(4)).plain(), PlainMem::Null)
                    && matches!((*values.add(5)).plain(), PlainMem::Integer(9_007_199_254_740_993))
            }
        };
        ffi::sqlite3_finalize(raw);
        expected
    }
}
