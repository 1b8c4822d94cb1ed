//! One unpushed change, as the outbox and its users name it.

use std::fmt::Write;

use serde::{Serialize, Serializer};

use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        report::Cells,
        schema::table::{LocalTable, key_condition},
        values::encode::quote,
    },
    value::Value,
};

/// Stands for a value of which it is unknown what the remote has: several were sent, and any may have arrived. It differs
/// from all values but the empty blob, so it is sent (again).
pub const UNKNOWN: Value = Value::Blob(Vec::new());

/// The operation of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum ChangeOp {
    /// A new row.
    Insert,
    /// Changed columns.
    Update,
    /// A deleted row.
    Delete,
}

impl ChangeOp {
    /// Returns the name, as stored and as users see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Returns the operation of that name; an unknown name counts as an update.
    pub fn from_name(name: &str) -> Self {
        match name {
            "insert" => Self::Insert,
            "delete" => Self::Delete,
            _ => Self::Update,
        }
    }
}

/// Why a change isn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum ChangeReason {
    /// The remote refused it, or its key is NULL.
    Refused,
    /// A conflict that a person has to decide.
    Conflict,
    /// A column with an unsent value was dropped, or `columns` no longer lists it.
    Schema,
    /// It came with a snapshot that was restored.
    Restored,
    /// A row of the remote that the local schema refuses.
    Unapplied,
    /// Another change has to be sent first.
    HeldBack,
    /// The remote failed at it; it is tried again.
    Retrying,
    /// The remote lacks a column of it.
    RemoteColumnMissing,
}

impl ChangeReason {
    const ALL: [Self; 8] = [
        Self::Refused,
        Self::Conflict,
        Self::Schema,
        Self::Restored,
        Self::Unapplied,
        Self::HeldBack,
        Self::Retrying,
        Self::RemoteColumnMissing,
    ];

    /// Returns the name, as stored and as users see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Schema => "schema",
            Self::Restored => "restored",
            Self::Unapplied => "unapplied",
            Self::HeldBack => "held_back",
            Self::Retrying => "retrying",
            Self::RemoteColumnMissing => "remote_column_missing",
        }
    }

    /// Returns the reason of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// A local change that the remote doesn't have yet, or has refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "OutboxEntry"))]
pub struct Change {
    /// Stays the same while the change waits.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(test, ts(type = "string"))]
    pub id: i64,
    /// The local table.
    pub table: String,
    /// The key's columns and values.
    pub key: Cells,
    /// What happened to the row.
    pub op: ChangeOp,
    /// The columns that an update changed, or an insert fills; none for a delete.
    pub columns: Vec<String>,
    /// When the row last changed, ISO 8601.
    pub time: String,
    /// Of a rejected one: `refused` by the remote (or because its key is NULL), `conflict` that a person has to decide, `schema` (a column
    /// with an unsent value was dropped, or left out of `columns`), `restored` with a snapshot, or `unapplied`: a row of the remote that the local schema refuses.
    /// Of one that waits for something: `held_back` by another one or as its table isn't pushed, `retrying`, or `remote_column_missing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub reason: Option<ChangeReason>,
    /// What the remote, or the local schema, says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub error: Option<String>,
}

fn as_text<S: Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Returns the present columns and values of a row; `None` when it doesn't exist.
pub(super) fn local_row(
    connection: &Connection,
    table: &LocalTable,
    key_columns: &[String],
    key: &[Value],
) -> Result<Option<Vec<(String, Value)>>> {
    let mut sql = String::from("SELECT ");
    for (index, column) in table.columns.iter().enumerate() {
        // Writing into a String can't fail.
        let _ = write!(sql, "{}{}", if index > 0 { ", " } else { "" }, quote(&column.name));
    }
    let _ = write!(sql, " FROM main.{} WHERE {}", quote(&table.name), key_condition(key_columns, 1));
    let row = connection.rows(&sql, key)?.into_iter().next();
    Ok(row.map(|values| table.columns.iter().map(|column| column.name.clone()).zip(values).collect()))
}
