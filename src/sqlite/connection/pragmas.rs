//! The settings of every connection. SQLite's defaults differ natively and in wasm, so all are set here.

use std::ffi::c_int;

use rusqlite::ffi;

use crate::{
    error::{Error, Result},
    sqlite::{Connection, PageFile},
    value::Value,
};

/// SQLite's page cache in KiB. A miss copies a page from the file, which is also in memory, so a large cache gains nothing.
const CACHE_KIB: u64 = 16 * 1024;

/// The settings of every file. Temporary "files" are in memory, too (`vfs::File`), and aren't opened before the
/// cache is full. But only with `temp_store = FILE` does SQLite sort in one block of memory instead of one allocation per row,
/// which makes a GROUP BY a fifth faster. The SQLite in wasm ignores it: its sorter has blocks of its own
/// (`scripts/sqlite-sources.mjs`).
const FIRST: &str = "PRAGMA cache_spill = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA synchronous = OFF;
PRAGMA temp_store = FILE;
PRAGMA foreign_keys = ON;
PRAGMA recursive_triggers = ON;
PRAGMA trusted_schema = OFF;";

/// The longest pattern of LIKE and GLOB in bytes. SQLite matches each wildcard by a nested call: 6,000 of them overflow the stack of a
/// page, which ends the engine.
const LONGEST_PATTERN: c_int = 1000;

/// The smallest limit of a value, in bytes, while an external file is checked, however small the file is.
const SHORTEST_LIMIT: c_int = 100_000;

/// The longest statement in the schema of an external file, in bytes: its time may grow with the square of that.
pub(in crate::sqlite) const LONGEST_DEFINITION: u64 = 100_000;

/// The most instructions of a statement while an external file is checked: generated columns that double each other have 2 to the power
/// of their number.
pub(in crate::sqlite) const LONGEST_PROGRAM: c_int = 1_000_000;

/// Settings that only a database without pages accepts.
const NEW: &str = "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;";

/// Applies all settings. Fails with `database_corrupt` when the file is not a database.
pub(in crate::sqlite) fn apply(connection: &Connection, file: &PageFile) -> Result<()> {
    let db = connection.raw();
    // SAFETY: `db` is open; the call only sets a flag.
    unsafe { ffi::sqlite3_extended_result_codes(db, 1) };
    connection.set_defensive(true);
    // Reads the schema, which fails when the file is not a database.
    connection.exec(FIRST)?;
    // A quarter of the cache of a file of which only a part is in memory.
    let kib = file.cache_usage().map_or(CACHE_KIB, |usage| CACHE_KIB.min(usage.limit / 4096));
    connection.exec(&format!("PRAGMA cache_size = -{kib}"))?;
    if file.bytes() == 0 {
        connection.exec(NEW)?;
    }
    let mode = connection.value("PRAGMA journal_mode = MEMORY", &[])?;
    if mode.as_ref().and_then(Value::as_text) != Some("memory") {
        return Err(Error::internal("SQLite refused the in-memory journal"));
    }
    // SAFETY: `db` is open.
    unsafe { ffi::sqlite3_limit(db, ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LONGEST_PATTERN) };
    connection.limit_size(file.max_bytes())
}

impl Connection {
    /// Sets whether the schema and shadow tables are protected from direct writes; initially they are.
    pub(in crate::sqlite) fn set_defensive(&self, yes: bool) {
        self.configure(ffi::SQLITE_DBCONFIG_DEFENSIVE, yes);
    }

    /// Lets SQLite use what it can read of the schema.
    pub(in crate::sqlite) fn accept_schema(&self) {
        self.configure(ffi::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true);
        // The first statement that reads the schema fails at the first entry that can't be used.
        let _ = self.value("SELECT count(*) FROM sqlite_schema", &[]);
    }

    /// Sets an option of SQLite that is on or off.
    fn configure(&self, option: c_int, yes: bool) {
        let no_result = std::ptr::null_mut::<c_int>();
        // SAFETY: the connection is open. Such an option takes an int and a pointer for the result, here null.
        unsafe { ffi::sqlite3_db_config(self.raw(), option, c_int::from(yes), no_result) };
    }

    /// Returns whether foreign keys are enforced.
    pub fn enforces_foreign_keys(&self) -> Result<bool> {
        Ok(self.value("PRAGMA foreign_keys", &[])? == Some(Value::Integer(1)))
    }

    /// Sets whether foreign keys are enforced. Has no effect inside a transaction.
    pub fn enforce_foreign_keys(&self, yes: bool) -> Result<()> {
        self.exec(if yes { "PRAGMA foreign_keys = ON" } else { "PRAGMA foreign_keys = OFF" })
    }

    /// Makes values longer than a whole external file an error: the file contains none, and one function call with such a value
    /// may take minutes without checking the deadline.
    pub(in crate::sqlite) fn limit_values(&self, bytes: u64) {
        let longest = c_int::try_from(bytes).unwrap_or(c_int::MAX).max(SHORTEST_LIMIT);
        // SAFETY: the connection is open; SQLite caps the value at its own limit.
        unsafe { ffi::sqlite3_limit(self.raw(), ffi::SQLITE_LIMIT_LENGTH, longest) };
    }

    /// Sets the limits of a connection to an external file, before its schema is read.
    pub(in crate::sqlite) fn limit_external(&self) {
        self.limit_values(LONGEST_DEFINITION);
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_limit(self.raw(), ffi::SQLITE_LIMIT_VDBE_OP, LONGEST_PROGRAM) };
    }

    /// Makes statements fail that would grow the file, or all temporary tables together, beyond `bytes`; `u64::MAX`: no limit.
    /// SQLite counts in pages, so it must be called again after the page size changed.
    pub fn limit_size(&self, bytes: u64) -> Result<()> {
        if bytes == u64::MAX {
            return Ok(());
        }
        // The pragma alone would return the page size of the last read.
        self.value("SELECT count(*) FROM sqlite_schema", &[])?;
        for schema in ["main", "temp"] {
            let page_size = self.value(&format!("PRAGMA {schema}.page_size"), &[])?.and_then(|size| size.as_integer());
            let pages = bytes / page_size.unwrap_or(4096).unsigned_abs().max(512);
            let pages = pages.clamp(1, u64::from(u32::MAX - 1));
            self.exec(&format!("PRAGMA {schema}.max_page_count = {pages}"))?;
        }
        self.max_bytes.set(bytes);
        Ok(())
    }
}
