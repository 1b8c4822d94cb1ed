//! Reports of pulls and pushes, as the contract defines them.

use serde::{Deserialize, Serialize, Serializer};

use super::config::options::Names;
use crate::value::Value;

/// How pulled rows are combined with local ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum PullMode {
    /// Local data stays.
    #[default]
    Merge,
    /// The tables become exactly the remote's rows.
    Replace,
}

/// The options of a pull. Its caller handles `onProgress` and `signal`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PullOptions {
    /// Merge or replace.
    pub mode: PullMode,
    /// The tables to pull; `None` for all.
    pub tables: Option<Names>,
    /// Whether to read everything, including rows that were read before.
    pub full: bool,
    /// Whether any number of rows may be deleted because the remote didn't send them.
    pub allow_empty: bool,
    /// In mode `replace`: whether to discard unpushed changes.
    pub discard_unpushed: bool,
}

/// What a pull did to one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "TablePullReport"))]
pub struct TableReport {
    /// The local table.
    pub table: String,
    /// Rows that were new.
    pub inserted: u64,
    /// Rows that changed.
    pub updated: u64,
    /// Rows that were deleted.
    pub deleted: u64,
    /// Rows that were the same already.
    pub unchanged: u64,
    /// Rows whose unpushed local change stayed.
    pub kept_local: u64,
    /// Rows that changed on both sides.
    pub conflicts: u64,
    /// Local changes that moved to `rejected()`, and remote rows that can't be applied (yet).
    pub rejected: u64,
    /// Pages that had rows.
    pub pages: u64,
    /// Bytes of the pages' bodies.
    pub bytes: u64,
    /// Milliseconds from the table's first request to its last row.
    pub ms: f64,
    /// Whether it continued where an earlier pull was interrupted.
    pub resumed: bool,
}

/// What a pull did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PullReport {
    /// Merge or replace.
    pub mode: PullMode,
    /// One entry a pulled table, parents first.
    pub tables: Vec<TableReport>,
    /// Milliseconds in all.
    pub ms: f64,
}

/// The progress of a pull or a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PullProgress {
    /// The table being read.
    pub table: String,
    /// Rows read so far.
    pub rows: u64,
    /// Rows to read, where the remote counts them.
    pub total: Option<u64>,
    /// Bytes read so far.
    pub bytes: u64,
}

/// What a push did to one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "TablePushReport"))]
pub struct TablePushed {
    /// The local table.
    pub table: String,
    /// Rows that the remote took as new.
    pub inserted: u64,
    /// Rows that the remote changed.
    pub updated: u64,
    /// Rows that the remote deleted.
    pub deleted: u64,
    /// Changes that conflicted with a remote change of the same row.
    pub conflicts: u64,
    /// Changes that moved to `rejected()`.
    pub rejected: u64,
}

/// What a push did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PushReport {
    /// One entry a table that may be pushed, parents first.
    pub tables: Vec<TablePushed>,
    /// Milliseconds in all.
    pub ms: f64,
}

/// Columns and their values, as one object for users: integers exact, blobs as bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells(pub Vec<(String, Value)>);

impl Cells {
    /// Returns the value of a column; `None` when it has no such column.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }

    /// Sets the value of a column.
    pub fn set(&mut self, column: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(name, _)| name == column) {
            Some((_, known)) => *known = value,
            None => self.0.push((column.to_owned(), value)),
        }
    }
}

impl std::ops::Deref for Cells {
    type Target = [(String, Value)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Serialize for Cells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Cell(value))))
    }
}

struct Cell<'a>(&'a Value);

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_none(),
            Value::Integer(value) => serializer.serialize_i64(*value),
            Value::Real(value) => serializer.serialize_f64(*value),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Blob(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

/// A row that changed on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Conflict {
    /// The local table.
    pub table: String,
    /// Its key.
    pub key: Cells,
    /// The row before the local change; `None`: there was none.
    pub base: Option<Cells>,
    /// The local row; `None`: it was deleted.
    pub local: Option<Cells>,
    /// The remote's row; `None`: it was deleted.
    pub remote: Option<Cells>,
}

/// A recorded conflict, and the local row after its resolution.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ConflictEntry {
    /// When, ISO 8601.
    pub time: String,
    /// The local table.
    pub table: String,
    /// Its key.
    pub key: Cells,
    /// The row before the local change; `None`: there was none.
    pub base: Option<Cells>,
    /// The local row; `None`: it was deleted.
    pub local: Option<Cells>,
    /// The remote's row; `None`: it was deleted.
    pub remote: Option<Cells>,
    /// The local row afterwards; `None`: it was deleted.
    pub result: Option<Cells>,
}
