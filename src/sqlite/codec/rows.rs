//! Result rows, as JavaScript reads them from wasm memory.

use std::ffi::c_int;

use rusqlite::ffi;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Integers, MAX_SAFE_INTEGER,
    repeats::{FROM_ROWS, FoundText, Repeats},
    tag, utf16_length,
    words::append_ascii,
};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::statement::mem::{self, PlainMem},
};

/// Larger areas, in bytes, are freed before the next result instead of being reused.
const KEEP_BYTES: usize = 16 << 20;

/// A factor that spreads bits over a hash: 2^64 divided by the golden ratio.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

/// The rows of one result, row-major. The next result reuses the buffers.
#[derive(Debug, Default)]
pub struct FlatRows {
    /// The number of rows.
    pub rows: usize,
    /// The number of columns; 0 when the statement returns no rows.
    pub columns: usize,
    /// The shape id of the column names, see [`Connection::shape_columns`](crate::sqlite::Connection::shape_columns); 0 when
    /// there are no columns.
    pub shape: u32,
    /// The tag of each value, see [`tag`].
    pub tags: Vec<u8>,
    /// Each value's number, length, or 64 bits: the bits of a double unless the tag is [`tag::BIGINT`].
    pub slots: Vec<u64>,
    /// The bytes of all ASCII texts joined. Kept apart from other texts, because a JavaScript string with a single wide character
    /// takes two bytes for each character, and much longer to decode.
    pub text: Vec<u8>,
    /// The UTF-8 bytes of all other texts joined. Always valid UTF-8: invalid bytes are replaced by U+FFFD.
    pub wide: Vec<u8>,
    /// The bytes of all blobs joined.
    pub blobs: Vec<u8>,
    repeats: Repeats,
}

/// Where the rows of a result end.
#[derive(Clone, Copy, Debug)]
pub struct RowsEnd {
    rows: usize,
    values: usize,
    text: usize,
    wide: usize,
    blobs: usize,
}

impl FlatRows {
    /// Writes each text of this result, also those that repeat: only then do its rows depend on no other rows.
    pub fn keep_repeats(&mut self) {
        self.repeats.off = true;
    }

    /// Returns where the rows end now.
    pub fn end(&self) -> RowsEnd {
        let Self { rows, tags, text, wide, blobs, .. } = self;
        RowsEnd { rows: *rows, values: tags.len(), text: text.len(), wide: wide.len(), blobs: blobs.len() }
    }

    /// Removes the rows behind a place where they ended.
    pub fn truncate(&mut self, end: RowsEnd) {
        self.rows = end.rows;
        self.tags.truncate(end.values);
        self.slots.truncate(end.values);
        self.text.truncate(end.text);
        self.wide.truncate(end.wide);
        self.blobs.truncate(end.blobs);
    }

    /// Returns a hash of the rows behind a place where they ended, and of the columns' names. Not against an adversary.
    pub fn hash(&self, from: RowsEnd) -> u128 {
        // Two halves: wasm multiplies 64 bits at once, but not 128.
        let (mut high, mut low) = (u64::from(self.shape), 0);
        let mut add = |one: u64, other: u64| {
            high = (high ^ one).wrapping_mul(ODD).rotate_left(31);
            low = (low ^ other).wrapping_mul(ODD).rotate_left(29) ^ one;
        };
        for (tag, slot) in self.tags[from.values..].iter().zip(&self.slots[from.values..]) {
            add(*slot, u64::from(*tag));
        }
        for area in [&self.text[from.text..], &self.wide[from.wide..], &self.blobs[from.blobs..]] {
            if !area.is_empty() {
                let hash = xxh3_128(area);
                add(hash as u64, (hash >> 64) as u64);
            }
        }
        u128::from(high) << 64 | u128::from(low)
    }

    /// Removes all rows and columns.
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
        empty(&mut self.wide);
        empty(&mut self.blobs);
        self.repeats.clear();
    }

    /// Adds the statement's current row; `direct` is whether its values can be read from SQLite's memory ([`mem`]). Fails with
    /// `integer_out_of_range` and `out_of_memory`.
    ///
    /// # Safety
    /// The statement must be alive and have a current row of that many columns, at least one.
    pub(in crate::sqlite) unsafe fn push(
        &mut self,
        raw: *mut ffi::sqlite3_stmt,
        columns: usize,
        integers: Integers,
        direct: bool,
    ) -> Result<()> {
        // Mostly there is capacity; the check avoids a call.
        if self.tags.capacity() - self.tags.len() < columns {
            self.tags.try_reserve(columns).map_err(|_| no_memory())?;
        }
        if self.slots.capacity() - self.slots.len() < columns {
            self.slots.try_reserve(columns).map_err(|_| no_memory())?;
        }
        let tags = self.tags.spare_capacity_mut().as_mut_ptr();
        let slots = self.slots.spare_capacity_mut().as_mut_ptr();
        // SAFETY: guaranteed by the caller.
        let values = if direct { unsafe { mem::row(raw) } } else { std::ptr::null() };
        if self.rows == FROM_ROWS {
            self.repeats.begin(columns);
        }
        let watched = self.repeats.watched;
        for index in 0..columns {
            // SAFETY: that many values lie side by side, and the memory that they point to is valid until the next call on the statement.
            let (tag, slot) = unsafe {
                match if direct { (*values.add(index)).plain() } else { PlainMem::Other } {
                    PlainMem::Null => (tag::NULL, 0),
                    PlainMem::Integer(value) => {
                        integer(value, integers).ok_or_else(|| out_of_range(raw, index as c_int))?
                    }
                    PlainMem::Real(value) => (tag::REAL, value.to_bits()),
                    PlainMem::Text(start, length) if index < 32 && watched & 1 << index != 0 => {
                        self.push_watched(index, slice(start, length))?
                    }
                    PlainMem::Text(start, length) => self.push_text(slice(start, length))?,
                    PlainMem::Blob(start, length) => self.push_blob(slice(start, length))?,
                    PlainMem::Other => self.push_asking(raw, index as c_int, integers)?,
                }
            };
            // SAFETY: capacity for that many columns is reserved, and neither area has grown since.
            unsafe {
                (*tags.add(index)).write(tag);
                (*slots.add(index)).write(slot);
            }
        }
        // SAFETY: these were just written.
        unsafe {
            self.tags.set_len(self.tags.len() + columns);
            self.slots.set_len(self.slots.len() + columns);
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds a value through SQLite's functions; returns its tag and slot.
    ///
    /// SAFETY: as for [`push`](Self::push).
    #[inline(never)]
    unsafe fn push_asking(
        &mut self,
        raw: *mut ffi::sqlite3_stmt,
        column: c_int,
        integers: Integers,
    ) -> Result<(u8, u64)> {
        // SAFETY: guaranteed by the caller; a text or blob is copied before the next call on the statement. Values being
        // "unprotected" concerns other threads, and there are none.
        unsafe {
            let value = ffi::sqlite3_column_value(raw, column);
            Ok(match ffi::sqlite3_value_type(value) {
                ffi::SQLITE_INTEGER => {
                    integer(ffi::sqlite3_value_int64(value), integers).ok_or_else(|| out_of_range(raw, column))?
                }
                ffi::SQLITE_FLOAT => (tag::REAL, ffi::sqlite3_value_double(value).to_bits()),
                ffi::SQLITE_TEXT => {
                    let start = ffi::sqlite3_value_text(value);
                    self.push_text(bytes(value, start)?)?
                }
                ffi::SQLITE_BLOB => {
                    let start = ffi::sqlite3_value_blob(value).cast();
                    self.push_blob(bytes(value, start)?)?
                }
                _ => (tag::NULL, 0),
            })
        }
    }

    fn push_blob(&mut self, bytes: &[u8]) -> Result<(u8, u64)> {
        self.blobs.try_reserve(bytes.len()).map_err(|_| no_memory())?;
        self.blobs.extend_from_slice(bytes);
        Ok((tag::BLOB, length_slot(bytes.len())))
    }

    /// Adds a text; returns its tag and slot.
    #[inline(always)]
    fn push_text(&mut self, bytes: &[u8]) -> Result<(u8, u64)> {
        // Mostly there is capacity; the check avoids a call.
        if self.text.capacity() - self.text.len() < bytes.len() {
            self.text.try_reserve(bytes.len()).map_err(|_| no_memory())?;
        }
        if append_ascii(&mut self.text, bytes) {
            return Ok((tag::TEXT, length_slot(bytes.len())));
        }
        self.push_wide(bytes)
    }

    /// Adds a text of a watched column, which may be a repeat.
    #[inline(never)]
    fn push_watched(&mut self, column: usize, bytes: &[u8]) -> Result<(u8, u64)> {
        let place = match self.repeats.find(column, bytes, &self.text, &self.wide) {
            FoundText::Again(number) => return Ok((tag::AGAIN, length_slot(number as usize))),
            FoundText::Plain => return self.push_text(bytes),
            FoundText::New(place) => place,
        };
        let (text, wide) = (self.text.len(), self.wide.len());
        let (kind, slot) = self.push_text(bytes)?;
        let is_wide = kind == tag::WIDE;
        let (start, end) = if is_wide { (wide, self.wide.len()) } else { (text, self.text.len()) };
        Ok((self.repeats.remember(column, place, is_wide, start, end), slot))
    }

    fn push_wide(&mut self, bytes: &[u8]) -> Result<(u8, u64)> {
        let start = self.wide.len();
        if std::str::from_utf8(bytes).is_ok() {
            self.wide.try_reserve(bytes.len()).map_err(|_| no_memory())?;
            self.wide.extend_from_slice(bytes);
        } else {
            for chunk in bytes.utf8_chunks() {
                let replaced = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
                self.wide.try_reserve(chunk.valid().len() + replaced.len()).map_err(|_| no_memory())?;
                self.wide.extend_from_slice(chunk.valid().as_bytes());
                self.wide.extend_from_slice(replaced.as_bytes());
            }
        }
        Ok((tag::WIDE, length_slot(utf16_length(&self.wide[start..]))))
    }
}

/// Returns the bytes that `sqlite3_value_text` or `_blob` just pointed to. A null pointer is an empty blob, or a text that could
/// not be converted to UTF-8 for lack of memory.
///
/// SAFETY: the pointer must have just come from that value.
#[inline(always)]
unsafe fn bytes<'a>(value: *mut ffi::sqlite3_value, start: *const u8) -> Result<&'a [u8]> {
    // SAFETY: as above; SQLite returns the length for the pointer that it just returned.
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

/// SAFETY: `length` bytes must be valid at `start`; for 0 the pointer may be null.
#[inline(always)]
unsafe fn slice<'a>(start: *const u8, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(start, length) }
}

#[inline(always)]
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
    Error::new(ErrorCode::IntegerOutOfRange, format!("The column {column} has an integer beyond 2^53-1"))
        .hint("Open the database with integers: 'auto' or 'bigint'")
        .detail("column", column)
}

fn no_memory() -> Error {
    Error::new(ErrorCode::OutOfMemory, "There is no memory for the result")
        .hint("Read fewer rows at once: LIMIT, db.iterate()")
}
