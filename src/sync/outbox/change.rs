//! One unpushed change, as the outbox and its users name it.

use std::fmt::Write;

use serde::{Serialize, Serializer, ser::SerializeStruct};

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

/// The operation of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// One unpushed change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its id, which stays the same while the change waits.
    pub id: i64,
    /// The local table.
    pub table: String,
    /// The key's columns and values.
    pub key: Cells,
    /// The operation.
    pub op: ChangeOp,
    /// The columns that an update changed or an insert fills; empty for a delete.
    pub columns: Vec<String>,
    /// When it last changed, ISO 8601.
    pub time: String,
    /// Why it was refused, or why a pending change isn't sent at present.
    pub reason: Option<String>,
    /// The message of the error that refused or delayed it.
    pub error: Option<String>,
}

/// As users see it: the id is text, the key is an object, absent fields are left out.
impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut change = serializer.serialize_struct("Change", 8)?;
        change.serialize_field("id", &self.id.to_string())?;
        change.serialize_field("table", &self.table)?;
        change.serialize_field("key", &self.key)?;
        change.serialize_field("op", self.op.as_str())?;
        change.serialize_field("columns", &self.columns)?;
        change.serialize_field("time", &self.time)?;
        if let Some(reason) = &self.reason {
            change.serialize_field("reason", reason)?;
        }
        if let Some(error) = &self.error {
            change.serialize_field("error", error)?;
        }
        change.end()
    }
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
