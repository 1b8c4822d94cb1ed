//! What a pull did, in the contract's words.

use serde::{Deserialize, Serialize};

use super::config::Names;

/// How pulled rows meet local ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullMode {
    /// Local data stays.
    #[default]
    Merge,
    /// The tables become exactly the remote's rows.
    Replace,
}

/// The options of a pull. `onProgress` and `signal` are the driver's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PullOptions {
    /// Merge or replace.
    pub mode: PullMode,
    /// Only these tables.
    pub tables: Option<Names>,
    /// Read everything, whatever was read before.
    pub full: bool,
    /// Let any number of rows vanish.
    pub allow_empty: bool,
    /// Replace: throw unpushed changes away.
    pub discard_unpushed: bool,
}

/// What a pull did to one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableReport {
    /// The local table.
    pub table: String,
    /// Rows that were new.
    pub inserted: u64,
    /// Rows that changed.
    pub updated: u64,
    /// Rows that went.
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
    /// Whether it went on where an earlier pull was cut.
    pub resumed: bool,
}

/// What a pull did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PullReport {
    /// Merge or replace.
    pub mode: PullMode,
    /// One entry a pulled table, parents first.
    pub tables: Vec<TableReport>,
    /// Milliseconds in all.
    pub ms: f64,
}

/// How far a pull is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PullProgress {
    /// The table being read.
    pub table: String,
    /// Rows read so far.
    pub rows: u64,
    /// Rows to read, where the remote tells.
    pub total: Option<u64>,
    /// Bytes read so far.
    pub bytes: u64,
}
