//! The rows of results.

use std::{ops::Index, sync::Arc};

use serde::de::DeserializeOwned;

use super::decode;
use crate::{
    error::{Error, Result},
    sqlite::{FlatRows, tag},
    value::Value,
};

/// A row of a result. Its columns are found by position (from 0) or by name; of several of the same name, the last one.
///
/// ```
/// # futures_executor::block_on(async {
/// use tidelock::{OpenOptions, Storage, Value};
///
/// let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
/// let row = db.get("SELECT 7 AS id, 'tea' AS title, NULL AS sold", ()).await?.unwrap();
/// assert_eq!(row["title"], Value::from("tea"));
/// assert_eq!(row.get::<u32>(0)?, 7);
/// assert_eq!(row.get::<Option<String>>("sold")?, None);
/// let (id, title, _): (i64, String, Option<i64>) = row.to()?;
/// assert_eq!((id, title.as_str()), (7, "tea"));
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl Row {
    /// Returns the names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the values in the order of the columns.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Returns the values by value.
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// Returns a value, if there is such a column.
    pub fn value(&self, column: impl ColumnIndex) -> Option<&Value> {
        self.values.get(column.find(&self.columns)?)
    }

    /// Reads one value: a number, `bool` (0 and 1), `String`, `Vec<u8>`, `Option` of these for NULL, or any other type
    /// that serde reads from one of them.
    ///
    /// Fails with `invalid_argument` when there is no such column or its value is of another kind, and with
    /// `integer_out_of_range` when the type is too small for it. `details.column` names the column.
    pub fn get<T: DeserializeOwned>(&self, column: impl ColumnIndex) -> Result<T> {
        let found = column.find(&self.columns).filter(|at| *at < self.values.len());
        let at = found.ok_or_else(|| {
            Error::invalid(format!("The result has no column {}", column.show()))
                .hint(format!("It has {}", self.columns.join(", ")))
                .detail("column", column.show())
        })?;
        decode::value(&self.values[at], &self.columns[at])
    }

    /// Reads the whole row: a struct by the names of its fields, a tuple by position, a map, or a single value of a row
    /// with one column. A missing column is one without a value; columns that a struct doesn't have are ignored.
    ///
    /// Fails as [`get`](Self::get) does.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage};
    /// #[derive(serde::Deserialize)]
    /// struct Note {
    ///     id: i64,
    ///     body: String,
    ///     pinned: bool,
    /// }
    ///
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// let row = db.get("SELECT 7 AS id, 'buy tea' AS body, 1 AS pinned", ()).await?.unwrap();
    /// let note: Note = row.to()?;
    /// assert_eq!((note.id, note.body.as_str(), note.pinned), (7, "buy tea", true));
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub fn to<T: DeserializeOwned>(&self) -> Result<T> {
        decode::row(&self.columns, &self.values)
    }
}

impl<C: ColumnIndex> Index<C> for Row {
    type Output = Value;

    /// Returns the value of a column.
    ///
    /// # Panics
    /// When there is no such column: [`Row::value`] returns `None` instead.
    fn index(&self, column: C) -> &Value {
        let shown = column.show();
        self.value(column).unwrap_or_else(|| panic!("the result has no column {shown}"))
    }
}

/// The result of a statement that returns no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunResult {
    /// How many rows the statement inserted, updated or deleted.
    pub changes: u64,
    /// The rowid of the row that was inserted last.
    pub last_insert_rowid: i64,
}

/// The position or the name of a column: `usize`, `&str` or `&String`.
pub trait ColumnIndex: private::Sealed {
    #[doc(hidden)]
    fn find(&self, columns: &[String]) -> Option<usize>;

    #[doc(hidden)]
    fn show(&self) -> String;
}

mod private {
    /// Keeps [`ColumnIndex`](super::ColumnIndex) to the types of this file.
    pub trait Sealed {}
    impl Sealed for usize {}
    impl Sealed for &str {}
    impl Sealed for &String {}
}

impl ColumnIndex for usize {
    fn find(&self, columns: &[String]) -> Option<usize> {
        (*self < columns.len()).then_some(*self)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl ColumnIndex for &str {
    fn find(&self, columns: &[String]) -> Option<usize> {
        columns.iter().rposition(|column| column == self)
    }

    fn show(&self) -> String {
        (*self).to_owned()
    }
}

impl ColumnIndex for &String {
    fn find(&self, columns: &[String]) -> Option<usize> {
        ColumnIndex::find(&self.as_str(), columns)
    }

    fn show(&self) -> String {
        (*self).clone()
    }
}

/// Decodes the rows of a result. Fails with `internal` for areas that the engine doesn't write.
pub(super) fn decode_rows(flat: &FlatRows, columns: &Arc<[String]>) -> Result<Vec<Row>> {
    let damaged = || Error::internal("The rows of a result can't be decoded");
    if flat.columns != columns.len() && flat.rows > 0 {
        return Err(damaged());
    }
    let (mut text, mut wide, mut blobs) = (&flat.text[..], &flat.wide[..], &flat.blobs[..]);
    // The texts that later values of the result repeat.
    let mut kept: Vec<String> = Vec::new();
    let mut cells = flat.tags.iter().zip(&flat.slots);
    let mut next = || -> Option<Value> {
        let (tag, slot) = cells.next()?;
        let number = f64::from_bits(*slot);
        let take = |area: &mut &[u8], bytes: usize| -> Option<Vec<u8>> {
            let (taken, rest) = area.split_at_checked(bytes)?;
            *area = rest;
            Some(taken.to_vec())
        };
        Some(match *tag {
            tag::NULL => Value::Null,
            tag::INTEGER => Value::Integer(number as i64),
            tag::BIGINT => Value::Integer(*slot as i64),
            tag::REAL => Value::Real(number),
            tag::AGAIN => Value::Text(kept.get(number as usize)?.clone()),
            tag::TEXT | tag::NEW_TEXT | tag::WIDE | tag::NEW_WIDE => {
                let is_wide = matches!(*tag, tag::WIDE | tag::NEW_WIDE);
                let area = if is_wide { &mut wide } else { &mut text };
                // ASCII has a byte for each unit.
                let length = if is_wide { bytes_of_units(area, number as usize)? } else { number as usize };
                let value = String::from_utf8(take(area, length)?).ok()?;
                if matches!(*tag, tag::NEW_TEXT | tag::NEW_WIDE) {
                    kept.push(value.clone());
                }
                Value::Text(value)
            }
            tag::BLOB => Value::Blob(take(&mut blobs, number as usize)?),
            _ => return None,
        })
    };
    let mut rows = Vec::with_capacity(flat.rows);
    for _ in 0..flat.rows {
        let values: Option<Vec<Value>> = (0..columns.len()).map(|_| next()).collect();
        rows.push(Row { columns: columns.clone(), values: values.ok_or_else(damaged)? });
    }
    Ok(rows)
}

/// Returns how many bytes of UTF-8 have that many UTF-16 units.
fn bytes_of_units(text: &[u8], units: usize) -> Option<usize> {
    let (mut seen, mut bytes) = (0, 0);
    while seen < units {
        let (length, of_character) = match *text.get(bytes)? {
            0..0x80 => (1, 1),
            0x80..0xe0 => (2, 1),
            0xe0..0xf0 => (3, 1),
            _ => (4, 2),
        };
        bytes += length;
        seen += of_character;
    }
    (seen == units).then_some(bytes)
}
