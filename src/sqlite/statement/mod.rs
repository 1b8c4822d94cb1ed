//! A statement to bind, step and read, borrowed from a connection's cache.
//!
//! | file | what |
//! |---|---|
//! | `prepared` | a compiled statement |
//! | `execute`, `bind` | one statement of JavaScript: from its parameters to encoded rows |
//! | `mem`, `shapes` | values in SQLite's memory; the names of columns by an id |
//! | `explain` | query plans |

pub(super) mod bind;
pub(super) mod execute;
pub(super) mod explain;
pub(super) mod mem;
pub(super) mod prepared;
pub(super) mod shapes;

use std::{ffi::c_int, rc::Rc};

use rusqlite::ffi;

use crate::{
    error::{Error, Result},
    sqlite::{Authority, Connection, connection::authority::StatementEffects, statement::prepared::PreparedStatement},
    value::Value,
};

/// The result of [`Statement::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A row to read.
    Row,
    /// The end.
    Done,
}

/// A prepared statement, borrowed from the connection's cache.
pub struct Statement<'c> {
    connection: &'c Connection,
    pub(in crate::sqlite) prepared: Rc<PreparedStatement>,
}

impl<'c> Statement<'c> {
    pub(in crate::sqlite) fn new(connection: &'c Connection, prepared: Rc<PreparedStatement>) -> Self {
        Self { connection, prepared }
    }

    pub(in crate::sqlite) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Creates a handle for the statements of a script in turn, each from [`begin`](Self::begin) to [`end`](Self::end): they share
    /// its memory.
    pub(in crate::sqlite) fn of_script(connection: &'c Connection, authority: Authority) -> Self {
        Self::new(connection, Rc::new(PreparedStatement::new(std::ptr::null_mut(), "", authority, Rc::default())))
    }

    /// Wraps a statement that SQLite just compiled.
    pub(in crate::sqlite) fn begin(&mut self, raw: *mut ffi::sqlite3_stmt) {
        let watcher = self.connection.watcher();
        match Rc::get_mut(&mut self.prepared) {
            Some(prepared) => prepared.take_over(raw, watcher),
            None => {
                let effects = watcher.take_effects();
                self.prepared = Rc::new(PreparedStatement::new(raw, "", self.prepared.authority, effects));
            }
        }
    }

    /// Frees the statement.
    pub(in crate::sqlite) fn end(&mut self) {
        if let Some(prepared) = Rc::get_mut(&mut self.prepared) {
            prepared.finalize();
        }
    }

    /// Binds one parameter, from 1. Fails with `invalid_argument` when there is no such parameter.
    pub fn bind(&mut self, index: usize, value: &Value) -> Result<()> {
        // SAFETY: texts and blobs are copied by SQLite before this returns.
        unsafe { self.bind_as(index, value, ffi::SQLITE_TRANSIENT()) }
    }

    /// Runs the statement to its end with these parameters, which SQLite doesn't copy, and resets it, also after an error. Returns
    /// how many rows it changed.
    pub fn finish_with(&mut self, values: &[Value]) -> Result<u64> {
        let bound = values.iter().enumerate().try_for_each(|(index, value)| {
            // SAFETY: the values outlive the bindings, which are always cleared below.
            unsafe { self.bind_as(index + 1, value, ffi::SQLITE_STATIC()) }
        });
        let done = bound.and_then(|()| self.run()).map(|()| self.connection.changes_of(&self.prepared));
        self.reset();
        done
    }

    /// # Safety
    /// With SQLITE_STATIC the value must outlive the binding.
    unsafe fn bind_as(&mut self, index: usize, value: &Value, copying: ffi::sqlite3_destructor_type) -> Result<()> {
        let at = c_int::try_from(index).unwrap_or(0);
        // SAFETY: as the caller promises.
        let code = unsafe { bind::bind_as(&self.prepared, at, value.into(), copying) };
        match code {
            ffi::SQLITE_OK => Ok(()),
            ffi::SQLITE_RANGE => Err(Error::invalid(format!("The statement has no parameter {index}"))
                .hint("Pass one value for each ? of the statement")
                .detail("parameter", index)),
            code => Err(self.connection.failure(code)),
        }
    }

    /// Binds all parameters. Fails with `invalid_argument` when there are too few or too many.
    pub fn bind_all(&mut self, values: &[Value]) -> Result<()> {
        bind::check_count(values.len(), self.parameter_count())?;
        for (index, value) in values.iter().enumerate() {
            self.bind(index + 1, value)?;
        }
        Ok(())
    }

    /// Binds the first of these values, as many as the statement has parameters.
    pub fn bind_first(&mut self, values: &[Value]) -> Result<()> {
        values
            .iter()
            .take(self.parameter_count())
            .enumerate()
            .try_for_each(|(index, value)| self.bind(index + 1, value))
    }

    /// Advances to the next row. Fails with SQLite's error; the statement must then be reset before the next step.
    pub fn step(&mut self) -> Result<Step> {
        self.connection.step(&self.prepared)
    }

    /// Runs the statement to its end, ignoring its rows.
    pub fn run(&mut self) -> Result<()> {
        while self.step()? == Step::Row {}
        Ok(())
    }

    /// Runs the statement to its end, ignoring its rows, and resets it. Returns how many rows it changed.
    pub fn finish(&mut self) -> Result<u64> {
        self.run()?;
        let changes = self.connection.changes_of(&self.prepared);
        self.reset();
        Ok(changes)
    }

    /// Resets the statement and clears its bindings.
    pub fn reset(&mut self) {
        self.prepared.clear();
    }

    /// Returns the number of columns.
    pub fn column_count(&self) -> usize {
        self.prepared.column_count()
    }

    /// Returns a column's name, from 0; empty when there is no such column.
    pub fn column_name(&self, index: usize) -> String {
        self.prepared.column_name(index)
    }

    /// Returns the largest parameter's number, which is the number of values to bind.
    pub fn parameter_count(&self) -> usize {
        self.prepared.parameter_count()
    }

    /// Returns a parameter's name, from 1, with its prefix `:`, `@` or `$`; `None` for a plain `?`.
    pub fn parameter_name(&self, index: usize) -> Option<&str> {
        self.prepared.parameter_name(index)
    }

    /// Returns the text; empty for a statement of a script.
    pub fn sql(&self) -> &str {
        &self.prepared.sql
    }

    /// Returns the statement's effects, as SQLite reported them when it compiled it.
    pub fn effects(&self) -> Rc<StatementEffects> {
        self.prepared.effects()
    }

    /// Returns whether the statement never changes the database file.
    pub fn is_readonly(&self) -> bool {
        self.prepared.is_readonly()
    }

    /// Returns a column of the current row, from 0; NULL when there is no row or no such column.
    pub fn column(&self, index: usize) -> Value {
        let raw = self.prepared.raw;
        // SAFETY: the statement is alive; SQLite returns NULL for an index out of range.
        match unsafe { ffi::sqlite3_column_type(raw, index as c_int) } {
            ffi::SQLITE_INTEGER => Value::Integer(self.column_i64(index)),
            ffi::SQLITE_FLOAT => Value::Real(self.column_f64(index)),
            ffi::SQLITE_TEXT => Value::Text(String::from_utf8_lossy(self.column_bytes(index)).into_owned()),
            ffi::SQLITE_BLOB => Value::Blob(self.column_bytes(index).to_vec()),
            _ => Value::Null,
        }
    }

    /// Returns SQLite's number of the type of a column in the current row.
    pub(in crate::sqlite) fn kind(&self, index: usize) -> c_int {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_column_type(self.prepared.raw, index as c_int) }
    }

    /// Returns a column of the current row as an integer, converted as SQLite's CAST does; 0 for NULL.
    pub fn column_i64(&self, index: usize) -> i64 {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_column_int64(self.prepared.raw, index as c_int) }
    }

    /// Returns a column of the current row as a double, converted as SQLite's CAST does; 0 for NULL.
    pub fn column_f64(&self, index: usize) -> f64 {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_column_double(self.prepared.raw, index as c_int) }
    }

    /// Returns a text column of the current row, valid until the next step; `None` when it isn't text or isn't UTF-8.
    pub fn column_text(&self, index: usize) -> Option<&str> {
        // SAFETY: the statement is alive.
        let is_text = unsafe { ffi::sqlite3_column_type(self.prepared.raw, index as c_int) } == ffi::SQLITE_TEXT;
        if is_text { std::str::from_utf8(self.column_bytes(index)).ok() } else { None }
    }

    /// Returns the bytes of a text or blob column of the current row, valid until the next step; empty for other types.
    pub fn column_bytes(&self, index: usize) -> &[u8] {
        let raw = self.prepared.raw;
        let index = index as c_int;
        // SAFETY: the statement is alive. SQLite returns a pointer to that many bytes, or null; it is valid while the slice
        // borrows the statement: nothing can step or reset it meanwhile, and reading it again this way converts nothing.
        unsafe {
            let start = match ffi::sqlite3_column_type(raw, index) {
                ffi::SQLITE_TEXT => ffi::sqlite3_column_text(raw, index),
                ffi::SQLITE_BLOB => ffi::sqlite3_column_blob(raw, index).cast(),
                _ => return &[],
            };
            let length = ffi::sqlite3_column_bytes(raw, index) as usize;
            if start.is_null() { &[] } else { std::slice::from_raw_parts(start, length) }
        }
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        self.prepared.release();
    }
}
