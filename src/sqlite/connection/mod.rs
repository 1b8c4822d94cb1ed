//! A connection: SQLite over a page file, with its statement cache.
//!
//! | file | what |
//! |---|---|
//! | `opening`, `pragmas`, `modules` | opening with all settings; FTS5, which may come later |
//! | `authority` | what a statement may do, and what it reads and writes |
//! | `queries`, `cache` | statements: found in the cache or compiled, and run |
//! | `suggestions` | what a statement may have meant |
//! | `deadline` | the end of statements that take too long |
//! | `triggers` | helpers for temporary triggers |

pub(super) mod authority;
pub(super) mod cache;
pub(super) mod deadline;
pub(super) mod modules;
pub(super) mod opening;
pub(super) mod pragmas;
pub(super) mod queries;
mod suggestions;
pub(super) mod triggers;

use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_uint},
    rc::Rc,
};

use rusqlite::ffi;

use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{
        PageFile,
        connection::{
            authority::{Authority, Watcher},
            cache::{Cache, PERSISTENT},
            deadline::{Countdown, Deadline},
        },
        failure,
        functions::user_functions,
        sql::{
            table_expressions,
            text::{first_word, must_be_whole, skip_blank, statements},
        },
        statement::{prepared::PreparedStatement, shapes::Shapes},
        tracking::row_changes::RowRecorder,
    },
};

/// The longest statement in bytes that is cached.
const LONGEST_KEPT: usize = 32 * 1024;

/// One connection to one database. It stays on the thread that opened it.
pub struct Connection {
    pub(in crate::sqlite) db: *mut ffi::sqlite3,
    pub(in crate::sqlite) file: PageFile,
    pub(in crate::sqlite) watcher: Box<Watcher>,
    pub(in crate::sqlite) recorder: Box<RowRecorder>,
    pub(in crate::sqlite) cache: RefCell<Cache>,
    pub(in crate::sqlite) shapes: RefCell<Shapes>,
    pub(in crate::sqlite) deadline: RefCell<Option<Box<Countdown>>>,
    /// The size limit of the file in bytes, for the error of a statement that would exceed it.
    pub(in crate::sqlite) max_bytes: Cell<u64>,
    /// Whether values can be read from SQLite's memory.
    pub(in crate::sqlite) reads_values: bool,
}

impl Connection {
    /// Returns the address of SQLite's handle, for code that takes it as a number.
    pub fn address(&self) -> usize {
        self.db as usize
    }

    /// Runs `work` in a transaction (BEGIN IMMEDIATE), or in a savepoint if a transaction is open. An error of `work` rolls it back.
    pub fn atomically<T>(&self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let (begin, commit, rollback) = if self.in_transaction() {
            (
                "SAVEPOINT tidelock_atomically",
                "RELEASE tidelock_atomically",
                "ROLLBACK TO tidelock_atomically; RELEASE tidelock_atomically",
            )
        } else {
            ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
        };
        self.run(begin, &[])?;
        let result = work(self).and_then(|value| self.run(commit, &[]).map(|_| value));
        // Some errors (a full database, an interrupt, no memory) make SQLite roll back everything by itself.
        if result.is_err() && self.in_transaction() {
            // The error of `work` is more useful than an error of the rollback.
            let _ = self.without_deadline(|| self.exec(rollback));
        }
        result
    }

    /// Frees the memory of cached pages that no statement uses.
    pub fn release_memory(&self) {
        // SAFETY: the connection is open as long as `self` lives.
        unsafe { ffi::sqlite3_db_release_memory(self.db) };
    }

    /// Returns whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        // SAFETY: the connection is open as long as `self` lives.
        unsafe { ffi::sqlite3_get_autocommit(self.db) == 0 }
    }

    /// Returns whether a statement failed with this error because it violates a constraint, and the transaction is still
    /// open: a trigger or constraint with ROLLBACK ends it, with all that was written before.
    pub fn is_violation(&self, error: &Error) -> bool {
        error.is(ErrorCode::SqliteConstraint) && self.in_transaction()
    }

    /// Returns whether the transaction has foreign key violations that must be resolved before its end.
    pub fn owes_parents(&self) -> bool {
        let (mut owes, mut most) = (0, 0);
        // SAFETY: the connection is open as long as `self` lives, and both places are written to while they are there.
        unsafe { ffi::sqlite3_db_status(self.db, ffi::SQLITE_DBSTATUS_DEFERRED_FKS, &mut owes, &mut most, 0) };
        owes != 0
    }

    /// Returns the number of rows changed since the connection was opened, including those changed by triggers and foreign key actions.
    pub fn total_changes(&self) -> u64 {
        // SAFETY: the connection is open as long as `self` lives.
        unsafe { ffi::sqlite3_total_changes64(self.db) as u64 }
    }

    /// Returns the rowid of the last inserted row.
    pub fn last_insert_rowid(&self) -> i64 {
        // SAFETY: the connection is open as long as `self` lives.
        unsafe { ffi::sqlite3_last_insert_rowid(self.db) }
    }

    /// Returns the column names of a shape id; empty for an unknown id.
    pub fn shape_columns(&self, shape: u32) -> Option<Rc<[String]>> {
        self.shapes.borrow().names(shape)
    }

    /// Returns the shape id of a statement's column names.
    pub(in crate::sqlite) fn shape_of(&self, prepared: &PreparedStatement) -> u32 {
        if let Some(shape) = prepared.shape.get() {
            return shape;
        }
        let names = (0..prepared.column_count()).map(|index| prepared.column_name(index)).collect();
        let shape = self.shapes.borrow_mut().number(names);
        prepared.shape.set(Some(shape));
        shape
    }

    pub(in crate::sqlite) fn reads_values(&self) -> bool {
        self.reads_values
    }

    /// Sets or removes the deadline, and returns the previous one. SQLite calls it every few instructions; once no time is left, the
    /// running statement fails with `timeout`. The deadline must not use the connection.
    ///
    /// If a write inside a transaction is interrupted, SQLite rolls back the whole transaction.
    pub fn set_deadline(&self, deadline: Option<Deadline>) -> Option<Deadline> {
        let mut kept = self.deadline.borrow_mut();
        let before = kept.take().map(|countdown| countdown.end());
        *kept = deadline.map(|deadline| Countdown::begin(self.db, deadline));
        before
    }

    /// Runs work that the deadline must not interrupt, such as a rollback after it has passed.
    pub fn without_deadline<T>(&self, work: impl FnOnce() -> T) -> T {
        let deadline = self.set_deadline(None);
        let done = work();
        self.set_deadline(deadline);
        done
    }

    pub(in crate::sqlite) fn set_running(&self, statement: *mut ffi::sqlite3_stmt) -> *mut ffi::sqlite3_stmt {
        let mut deadline = self.deadline.borrow_mut();
        deadline.as_mut().map_or(std::ptr::null_mut(), |countdown| countdown.set_running(statement))
    }

    /// Checks the deadline between two statements.
    pub(in crate::sqlite) fn is_past_deadline(&self) -> bool {
        self.deadline.borrow_mut().as_mut().is_some_and(|countdown| countdown.is_over())
    }

    pub(in crate::sqlite) fn raw(&self) -> *mut ffi::sqlite3 {
        self.db
    }

    pub(in crate::sqlite) fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// Returns the error of the call that just failed.
    pub(in crate::sqlite) fn failure(&self, code: c_int) -> Error {
        let reported = self.watcher.take_refusal().or_else(user_functions::take_failure);
        self.with_limit(reported.unwrap_or_else(|| failure::last(self.db, code)))
    }

    /// Adds the size limit to the error of exceeding it.
    pub(in crate::sqlite) fn with_limit(&self, error: Error) -> Error {
        match self.max_bytes.get() {
            u64::MAX => error,
            limit if error.is(ErrorCode::DatabaseTooLarge) => {
                let mut error = error.detail("maxBytes", limit);
                error.message = format!("The database reached maxBytes ({limit} bytes)");
                error
            }
            _ => error,
        }
    }

    /// Returns a statement from the cache, or compiles it. The caller owns it until it releases it.
    pub(in crate::sqlite) fn prepare(&self, sql: &str, authority: Authority) -> Result<Rc<PreparedStatement>> {
        if let Some(prepared) = self.cache.borrow_mut().take(sql, authority) {
            return Ok(prepared);
        }
        self.prepare_uncached(sql, authority)
    }

    /// Compiles a statement, and replaces a cached one. The caller owns it until it releases it.
    pub(in crate::sqlite) fn prepare_uncached(&self, sql: &str, authority: Authority) -> Result<Rc<PreparedStatement>> {
        must_be_whole(sql)?;
        let word = first_word(sql);
        // SQLite runs a pragma when it compiles it, so trailing text must be refused before that.
        if word.eq_ignore_ascii_case("PRAGMA") && statements(sql).nth(1).is_some() {
            return Err(several());
        }
        table_expressions::check(sql)?;
        let (raw, length) = self.compile(sql, authority, PERSISTENT)?;
        let raw = raw.ok_or_else(|| {
            Error::invalid("There is no SQL statement in this text").hint("It is empty, or a comment")
        })?;
        let effects = self.watcher.take_effects();
        // Not cached: pragmas, which take effect when they are compiled; plans, which aren't recompiled after a change of the schema;
        // and changes of the schema and very long texts, which rarely run twice. With IF EXISTS they may have nothing to do only this time.
        let passing = ["EXPLAIN", "CREATE", "DROP"].iter().any(|one| word.eq_ignore_ascii_case(one));
        let keep = !(effects.pragma || effects.schema || effects.temp_schema || passing) && sql.len() <= LONGEST_KEPT;
        let prepared = Rc::new(PreparedStatement::new(raw, sql, authority, effects));
        if !skip_blank(&sql[length..]).is_empty() {
            return Err(several().detail("offset", length));
        }
        if keep {
            self.cache.borrow_mut().keep(&prepared);
        }
        Ok(prepared)
    }

    /// Compiles the first statement of a text; `None` if the text has only white space and comments. Also returns the number of
    /// bytes read from the text. The watcher then has the statement's effects.
    pub(in crate::sqlite) fn compile(
        &self,
        sql: &str,
        authority: Authority,
        flags: c_uint,
    ) -> Result<(Option<*mut ffi::sqlite3_stmt>, usize)> {
        let length = c_int::try_from(sql.len())
            .map_err(|_| Error::invalid("The SQL text is too long").hint("The limit is 2 GiB"))?;
        let mut raw = std::ptr::null_mut();
        let mut tail = std::ptr::null();
        self.watcher.begin(authority);
        // SAFETY: the connection is open, and the text is given with its length.
        let code = unsafe { ffi::sqlite3_prepare_v3(self.db, sql.as_ptr().cast(), length, flags, &mut raw, &mut tail) };
        if code != ffi::SQLITE_OK {
            return Err(self.with_suggestion(self.failure(code), authority));
        }
        let used = if tail.is_null() { sql.len() } else { tail.addr() - sql.as_ptr().addr() };
        Ok(((!raw.is_null()).then_some(raw), used.min(sql.len())))
    }

    /// Returns the number of rows that the statement that just ended changed itself.
    pub(in crate::sqlite) fn changes_of(&self, prepared: &PreparedStatement) -> u64 {
        if !prepared.counts_changes() {
            return 0;
        }
        // SAFETY: the connection is open as long as `self` lives.
        unsafe { ffi::sqlite3_changes64(self.db) as u64 }
    }
}

fn several() -> Error {
    Error::invalid("There is more than one SQL statement in this text")
        .hint("Use db.exec() for a script, db.batch() for several statements with parameters")
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cache.borrow_mut().clear();
        // SAFETY: statements borrow the connection, so that none is alive but those just cleared. The watcher is dropped
        // after this, when SQLite can't call it any more.
        unsafe { ffi::sqlite3_close(self.db) };
    }
}
