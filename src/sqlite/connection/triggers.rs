//! Helpers for the temporary triggers that watch the user's tables.

use crate::{
    error::Result,
    sqlite::{Connection, quote},
    value::Value,
};

/// A temporary table: a row in it means that the current changes come from the remote.
pub const CAPTURE_SUSPENDED: &str = "tidelock_silent";

impl Connection {
    /// Creates the table [`CAPTURE_SUSPENDED`], which triggers read, unless it exists.
    pub fn create_suspend_table(&self) -> Result<()> {
        self.exec(&format!("CREATE TEMP TABLE IF NOT EXISTS {CAPTURE_SUSPENDED}(yes)"))
    }

    /// From now on, no temporary table or view of a user may have the name of this table: temporary triggers would write
    /// there.
    pub fn keep_visible(&self, table: &str) {
        self.watcher().keep_visible(table);
    }

    /// Drops the temporary triggers whose names begin with `prefix`.
    pub fn drop_temp_triggers(&self, prefix: &str) -> Result<()> {
        let sql = "SELECT name FROM temp.sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length(?1)) = ?1";
        for name in self.rows(sql, &[Value::from(prefix)])? {
            self.exec(&format!("DROP TRIGGER temp.{}", quote(name[0].as_text().unwrap_or_default())))?;
        }
        Ok(())
    }
}
