//! FTS5, which may be loaded after a connection was opened.

use crate::{error::Result, sqlite::Connection};

impl Connection {
    /// Returns whether the schema has FTS5 tables.
    pub fn uses_fts5(&self) -> Result<bool> {
        let sql =
            "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND sql LIKE 'create virtual table%fts5%' LIMIT 1";
        Ok(self.value(sql, &[])?.is_some())
    }

    /// Returns whether this connection has FTS5.
    pub fn has_fts5(&self) -> Result<bool> {
        Ok(self.value("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'", &[])?.is_some())
    }
}
