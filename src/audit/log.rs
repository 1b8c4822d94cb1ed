//! The audit log's table.

use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, quote},
    time::Timestamp,
    value::Value,
};

/// The columns, sorted by name.
const COLUMNS: &str = "action,actor,id,new_values,old_values,record_id,table_name,timestamp";

/// The audit log's table, by its name.
pub struct Log<'a>(pub &'a str);

impl Log<'_> {
    /// Returns whether the table exists. Fails with `migration_invalid` when something else has its name.
    pub fn exists(&self, connection: &Connection) -> Result<bool> {
        match connection.is_table_of(self.0, COLUMNS)? {
            None => return Ok(false),
            Some(true) => return Ok(true),
            Some(false) => {}
        }
        let message = format!("\"{}\" exists in this database, but is not an audit log", self.0);
        Err(Error::new(ErrorCode::MigrationInvalid, message)
            .hint("Open with another `auditTable`, or rename the existing one")
            .detail("table", self.0))
    }

    /// Creates the table unless it exists. Fails as [`exists`](Self::exists) does.
    pub fn create(&self, connection: &Connection) -> Result<()> {
        if self.exists(connection)? {
            return Ok(());
        }
        // AUTOINCREMENT: ids only grow, also after old rows were deleted, so that a reader can resume after the last id
        // it read.
        connection.exec(&format!(
            "CREATE TABLE main.{}(id INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL COLLATE NOCASE, \
             table_name TEXT NOT NULL, record_id TEXT, old_values TEXT, new_values TEXT, actor TEXT, timestamp TEXT NOT NULL)",
            quote(self.0)
        ))
    }

    /// Returns the statement, with its parameters, that deletes the rows older than `cutoff` among the next `slice`
    /// rows after the id `after`; and the last id of that slice, `None` when no rows follow.
    pub fn old_rows(
        &self,
        connection: &Connection,
        cutoff: Timestamp,
        after: i64,
        slice: u32,
    ) -> Result<(String, Vec<Value>, Option<i64>)> {
        let table = format!("main.{}", quote(self.0));
        let last = connection.value(
            &format!("SELECT id FROM {table} WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2"),
            &[Value::Integer(after), Value::Integer(i64::from(slice) - 1)],
        )?;
        let last = last.and_then(|id| id.as_integer());
        // Compared as times: the texts may differ in form.
        let sql = format!("DELETE FROM {table} WHERE id > ?1 AND id <= ?2 AND julianday(timestamp) < julianday(?3)");
        let params =
            vec![Value::Integer(after), Value::Integer(last.unwrap_or(i64::MAX)), Value::from(cutoff.to_string())];
        Ok((sql, params, last))
    }
}
