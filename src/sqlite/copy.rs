//! A whole database out of another one, and checks of a whole database.

use rusqlite::ffi;
use serde::Serialize;

use super::Connection;
use crate::{
    error::{Error, ErrorCode, Result},
    value::Value,
};

/// A row whose parent is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FkViolation {
    /// The table with the row.
    pub table: String,
    /// The row; none in a table without rowids.
    pub rowid: Option<i64>,
    /// The table that lacks the parent.
    pub parent: String,
    /// Which of the table's foreign keys it is, as `PRAGMA foreign_key_list` numbers them.
    #[serde(skip)]
    pub key: i64,
}

impl Connection {
    /// Replaces this database's contents by another one's, as one commit (SQLite's backup API). Statements are compiled
    /// anew by themselves; the page size becomes the other one's.
    ///
    /// Fails with `invalid_argument` when their text encodings differ, with `sqlite_busy` while a transaction is open here, with `database_too_large` beyond the limit; then nothing
    /// has changed.
    pub fn restore_from(&self, source: &Connection) -> Result<()> {
        if self.in_transaction() {
            return Err(Error::new(ErrorCode::SqliteBusy, "A transaction is open in the database to replace")
                .hint("Try again when it has ended"));
        }
        let encoding = |connection: &Connection| connection.value("PRAGMA encoding", &[]);
        // Where what is replaced can't be read, nothing speaks against it.
        if encoding(self).is_ok_and(|own| Ok(own) != encoding(source)) {
            return Err(Error::invalid("The two databases have different text encodings").hint(
                "Databases of tidelock are in UTF-8, unless PRAGMA encoding said otherwise before the first table",
            ));
        }
        let name = c"main".as_ptr();
        // SAFETY: both connections are open; the name is NUL-terminated.
        let backup = unsafe { ffi::sqlite3_backup_init(self.raw(), name, source.raw(), name) };
        if backup.is_null() {
            // SAFETY: the connection is open.
            return Err(self.failure(unsafe { ffi::sqlite3_errcode(self.raw()) }));
        }
        // SAFETY: the backup was just made and is finished once, whatever the step says. Every error but a busy one is
        // what finish() repeats, with its text on this connection.
        let (step, code) = unsafe { (ffi::sqlite3_backup_step(backup, -1), ffi::sqlite3_backup_finish(backup)) };
        if code != ffi::SQLITE_OK {
            return Err(self.failure(code));
        }
        if step != ffi::SQLITE_DONE {
            return Err(super::failure::from_code(step, "the database to copy is in use"));
        }
        Ok(())
    }

    /// SQLite's `quick_check`: what is wrong with the file, nothing when it is sound.
    pub fn quick_check(&self) -> Result<Vec<String>> {
        self.wrongs("PRAGMA quick_check")
    }

    /// SQLite's `integrity_check`, which reads the indexes, too: so many of the things that are wrong with the file.
    pub fn integrity_check(&self, limit: usize) -> Result<Vec<String>> {
        match self.wrongs(&format!("PRAGMA integrity_check({limit})")) {
            // Too damaged to be gone through: that is an answer, too.
            Err(error) if error.is(ErrorCode::DatabaseCorrupt) => Ok(vec![error.message.clone()]),
            wrongs => wrongs,
        }
    }

    fn wrongs(&self, check: &str) -> Result<Vec<String>> {
        let rows = self.rows(check, &[])?;
        let texts = rows.into_iter().filter_map(|mut row| match row.pop() {
            Some(Value::Text(text)) if text != "ok" => Some(text),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// So many of the rows whose foreign keys are violated.
    pub fn foreign_key_check(&self, limit: usize) -> Result<Vec<FkViolation>> {
        let mut statement = self.statement("PRAGMA foreign_key_check")?;
        let mut violations = Vec::new();
        while violations.len() < limit && statement.step()? == super::Step::Row {
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
