//! The table of the log.

use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, quote},
    time::Timestamp,
    value::Value,
};

/// The columns in the order of their names.
const COLUMNS: &str = "action,actor,id,new_values,old_values,record_id,table_name,timestamp";

/// The table of the log, by its name.
pub struct Log<'a>(pub &'a str);

impl Log<'_> {
    /// Whether the table is there. `migration_invalid` when something else goes by its name.
    pub fn exists(&self, connection: &Connection) -> Result<bool> {
        match connection.is_table_of(self.0, COLUMNS)? {
            None => return Ok(false),
            Some(true) => return Ok(true),
            Some(false) => {}
        }
        let message = format!("\"{}\" is in this database, but it is not an audit log", self.0);
        Err(Error::new(ErrorCode::MigrationInvalid, message)
            .hint("Open with another `auditTable`, or rename what is there")
            .detail("table", self.0))
    }

    /// Makes the table unless it is there. Fails as [`exists`](Self::exists).
    pub fn create(&self, connection: &Connection) -> Result<()> {
        if self.exists(connection)? {
            return Ok(());
        }
        // The ids only grow, also when old rows go: whoever reads the log on can go by them.
        connection.exec(&format!(
            "CREATE TABLE main.{}(id INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL COLLATE NOCASE, \
             table_name TEXT NOT NULL, record_id TEXT, old_values TEXT, new_values TEXT, actor TEXT, timestamp TEXT NOT NULL)",
            quote(self.0)
        ))
    }

    /// The statement, with its parameters, that deletes what is older than `cutoff` of the next `slice` rows after the id `after`; and the
    /// last id of these while there are more behind it.
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
        // Compared as moments, whatever wrote these texts.
        let sql = format!("DELETE FROM {table} WHERE id > ?1 AND id <= ?2 AND julianday(timestamp) < julianday(?3)");
        let params =
            vec![Value::Integer(after), Value::Integer(last.unwrap_or(i64::MAX)), Value::from(cutoff.to_string())];
        Ok((sql, params, last))
    }
}
