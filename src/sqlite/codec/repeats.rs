//! Repeated texts of a column, such as states, categories, days: JavaScript decodes such a text once, and its rows share it.
//!
//! A column is watched once a result has some rows, and no longer when too few of its texts repeat. A table without chains records where
//! a text lies in the areas of the result: a text that finds its slot taken replaces the other.

use super::{tag, words};

/// Smaller results aren't worth it.
pub(super) const FROM_ROWS: usize = 64;

/// Longer texts, in bytes, hardly repeat.
const LONGEST: usize = 64;

/// How many columns are watched: the first ones.
const COLUMNS: usize = 16;

/// How many texts are recorded per column, as a power of two.
const PLACES: u32 = 10;

/// A column is no longer watched when fewer than a quarter of this many texts repeat.
const TRIAL: u32 = 512;

/// A text in the areas of a result.
#[derive(Clone, Copy, Debug, Default)]
struct KnownText {
    /// The result that it belongs to.
    result: u32,
    /// Its number among the texts that JavaScript keeps.
    number: u32,
    wide: bool,
    start: u32,
    length: u32,
}

#[derive(Debug, Default)]
struct RepeatColumn {
    tried: u32,
    again: u32,
    places: Vec<KnownText>,
}

/// The texts recorded for one result.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// A bit for each column that is watched.
    pub watched: u32,
    /// Whether no column of this result is watched.
    pub off: bool,
    result: u32,
    count: u32,
    columns: Vec<RepeatColumn>,
}

/// The result of looking up a text.
pub(super) enum FoundText {
    /// It is the kept text of that number.
    Again(u32),
    /// It is new, to be recorded in that slot.
    New(usize),
    /// It is not recorded.
    Plain,
}

impl Repeats {
    /// Forgets the previous result.
    pub fn clear(&mut self) {
        (self.watched, self.off, self.count) = (0, false, 0);
    }

    /// Starts to watch the columns.
    pub fn begin(&mut self, columns: usize) {
        if self.off {
            return;
        }
        self.result = self.result.wrapping_add(1);
        if self.result == 0 {
            // Entries of an earlier result with the same number must not remain.
            (self.columns, self.result) = (Vec::new(), 1);
        }
        let columns = columns.min(COLUMNS);
        if self.columns.len() < columns {
            self.columns.resize_with(columns, RepeatColumn::default);
        }
        for column in &mut self.columns {
            (column.tried, column.again) = (0, 0);
        }
        self.watched = (1 << columns) - 1;
    }

    /// Looks up a text that is about to be added to `text` or `wide`; its column must be watched.
    #[inline(always)]
    pub fn find(&mut self, index: usize, bytes: &[u8], text: &[u8], wide: &[u8]) -> FoundText {
        let length = bytes.len();
        if length.wrapping_sub(1) >= LONGEST {
            return FoundText::Plain;
        }
        let column = &mut self.columns[index];
        if column.tried == TRIAL {
            if column.again < TRIAL / 4 {
                self.watched &= !(1 << index);
                return FoundText::Plain;
            }
            (column.tried, column.again) = (0, 0);
        }
        column.tried += 1;
        let place = place_of(bytes);
        if place >= column.places.len() {
            // The column's first text: allocate its table.
            if column.places.try_reserve_exact(1 << PLACES).is_ok() {
                column.places.resize(1 << PLACES, KnownText::default());
            }
            return FoundText::Plain;
        }
        let known = column.places[place];
        if known.result == self.result && known.length as usize == length {
            let (start, area) = (known.start as usize, if known.wide { wide } else { text });
            if let Some(known_bytes) = area.get(start..start + length)
                && words::same(known_bytes, bytes)
            {
                column.again += 1;
                return FoundText::Again(known.number);
            }
        }
        FoundText::New(place)
    }

    /// Records the text that was added from `start` on. Returns the tag that makes JavaScript keep it.
    #[inline(always)]
    pub fn remember(&mut self, column: usize, place: usize, wide: bool, start: usize, end: usize) -> u8 {
        let known = KnownText {
            result: self.result,
            number: self.count,
            wide,
            start: start as u32,
            length: (end - start) as u32,
        };
        self.count += 1;
        self.columns[column].places[place] = known;
        if wide { tag::NEW_WIDE } else { tag::NEW_TEXT }
    }
}

/// Hashes the first and last eight bytes and the length: enough to distinguish most texts of a column.
#[inline(always)]
fn place_of(bytes: &[u8]) -> usize {
    // From "Fibonacci hashing": the golden ratio of 2^64 spreads the bits upwards.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (first, last) = words::ends(bytes);
    let mixed = (first ^ last.rotate_left(29)).wrapping_mul(SPREAD) ^ bytes.len() as u64;
    (mixed.wrapping_mul(SPREAD) >> (64 - PLACES)) as usize
}
