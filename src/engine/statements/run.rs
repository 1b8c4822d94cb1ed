//! Runs the statements, transactions and scripts of users. All of it is synchronous, and requires a permit that holds the
//! connection.

use std::rc::Rc;

use crate::{
    engine::{
        Database,
        connection::{fts5, mutex::MutexPermit},
        database::Inner,
        options::IntegerMode,
    },
    error::{Error, ErrorCode, Result},
    health::Took,
    sqlite::{
        Authority, Connection, FlatParams, FlatRows, Integers, Manner, Op, Outcome, PlanRow, Statement,
        StatementEffects,
    },
};

impl From<IntegerMode> for Integers {
    fn from(mode: IntegerMode) -> Self {
        match mode {
            IntegerMode::Auto => Integers::Auto,
            IntegerMode::Bigint => Integers::Bigint,
            IntegerMode::Number => Integers::Number,
        }
    }
}

/// One statement to run.
pub struct Call<'a> {
    /// What to do with it.
    pub op: Op,
    /// Its text.
    pub sql: &'a str,
    /// Its parameters, if any.
    pub params: Option<&'a FlatParams<'a>>,
    /// The names of the parameters' columns joined by `\0`; empty for positional ones.
    pub names: &'a str,
    /// Milliseconds after which it is interrupted with `timeout`; 0: never.
    pub timeout_ms: f64,
}

impl Database {
    /// Loads FTS5 for a statement that failed because it is missing. Fails with `wasm_load_failed`.
    pub async fn load_fts5(&self) -> Result<()> {
        let connection = self.inner.connection()?;
        fts5::load(&self.inner.ports.platform, &connection).await
    }

    /// Runs one statement to its end and encodes its rows into `out`.
    ///
    /// Fails with `transaction_closed` if the permit doesn't hold the connection, `invalid_argument` for wrong parameters or refused statements,
    /// SQLite's errors, and `storage_*` with `applied: false` while the storage can't take writes.
    pub fn execute(&self, permit: MutexPermit, call: &Call<'_>, out: &mut FlatRows) -> Result<Outcome> {
        let inner = &*self.inner;
        let connection = inner.ready(permit)?;
        inner.measured(&connection, call.op, call.sql, || {
            inner.limited(&connection, call.timeout_ms, || {
                let statement = connection.statement_for(call.sql, Authority::User)?;
                connection.place(&statement, call.params, Some(call.names))?;
                inner.execute(&connection, call.op, &statement, call.params, out)
            })
        })
    }

    /// The same for a statement by the number that its last [`Outcome`] has, with parameters of the same names as then;
    /// none when it isn't kept any more.
    pub fn execute_known(
        &self,
        permit: MutexPermit,
        op: Op,
        id: u32,
        params: Option<&FlatParams<'_>>,
        out: &mut FlatRows,
    ) -> Result<Option<Outcome>> {
        let inner = &*self.inner;
        let connection = inner.ready(permit)?;
        let Some(statement) = connection.statement_known(id, Authority::User) else { return Ok(None) };
        inner.measured(&connection, op, statement.sql(), || {
            connection.place(&statement, params, None)?;
            inner.execute(&connection, op, &statement, params, out).map(Some)
        })
    }

    /// The column names of a result's shape.
    pub fn columns(&self, shape: u32) -> Rc<[String]> {
        let names = self.inner.connection().ok().and_then(|connection| connection.shape_columns(shape));
        names.unwrap_or_default()
    }

    /// Begins a transaction, or a savepoint inside one; returns its depth, from 1.
    pub fn begin(&self, permit: MutexPermit, immediate: bool) -> Result<u32> {
        let connection = self.inner.ready(permit)?;
        let depth = self.inner.transaction.depth.get() + 1;
        match (depth, immediate) {
            (1, false) => connection.run("BEGIN", &[])?,
            (1, true) => connection.run("BEGIN IMMEDIATE", &[])?,
            _ => connection.run(&format!("SAVEPOINT tidelock_{depth}"), &[])?,
        };
        self.inner.transaction.depth.set(depth);
        Ok(depth)
    }

    /// Commits the transaction, or releases the savepoint; whether the database was written.
    ///
    /// A commit that SQLite refuses (a deferred foreign key) leaves the transaction open: roll it back.
    pub fn commit(&self, permit: MutexPermit, depth: u32) -> Result<bool> {
        let inner = &*self.inner;
        let connection = inner.ready(permit)?;
        if depth == 0 || inner.transaction.depth.get() != depth {
            let message = "A transaction inside this one is still open, or this one has ended";
            return Err(Error::new(ErrorCode::TransactionClosed, message)
                .hint("Await inner transactions before the outer one returns"));
        }
        if depth > 1 {
            connection.run(&format!("RELEASE tidelock_{depth}"), &[])?;
            inner.transaction.depth.set(depth - 1);
            return Ok(false);
        }
        connection.run("COMMIT", &[])?;
        Ok(inner.transaction_ended(true))
    }

    /// Rolls back the transaction, or to the savepoint, with all that began inside. One that has ended is left alone.
    pub fn rollback(&self, permit: MutexPermit, depth: u32) -> Result<()> {
        let inner = &*self.inner;
        inner.mutex.check(permit)?;
        let connection = inner.connection()?;
        inner.transaction.parts_ms.take();
        if depth == 0 || inner.transaction.depth.get() < depth {
            return Ok(());
        }
        let open = connection.in_transaction();
        if depth > 1 {
            inner.transaction.depth.set(depth - 1);
            if open {
                connection.exec(&format!("ROLLBACK TO tidelock_{depth}; RELEASE tidelock_{depth}"))?;
            }
            return Ok(());
        }
        if open {
            connection.run("ROLLBACK", &[])?;
        }
        inner.transaction_ended(false);
        Ok(())
    }

    /// Runs a script: in one transaction, or as written when it has its own; whether the database was written.
    ///
    /// Fails with the statement's error, `details.line` and `details.offset` counted in the script; nothing is left then
    /// of a script without transactions of its own.
    pub fn script(&self, permit: MutexPermit, sql: &str, timeout_ms: f64) -> Result<bool> {
        let connection = self.inner.ready(permit)?;
        let admitted = self.inner.flusher.admit_write();
        let run = |()| self.inner.limited(&connection, timeout_ms, || self.inner.script(&connection, sql));
        let result = admitted.and_then(run);
        self.inner.make_room(&connection, result.as_ref().err());
        result
    }

    /// The plan of a statement.
    pub fn explain(&self, permit: MutexPermit, sql: &str) -> Result<Vec<PlanRow>> {
        self.inner.ready(permit)?.explain_query_plan(sql)
    }

    /// Registers a live query with the parameters of its runs; returns its id.
    pub fn watch(&self, sql: &str, params: Option<&FlatParams<'_>>, names: &str) -> Result<u32> {
        let connection = self.inner.connection()?;
        self.inner.live.borrow_mut().watch(&connection, sql, params, names)
    }

    /// Forgets a live query.
    pub fn unwatch(&self, id: u32) {
        let connection = self.inner.connection.borrow();
        self.inner.live.borrow_mut().unwatch(connection.as_deref(), id);
    }
}

impl Inner {
    /// After an error for lack of memory: SQLite gives back its copies of pages, so that the next call, and commits that found
    /// no room to be written to the log, have some.
    fn make_room(&self, connection: &Connection, error: Option<&Error>) {
        if error.is_some_and(|error| error.is(ErrorCode::OutOfMemory)) {
            connection.release_memory();
            self.flusher.hurry();
        }
    }

    fn script(&self, connection: &Connection, sql: &str) -> Result<bool> {
        let whole = || connection.atomically(|connection| self.run_script(connection, sql, Authority::User));
        if connection.in_transaction() {
            return whole().map(|()| true);
        }
        let manner = Manner::of(sql);
        let result = match manner {
            Manner::Vacuum => self.run_script(connection, sql, Authority::Script),
            Manner::AsWritten => self.run_as_written(connection, sql),
            Manner::Whole => whole(),
        };
        let wrote = self.transaction_ended(result.is_ok() || manner == Manner::AsWritten);
        result.map(|()| wrote)
    }

    /// The connection, for the holder of the mutex.
    fn ready(&self, permit: MutexPermit) -> Result<Rc<Connection>> {
        let connection = self.connection()?;
        self.mutex.check(permit)?;
        if self.transaction.depth.get() > 0 && !connection.in_transaction() {
            return Err(Error::new(ErrorCode::TransactionClosed, "SQLite rolled the transaction back after an error")
                .hint("Run the whole transaction again"));
        }
        Ok(connection)
    }

    /// Runs what the statistics are to hear of: parts count with the last one.
    fn measured<T>(&self, connection: &Connection, op: Op, sql: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let clock = &*self.ports.platform.clock;
        let before = self.transaction.parts_ms.take();
        let part = op == Op::RunPart;
        // The exact clock costs as much as a tenth of a small statement; the wall clock is rough, but cheap.
        let exact = (part || before > 0.0 || self.stats.borrow().wants_exact()).then(|| clock.monotonic_ms());
        let started = clock.now();
        let result = work();
        self.make_room(connection, result.as_ref().err());
        let ended = clock.now();
        let took = match exact {
            Some(exact) => Took::Exactly(before + clock.monotonic_ms() - exact),
            None => Took::Roughly((ended.0 - started.0) as f64),
        };
        match took {
            Took::Exactly(ms) if part && result.is_ok() => self.transaction.parts_ms.set(ms),
            took => self.stats.borrow_mut().record(sql, took, ended, result.is_err()),
        }
        result
    }

    fn execute(
        &self,
        connection: &Connection,
        op: Op,
        statement: &Statement<'_>,
        params: Option<&FlatParams<'_>>,
        out: &mut FlatRows,
    ) -> Result<Outcome> {
        if let Err(refusal) = self.flusher.admit_write()
            && !statement.is_readonly()
        {
            return Err(refusal);
        }
        let integers = self.options.integers.into();
        let mut run = |connection: &Connection| connection.execute_statement(op, statement, params, integers, out);
        let outcome = if self.watching() && statement.facts().schema {
            connection.atomically(|connection| {
                self.suspend_triggers(connection)?;
                let outcome = run(connection)?;
                self.resume_triggers(connection)?;
                Ok(outcome)
            })?
        } else if op == Op::RunMany {
            connection.atomically(run)?
        } else {
            let before = connection.total_changes();
            run(connection).inspect_err(|_| {
                // OR FAIL and RAISE(FAIL) keep what the statement changed before it failed.
                if connection.total_changes() != before {
                    self.wrote(connection, &statement.facts());
                }
            })?
        };
        if outcome.wrote {
            self.wrote(connection, &outcome.facts);
        }
        Ok(outcome)
    }

    /// After a statement that wrote: outside a transaction it is one of its own.
    fn wrote(&self, connection: &Connection, facts: &StatementEffects) {
        self.note(facts);
        if !connection.in_transaction() {
            self.transaction_ended(true);
        }
    }

    /// Remembers what a statement changes, until its transaction ends.
    pub(in crate::engine) fn note(&self, facts: &StatementEffects) {
        self.transaction.wrote.set(true);
        let mut changed = self.transaction.changed.borrow_mut();
        changed.everything |= facts.schema;
        for table in &facts.writes {
            if !changed.tables.contains(table) {
                changed.tables.insert(table.clone());
            }
        }
    }

    /// The end of a transaction; whether a commit wrote anything.
    pub(in crate::engine) fn transaction_ended(&self, committed: bool) -> bool {
        self.transaction.depth.set(0);
        let wrote = self.transaction.wrote.take() && committed;
        let mut changed = self.transaction.changed.borrow_mut();
        if wrote {
            self.committed(&changed);
        } else if let Some(connection) = &*self.connection.borrow() {
            // Rolled back.
            connection.take_row_changes();
        }
        changed.clear();
        wrote
    }

    /// Interrupts what `work` runs after `timeout_ms`, if that isn't 0.
    fn limited<T>(&self, connection: &Connection, timeout_ms: f64, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if timeout_ms <= 0.0 {
            return work();
        }
        let clock = self.ports.platform.clock.clone();
        let deadline = clock.monotonic_ms() + timeout_ms;
        let around = connection.set_deadline(Some(Box::new(move || deadline - clock.monotonic_ms())));
        let result = work();
        // That of the migration in whose function this statement runs.
        connection.set_deadline(around);
        result
    }

    /// The statements of a script, one after the other.
    fn run_script(&self, connection: &Connection, sql: &str, authority: Authority) -> Result<()> {
        let run = &mut |statement: &mut Statement<'_>, _| self.run_statement(connection, statement);
        let result = connection.for_each_statement(sql, authority, run).and_then(|()| self.settle_triggers(connection));
        // The rollback that follows an error brings the triggers back.
        result.inspect_err(|_| self.suspended.set(false))
    }

    /// One statement of a script. The triggers that watch tables are away from the first that changes the schema to the next that
    /// doesn't.
    pub(in crate::engine) fn run_statement(
        &self,
        connection: &Connection,
        statement: &mut Statement<'_>,
    ) -> Result<()> {
        let facts = statement.facts();
        if facts.schema && self.watching() {
            if !self.suspended.replace(true) {
                self.suspend_triggers(connection)?;
            }
        } else if !facts.transaction {
            self.settle_triggers(connection)?;
        }
        let before = connection.total_changes();
        let result = statement.run();
        if !statement.is_readonly() && (result.is_ok() || connection.total_changes() != before) {
            self.note(&facts);
        }
        result
    }

    /// Puts these triggers back, if they are away.
    pub(in crate::engine) fn settle_triggers(&self, connection: &Connection) -> Result<()> {
        if self.suspended.replace(false) { self.resume_triggers(connection) } else { Ok(()) }
    }

    /// A script with transactions of its own, which must leave none open.
    fn run_as_written(&self, connection: &Connection, sql: &str) -> Result<()> {
        let result = self.run_script(connection, sql, Authority::Script);
        let open = connection.in_transaction();
        if open {
            connection.run("ROLLBACK", &[])?;
        }
        if result.is_err() && self.watching() {
            // What came before its first BEGIN was not rolled back.
            self.resume_triggers(connection)?;
        }
        if result.is_ok() && open {
            let message = "The script leaves a transaction open; it was rolled back";
            return Err(Error::invalid(message).hint("End it with COMMIT"));
        }
        result
    }
}
