//! The flat codec: parameters and rows as a few arrays, so that a whole statement takes one call across the wasm boundary.
//!
//! A value is a tag and a slot of eight bytes; all texts are joined in one area, all blobs in another, in the order of the values.
//! Text lengths are in UTF-16 units, because JavaScript decodes the whole area at once and splits the result.

mod params;
mod repeats;
mod rows;
mod words;

pub use params::FlatParams;
pub(crate) use params::Param;
pub(super) use params::{ParamReader, malformed};
pub use rows::FlatRows;

/// How to read a value's slot.
pub mod tag {
    /// An integer; the slot is a double that holds it exactly.
    pub const INTEGER: u8 = 1;
    /// A double.
    pub const REAL: u8 = 2;
    /// A text; the slot is a double, its length in UTF-16 units.
    pub const TEXT: u8 = 3;
    /// A blob; the slot is a double, its length in bytes.
    pub const BLOB: u8 = 4;
    /// NULL; the slot means nothing.
    pub const NULL: u8 = 5;
    /// An integer; the slot is its 64 bits.
    pub const BIGINT: u8 = 6;
    /// In a result: a text that isn't ASCII, in an area of its own; the slot is as for [`TEXT`], which is always ASCII there.
    pub const WIDE: u8 = 7;
    /// In a result: a [`TEXT`] that JavaScript keeps for reuse, numbered from 0 together with those of [`NEW_WIDE`].
    pub const NEW_TEXT: u8 = 8;
    /// In a result: a [`WIDE`] that JavaScript keeps for reuse.
    pub const NEW_WIDE: u8 = 9;
    /// In a result: a kept text; the slot is a double, its number.
    pub const AGAIN: u8 = 10;
}

/// How integers are passed to JavaScript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Integers {
    /// As numbers while they are exact, else as bigints.
    #[default]
    Auto,
    /// Always as bigints.
    Bigint,
    /// Always as numbers; one that a number can't hold fails with `integer_out_of_range`.
    Number,
}

/// The largest integer up to which every one is exact as a double.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Returns the length of a UTF-8 text in UTF-16 units.
pub(super) fn utf16_length(text: &[u8]) -> usize {
    const ONES: u64 = words::HIGH >> 7;
    // Every character has one non-continuation byte; those of four bytes need two units.
    let (mut units, mut rest) = (text.len(), text);
    while let Some((word, more)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let continuing = (word >> 7) & !(word >> 6) & ONES;
        let of_four = (word >> 7) & (word >> 6) & (word >> 5) & (word >> 4) & ONES;
        units = units + of_four.count_ones() as usize - continuing.count_ones() as usize;
        rest = more;
    }
    for byte in rest {
        units = units + usize::from(*byte >= 0xf0) - usize::from((*byte as i8) < -0x40);
    }
    units
}
