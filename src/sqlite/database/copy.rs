//! Copies of a whole database, and checks of a whole database.

use rusqlite::ffi;
use serde::Serialize;

use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, PageFile, Pin, failure},
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
    /// Freezes the committed content.
    pub fn pin(&self) -> Pin {
        self.file.pin()
    }

    /// Replaces the content of this database, as one commit. Only what differs is written. Statements are recompiled
    /// automatically; the page size becomes the content's.
    ///
    /// Fails with `invalid_argument` if the text encodings differ, with `sqlite_busy` while a transaction is open, with
    /// `database_too_large` beyond the size limit, with `out_of_memory`, and if a part of one of the contents can't be read. The
    /// database is then unchanged.
    pub fn replace_with(&self, content: &Pin) -> Result<()> {
        let main = c"main".as_ptr();
        // SAFETY: the connection is open; the name is NUL-terminated.
        if self.in_transaction() || unsafe { ffi::sqlite3_txn_state(self.raw(), main) } != ffi::SQLITE_TXN_NONE {
            return Err(Error::new(ErrorCode::SqliteBusy, "A transaction is open in the database to replace")
                .hint("Try again after it ends"));
        }
        let Some(encoding) = content.encoding()? else {
            let empty = Self::open(&PageFile::default())?;
            // Any write makes it a database of one page, with the settings of a new one.
            empty.exec("PRAGMA user_version = 0")?;
            return self.replace_with(&empty.pin());
        };
        // If this database's encoding can't be read, the content may be replaced.
        if self.value("PRAGMA encoding", &[]).is_ok_and(|own| own != Some(encoding.into())) {
            return Err(Error::invalid("The two databases have different text encodings").hint(
                "tidelock's databases are in UTF-8, unless PRAGMA encoding chose another encoding before the first table",
            ));
        }
        // SQLite trusts its cached pages while it holds the lock on the file. In this mode it releases the lock after a read, even
        // after one that fails. When it locks the file again, it compares the header with that of its cache.
        self.exec("PRAGMA locking_mode = NORMAL")?;
        let _ = self.value("SELECT count(*) FROM sqlite_schema", &[]);
        let replaced = self.file.replace(content);
        self.exec("PRAGMA locking_mode = EXCLUSIVE")?;
        replaced.map_err(|why| self.with_limit(failure::of_write(why)))
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
