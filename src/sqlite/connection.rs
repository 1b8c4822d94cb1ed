//! STUB, replaced by the sqlite layer.
use std::marker::PhantomData;

use super::PageFile;
use crate::{error::Result, value::Value};

/// On whose behalf a statement is prepared: what the authorizer refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authority {
    /// tidelock itself: nothing is refused.
    Engine,
    /// A user's statement: BEGIN, COMMIT, ATTACH, some pragmas... are refused.
    User,
    /// A statement of a user's script that has its own BEGIN and COMMIT: these are allowed, the rest is as for a user.
    Script,
    /// A statement of a migration: as for a user, but setting `foreign_keys` is let through. It has no effect in the open
    /// transaction, and tools that write migrations put it there.
    Migration,
}

/// What [`Statement::step`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A row to read.
    Row,
    /// The end.
    Done,
}

/// One connection to one database.
pub struct Connection {}

impl Connection {
    /// Opens SQLite over the file and sets every pragma that tidelock relies on.
    pub fn open(file: &PageFile) -> Result<Self> {
        let _ = file;
        todo!()
    }
    /// Runs all statements of a script with [`Authority::Engine`], one after the other, without a transaction of its own.
    pub fn exec(&self, script: &str) -> Result<()> {
        let _ = script;
        todo!()
    }
    /// Runs one statement to its end; returns how many rows it changed.
    pub fn run(&self, sql: &str, params: &[Value]) -> Result<u64> {
        let _ = (sql, params);
        todo!()
    }
    /// All rows of a query.
    pub fn rows(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>> {
        let _ = (sql, params);
        todo!()
    }
    /// The first column of the first row.
    pub fn value(&self, sql: &str, params: &[Value]) -> Result<Option<Value>> {
        let _ = (sql, params);
        todo!()
    }
    /// A cached statement, prepared with [`Authority::Engine`]; given back to the cache when dropped.
    pub fn statement(&self, sql: &str) -> Result<Statement<'_>> {
        let _ = sql;
        todo!()
    }
    /// Runs `work` in a transaction (BEGIN IMMEDIATE), or in a savepoint when one is open; an error of `work` undoes it.
    pub fn atomically<T>(&self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let _ = work;
        todo!()
    }
    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        todo!()
    }
    /// Rows changed since the connection was opened, triggers and foreign key actions included.
    pub fn total_changes(&self) -> u64 {
        todo!()
    }
    /// The rowid of the last inserted row.
    pub fn last_insert_rowid(&self) -> i64 {
        todo!()
    }
    /// Replaces this database's contents by another one's, as one commit (SQLite's backup API).
    pub fn restore_from(&self, source: &Connection) -> Result<()> {
        let _ = source;
        todo!()
    }
}

/// A prepared statement, borrowed from the connection's cache.
pub struct Statement<'c> {
    _connection: PhantomData<&'c Connection>,
}

impl Statement<'_> {
    /// Binds one parameter, from 1.
    pub fn bind(&mut self, index: usize, value: &Value) -> Result<()> {
        let _ = (index, value);
        todo!()
    }
    /// Goes to the next row.
    pub fn step(&mut self) -> Result<Step> {
        todo!()
    }
    /// Ready to be bound and stepped again; bindings are cleared.
    pub fn reset(&mut self) {
        todo!()
    }
    /// How many columns a row has.
    pub fn column_count(&self) -> usize {
        todo!()
    }
    /// One column of the present row, from 0.
    pub fn column(&self, index: usize) -> Value {
        let _ = index;
        todo!()
    }
}
