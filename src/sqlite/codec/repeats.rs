//! Texts that come again in their column, as those of states, categories, days do: JavaScript decodes such a text once, and its rows share it.
//!
//! A column is watched when a result has some rows, and given up when too few of its texts come again. Where a text lies in the areas of
//! the result is remembered in a table without chains: a text that finds its place taken takes it over.

use super::{tag, words};

/// Results with fewer rows aren't worth it.
pub(super) const FROM_ROWS: usize = 64;

/// Longer texts hardly come again.
const LONGEST: usize = 64;

/// The first columns are watched.
const COLUMNS: usize = 16;

/// How many texts a column remembers at once, as a power of two.
const PLACES: u32 = 10;

/// A column is given up when of so many texts fewer than a quarter came again.
const PATIENCE: u32 = 512;

/// A text in the areas of a result.
#[derive(Clone, Copy, Debug, Default)]
struct KnownText {
    /// Of which result it is.
    result: u32,
    /// Its number among those that JavaScript remembers.
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

/// What is remembered of one result.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// A bit for each column that is watched.
    pub watched: u32,
    result: u32,
    count: u32,
    columns: Vec<RepeatColumn>,
}

/// What to do with a text.
pub(super) enum FoundText {
    /// It is the one of that number.
    Again(u32),
    /// It is to be remembered in that place.
    New(usize),
    /// Nothing.
    Plain,
}

impl Repeats {
    /// Forgets the result before.
    pub fn clear(&mut self) {
        (self.watched, self.count) = (0, 0);
    }

    /// Watches the columns from here on.
    pub fn begin(&mut self, columns: usize) {
        self.result = self.result.wrapping_add(1);
        if self.result == 0 {
            // Nothing may be left of the result that had this number before.
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

    /// Looks a text up that is about to be added to `text` or `wide`; its column must be watched.
    #[inline(always)]
    pub fn find(&mut self, index: usize, bytes: &[u8], text: &[u8], wide: &[u8]) -> FoundText {
        let length = bytes.len();
        if length.wrapping_sub(1) >= LONGEST {
            return FoundText::Plain;
        }
        let column = &mut self.columns[index];
        if column.tried == PATIENCE {
            if column.again < PATIENCE / 4 {
                self.watched &= !(1 << index);
                return FoundText::Plain;
            }
            (column.tried, column.again) = (0, 0);
        }
        column.tried += 1;
        let place = place_of(bytes);
        if place >= column.places.len() {
            // At its first text.
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

    /// Remembers the text that was added from `start` on; gives the tag that tells JavaScript so.
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

/// By the first and the last eight bytes and the length: enough to tell most texts of a column apart.
#[inline(always)]
fn place_of(bytes: &[u8]) -> usize {
    // From "Fibonacci hashing": the golden ratio of 2^64 spreads the bits upwards.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (first, last) = words::ends(bytes);
    let mixed = (first ^ last.rotate_left(29)).wrapping_mul(SPREAD) ^ bytes.len() as u64;
    (mixed.wrapping_mul(SPREAD) >> (64 - PLACES)) as usize
}
