//! What the temporary triggers have in common that watch the user's tables.

use super::{Connection, quote};
use crate::{error::Result, value::Value};

/// A row in this temporary table says that what changes now are rows of the remote.
pub const SILENT: &str = "tidelock_silent";

impl Connection {
    /// Makes [`SILENT`], which triggers ask, unless it is there.
    pub fn make_silent(&self) -> Result<()> {
        self.exec(&format!("CREATE TEMP TABLE IF NOT EXISTS {SILENT}(yes)"))
    }

    /// Drops the temporary triggers whose names begin so.
    pub fn drop_temp_triggers(&self, prefix: &str) -> Result<()> {
        let sql = "SELECT name FROM temp.sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length(?1)) = ?1";
        for name in self.rows(sql, &[Value::from(prefix)])? {
            self.exec(&format!("DROP TRIGGER temp.{}", quote(name[0].as_text().unwrap_or_default())))?;
        }
        Ok(())
    }
}
