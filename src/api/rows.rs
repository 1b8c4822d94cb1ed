//! The rows of results.

use std::{fmt, iter::FusedIterator, ops::Index, sync::Arc};

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
    /// with one column. A missing column is one without a value; columns that a struct doesn't have are ignored. [`Value`]
    /// stands for a value of any type. A `Vec` has the values of the row: of a single BLOB read `(Vec<u8>,)`.
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

/// The rows of one result, as [`Database::iterate`](crate::Database::iterate) returns them: an iterator that creates each
/// row when it is asked for it, so that only one is there at a time. The result itself, in a compact form, is held until the
/// iterator is dropped. It needs no connection: the loop may use the database, write to it, and wait.
///
/// An item is an error when its row can't be read as a `T`, as [`Row::to`] fails; the next row follows.
pub struct RowIterator<T = Row> {
    flat: FlatRows,
    columns: Arc<[String]>,
    /// The number of rows that follow.
    left: usize,
    next: ValuePlace,
    /// The texts that later values of the result repeat.
    kept: Vec<String>,
    read: fn(Row) -> Result<T>,
}

/// Where the next value and its bytes are.
#[derive(Default)]
struct ValuePlace {
    value: usize,
    text: usize,
    wide: usize,
    blobs: usize,
}

impl RowIterator {
    /// Creates it at the first row of a result.
    pub(super) fn new(flat: FlatRows, columns: Arc<[String]>) -> Self {
        Self { left: flat.rows, flat, columns, next: ValuePlace::default(), kept: Vec::new(), read: Ok }
    }

    /// Has the rows read as a `T`.
    pub(super) fn typed<T: DeserializeOwned>(self) -> RowIterator<T> {
        let Self { flat, columns, left, next, kept, .. } = self;
        RowIterator { flat, columns, left, next, kept, read: |row| row.to() }
    }
}

impl<T> RowIterator<T> {
    /// Returns the names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the next value; `None` for areas that the engine doesn't write.
    fn value(&mut self) -> Option<Value> {
        let Self { flat, next, kept, .. } = self;
        let (tag, slot) = (*flat.tags.get(next.value)?, *flat.slots.get(next.value)?);
        next.value += 1;
        let number = f64::from_bits(slot);
        let take = |area: &[u8], place: &mut usize, bytes: usize| -> Option<Vec<u8>> {
            let begin = std::mem::replace(place, place.checked_add(bytes)?);
            area.get(begin..*place).map(<[u8]>::to_vec)
        };
        Some(match tag {
            tag::NULL => Value::Null,
            tag::INTEGER => Value::Integer(number as i64),
            tag::BIGINT => Value::Integer(slot as i64),
            tag::REAL => Value::Real(number),
            tag::AGAIN => Value::Text(kept.get(number as usize)?.clone()),
            tag::TEXT | tag::NEW_TEXT | tag::WIDE | tag::NEW_WIDE => {
                let bytes = if matches!(tag, tag::WIDE | tag::NEW_WIDE) {
                    let length = bytes_of_units(flat.wide.get(next.wide..)?, number as usize)?;
                    take(&flat.wide, &mut next.wide, length)?
                } else {
                    // ASCII has a byte for each unit.
                    take(&flat.text, &mut next.text, number as usize)?
                };
                let value = String::from_utf8(bytes).ok()?;
                if matches!(tag, tag::NEW_TEXT | tag::NEW_WIDE) {
                    kept.push(value.clone());
                }
                Value::Text(value)
            }
            tag::BLOB => Value::Blob(take(&flat.blobs, &mut next.blobs, number as usize)?),
            _ => return None,
        })
    }
}

impl<T> Iterator for RowIterator<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.left = self.left.checked_sub(1)?;
        let fits = self.flat.columns == self.columns.len();
        let values: Option<Vec<Value>> = (0..self.columns.len()).map(|_| self.value()).collect();
        let Some(values) = values.filter(|_| fits) else {
            self.left = 0;
            return Some(Err(Error::internal("The rows of a result can't be decoded")));
        };
        Some((self.read)(Row { columns: self.columns.clone(), values }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for RowIterator<T> {}

impl<T> FusedIterator for RowIterator<T> {}

impl<T> fmt::Debug for RowIterator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowIterator").field("columns", &self.columns).field("left", &self.left).finish_non_exhaustive()
    }
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
