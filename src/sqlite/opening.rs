//! A connection, opened: SQLite over a page file, with every setting that tidelock relies on.

use std::cell::{Cell, RefCell};

use rusqlite::ffi;

use super::{Connection, PageFile, authority::Watcher, functions, mem, pragmas, vfs};
use crate::error::Result;

impl Connection {
    /// Opens SQLite over the file and sets every pragma that tidelock relies on.
    ///
    /// Fails with `database_corrupt` when the file is not a database, with `internal` when it has a connection already.
    pub fn open(file: &PageFile) -> Result<Self> {
        Self::open_by(file, |_| {})
    }

    /// The same for a file from outside: also with `sqlite_error` (`SQLITE_TOOBIG`) when a statement of its schema is longer than
    /// [`LONGEST_DEFINITION`](pragmas::LONGEST_DEFINITION). SQLite asks for no deadline while it reads the schema.
    pub(super) fn open_outside(file: &PageFile) -> Result<Self> {
        Self::open_by(file, |connection| connection.limit_values(pragmas::LONGEST_DEFINITION))
    }

    /// `prepare` comes before anything reads the schema.
    fn open_by(file: &PageFile, prepare: impl FnOnce(&Self)) -> Result<Self> {
        let db = vfs::open(file)?;
        let watcher = Watcher::install(db).inspect_err(|_| {
            // SAFETY: just opened, without statements, and without other users.
            unsafe { ffi::sqlite3_close(db) };
        })?;
        let mut connection = Self {
            db,
            watcher,
            cache: RefCell::default(),
            shapes: RefCell::default(),
            deadline: RefCell::default(),
            max_bytes: Cell::new(u64::MAX),
            reads_values: false,
        };
        // Before anything reads the schema: SQLite doesn't hold a function that it meets there unknown to what is said of it later, and
        // one that only statements may call would serve the schema.
        functions::register(&connection)?;
        prepare(&connection);
        pragmas::apply(&connection, file)?;
        connection.reads_values = mem::looks_as_expected(db);
        Ok(connection)
    }
}
