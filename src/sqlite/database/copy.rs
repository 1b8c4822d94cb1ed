//! Copies of a whole database, and checks of a whole database.

use rusqlite::ffi;
use serde::Serialize;

use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::Connection,
    value::Value,
};

/// A row whose parent is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ForeignKeyViolation"))]
pub struct FkViolation {
    /// The table with the row.
    pub table: String,
    /// The row; `None` in a table without rowids.
    pub rowid: Option<i64>,
    /// The table that lacks the parent.
    pub parent: String,
    /// Which of the table's foreign keys it is, as `PRAGMA foreign_key_list` numbers them.
    #[serde(skip)]
    pub key: i64,
}

impl Connection {
    /// Replaces the content of this database with that of another database, as one commit (SQLite's backup API). Statements are
    /// recompiled automatically; the page size becomes the source's.
    ///
    /// Fails with `invalid_argument` if the text encodings differ, with `sqlite_busy` while a transaction is open, and with
    /// `database_too_large` beyond the size limit. The database is then unchanged.
    pub fn restore_from(&self, source: &Connection) -> Result<()> {
        if self.in_transaction() {
            return Err(Error::new(ErrorCode::SqliteBusy, "A transaction is open in the database to replace")
                .hint("Try again after it ends"));
        }
        let encoding = |connection: &Connection| connection.value("PRAGMA encoding", &[]);
        // If this database's encoding can't be read, the content may be replaced.
        if encoding(self).is_ok_and(|own| Ok(own) != encoding(source)) {
            return Err(Error::invalid("The two databases have different text encodings").hint(
                "tidelock's databases are in UTF-8, unless PRAGMA encoding chose another encoding before the first table",
            ));
        }
        let name = c"main".as_ptr();
        // SAFETY: both connections are open; the name is NUL-terminated.
        let backup = unsafe { ffi::sqlite3_backup_init(self.raw(), name, source.raw(), name) };
        if backup.is_null() {
            // SAFETY: the connection is open.
            return Err(self.failure(unsafe { ffi::sqlite3_errcode(self.raw()) }));
        }
        // SAFETY: the backup was just created and is finished once, whatever the step returns. finish() repeats every error but a
        // busy one, with its text on this connection.
        let (step, code) = unsafe { (ffi::sqlite3_backup_step(backup, -1), ffi::sqlite3_backup_finish(backup)) };
        if code != ffi::SQLITE_OK {
            return Err(self.failure(code));
        }
        if step != ffi::SQLITE_DONE {
            return Err(crate::sqlite::failure::from_code(step, "the database to copy is in use"));
        }
        Ok(())
    }

    /// Runs SQLite's `quick_check`. Returns its findings; empty for a valid file.
    pub fn quick_check(&self) -> Result<Vec<String>> {
        self.findings("PRAGMA quick_check")
    }

    /// Runs SQLite's `integrity_check`, which also reads the indexes. Returns at most `limit` findings.
    pub fn integrity_check(&self, limit: usize) -> Result<Vec<String>> {
        match self.findings(&format!("PRAGMA integrity_check({limit})")) {
            // A file too damaged for the check is a finding, too.
            Err(error) if error.is(ErrorCode::DatabaseCorrupt) => Ok(vec![error.message.clone()]),
            findings => findings,
        }
    }

    fn findings(&self, check: &str) -> Result<Vec<String>> {
        let rows = self.rows(check, &[])?;
        let texts = rows.into_iter().filter_map(|mut row| match row.pop() {
            Some(Value::Text(text)) if text != "ok" => Some(text),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// Returns at most `limit` foreign key violations.
    pub fn foreign_key_check(&self, limit: usize) -> Result<Vec<FkViolation>> {
        let mut statement = self.statement("PRAGMA foreign_key_check")?;
        let mut violations = Vec::new();
        while violations.len() < limit && statement.step()? == crate::sqlite::Step::Row {
            violations.push(FkViolation {
                table: statement.column_text(0).unwrap_or_default().to_owned(),
                rowid: statement.column(1).as_integer(),
                parent: statement.column_text(2).unwrap_or_default().to_owned(),
                key: statement.column_i64(3),
            });
        }
        Ok(violations)
    }
}
