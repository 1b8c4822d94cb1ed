//! Opens a connection: SQLite over a page file, with every setting that tidelock relies on.

use std::cell::{Cell, RefCell};

use rusqlite::ffi;

use crate::{
    error::Result,
    sqlite::{
        Connection, PageFile,
        connection::{authority::Watcher, deadline::Deadline, pragmas},
        functions,
        statement::mem,
        vfs,
    },
};

/// Which limits a connection has before the schema is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Own,
    External,
    Damaged,
}

impl Connection {
    /// Opens SQLite over the file and sets every pragma that tidelock relies on.
    ///
    /// Fails with `database_corrupt` if the file is not a database, with `internal` if it already has a connection.
    pub fn open(file: &PageFile) -> Result<Self> {
        Self::open_by(file, Kind::Own, None)
    }

    /// Opens a file that may be damaged like [`open`](Self::open), and keeps the deadline. Also fails with `timeout`.
    pub fn open_within(file: &PageFile, deadline: Deadline) -> Result<Self> {
        Self::open_by(file, Kind::Own, Some(deadline))
    }

    /// Does the same with a file whose schema lacks entries: what belongs to them is left out, too.
    pub(in crate::sqlite) fn open_damaged(file: &PageFile, deadline: Deadline) -> Result<Self> {
        Self::open_by(file, Kind::Damaged, Some(deadline))
    }

    /// Opens an external file like [`open`](Self::open), and keeps the deadline. Also fails with `sqlite_error` (`SQLITE_TOOBIG`) if a
    /// statement of its schema is longer than [`LONGEST_DEFINITION`](pragmas::LONGEST_DEFINITION), and with `timeout`.
    pub(in crate::sqlite) fn open_outside(file: &PageFile, deadline: Option<Deadline>) -> Result<Self> {
        Self::open_by(file, Kind::External, deadline)
    }

    /// Opens a connection. Its limits hold before the schema is read.
    fn open_by(file: &PageFile, kind: Kind, deadline: Option<Deadline>) -> Result<Self> {
        let db = vfs::open(file)?;
        let watcher = Watcher::install(db).inspect_err(|_| {
            // SAFETY: just opened, without statements, and without other users.
            unsafe { ffi::sqlite3_close(db) };
        })?;
        let mut connection = Self {
            db,
            file: file.clone(),
            watcher,
            recorder: Box::default(),
            cache: RefCell::default(),
            shapes: RefCell::default(),
            deadline: RefCell::default(),
            max_bytes: Cell::new(u64::MAX),
            reads_values: false,
        };
        // Registered before the schema is read: SQLite doesn't apply the restriction to statements to a function that the schema
        // used before its registration.
        functions::register(&connection)?;
        if kind == Kind::External {
            connection.limit_external();
        }
        connection.set_deadline(deadline);
        if kind == Kind::Damaged {
            connection.accept_schema();
        }
        pragmas::apply(&connection, file)?;
        connection.reads_values = mem::looks_as_expected(db);
        Ok(connection)
    }
}
