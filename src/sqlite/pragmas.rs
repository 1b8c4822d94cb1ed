//! The settings that every connection starts with. Natively and in wasm SQLite has other defaults: all are said here.

use std::ffi::c_int;

use rusqlite::ffi;

use super::{Connection, PageFile};
use crate::{
    error::{Error, Result},
    value::Value,
};

/// Page cache in KiB. A miss copies a page out of the file, which is in memory too: a large cache gains nothing.
const CACHE_KIB: u32 = 16 * 1024;

/// What can be set before the file is read. Temporary "files" are memory, too (`vfs::File`), and they aren't opened before the cache
/// is full; but only with `temp_store = FILE` does SQLite sort in one piece of memory instead of one allocation a row, which
/// makes a GROUP BY a fifth faster.
const FIRST: &str = "PRAGMA cache_spill = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA synchronous = OFF;
PRAGMA temp_store = FILE;
PRAGMA foreign_keys = ON;
PRAGMA recursive_triggers = ON;
PRAGMA trusted_schema = OFF;";

/// Bytes of the longest pattern of LIKE and GLOB. SQLite matches each wildcard by a call in a call: 6,000 of them are more than the stack of a
/// page holds, which ends the engine.
const LONGEST_PATTERN: c_int = 1000;

/// Values of so many bytes may be made while a file from outside is checked, however small it is.
const SHORTEST_LIMIT: c_int = 100_000;

/// A statement of the schema of a file from outside has no more bytes than that: its time may grow with the square of them.
pub(super) const LONGEST_DEFINITION: u64 = 100_000;

/// What only a database that has no pages yet takes over.
const NEW: &str = "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;";

/// Sets everything. Fails with `database_corrupt` when the file is not a database.
pub(super) fn apply(connection: &Connection, file: &PageFile) -> Result<()> {
    let db = connection.raw();
    // SAFETY: `db` is open; the call only sets a flag.
    unsafe { ffi::sqlite3_extended_result_codes(db, 1) };
    connection.set_defensive(true);
    connection.exec(FIRST)?;
    connection.exec(&format!("PRAGMA cache_size = -{CACHE_KIB}"))?;
    if file.bytes() == 0 {
        connection.exec(NEW)?;
    }
    let mode = connection.value("PRAGMA journal_mode = MEMORY", &[])?;
    if mode.as_ref().and_then(Value::as_text) != Some("memory") {
        return Err(Error::internal("SQLite refused the journal in memory"));
    }
    // SAFETY: `db` is open.
    unsafe { ffi::sqlite3_limit(db, ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LONGEST_PATTERN) };
    // Reads the schema, which not every file has.
    connection.value("SELECT count(*) FROM sqlite_schema", &[])?;
    connection.limit_size(file.max_bytes())
}

impl Connection {
    /// Whether the schema and the tables behind virtual ones are guarded against writing by hand; they are at first.
    pub(super) fn set_defensive(&self, yes: bool) {
        let nobody = std::ptr::null_mut::<c_int>();
        // SAFETY: the connection is open. DEFENSIVE takes an int and a pointer for the answer, here none.
        unsafe { ffi::sqlite3_db_config(self.raw(), ffi::SQLITE_DBCONFIG_DEFENSIVE, c_int::from(yes), nobody) };
    }

    /// Makes values that are longer than all of a file from outside an error: none of it has such, and one call of a function with
    /// them may take minutes, in which no deadline is looked at.
    pub(super) fn limit_values(&self, bytes: u64) {
        let longest = c_int::try_from(bytes).unwrap_or(c_int::MAX).max(SHORTEST_LIMIT);
        // SAFETY: the connection is open; SQLite lowers what is beyond its own limit.
        unsafe { ffi::sqlite3_limit(self.raw(), ffi::SQLITE_LIMIT_LENGTH, longest) };
    }

    /// Makes statements that would grow the file beyond so many bytes fail; `u64::MAX`: none does. SQLite counts in pages, so
    /// it is to be told again when their size has changed.
    pub fn limit_size(&self, bytes: u64) -> Result<()> {
        if bytes == u64::MAX {
            return Ok(());
        }
        // The pragma alone tells what the page size was when the file was last read.
        self.value("SELECT count(*) FROM sqlite_schema", &[])?;
        let page_size = self.value("PRAGMA page_size", &[])?.and_then(|size| size.as_integer()).unwrap_or(4096);
        let pages = (bytes / page_size.unsigned_abs().max(512)).clamp(1, u64::from(u32::MAX - 1));
        self.exec(&format!("PRAGMA max_page_count = {pages}"))?;
        self.max_bytes.set(bytes);
        Ok(())
    }
}
