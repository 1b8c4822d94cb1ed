//! Runs the statements, transactions and scripts of users. All calls are synchronous, and require a permit that holds
//! the mutex of the connection.

use std::rc::Rc;

use crate::{
    engine::{
        Database,
        connection::{fts5, mutex::MutexPermit},
        database::Inner,
        options::IntegerMode,
    },
    error::{Error, ErrorCode, Result},
    health::StatementTime,
    sqlite::{
        Authority, Connection, FlatParams, FlatRows, Integers, Op, Outcome, PlanRow, Statement, StatementEffects,
        TransactionMode,
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
    /// How to run it.
    pub op: Op,
    /// Its SQL text.
    pub sql: &'a str,
    /// Its parameters, if any.
    pub params: Option<&'a FlatParams<'a>>,
    /// The names of the parameters, joined by `\0`; empty for positional parameters.
    pub names: &'a str,
    /// The timeout in milliseconds; 0: none.
    pub timeout_ms: f64,
}

impl Database {
    /// Loads FTS5 for a statement that failed because FTS5 is missing. Fails with `wasm_load_failed`.
    pub async fn load_fts5(&self) -> Result<()> {
        let connection = self.inner.connection()?;
        fts5::load(&self.inner.ports.platform, &connection).await
    }

    /// Runs one statement to its end and encodes its rows into `out`.
    ///
    /// Fails with `transaction_closed` if the permit doesn't hold the connection, `invalid_argument` for wrong
    /// parameters or refused statements, SQLite's errors, and `storage_*` with `applied: false` while the storage can't
    /// take writes.
    pub fn execute(&self, permit: MutexPermit, call: &Call<'_>, out: &mut FlatRows) -> Result<Outcome> {
        let inner = &*self.inner;
        let connection = inner.permitted_connection(permit)?;
        inner.measure(&connection, call.op, call.sql, || {
            inner.with_timeout(&connection, call.timeout_ms, || {
                let statement = connection.statement_for(call.sql, Authority::User)?;
                connection.place(&statement, call.params, Some(call.names))?;
                inner.execute(&connection, call.op, &statement, call.params, out)
            })
        })
    }

    /// Runs a cached statement by the id in its last [`Outcome`], with parameters of the same names. Returns `None`
    /// when the statement is no longer cached. Fails as [`execute`](Self::execute) does.
    pub fn execute_known(
        &self,
        permit: MutexPermit,
        op: Op,
        id: u32,
        params: Option<&FlatParams<'_>>,
        out: &mut FlatRows,
    ) -> Result<Option<Outcome>> {
        let inner = &*self.inner;
        let connection = inner.permitted_connection(permit)?;
        let Some(statement) = connection.statement_known(id, Authority::User) else { return Ok(None) };
        inner.measure(&connection, op, statement.sql(), || {
            connection.place(&statement, params, None)?;
            inner.execute(&connection, op, &statement, params, out).map(Some)
        })
    }

    /// Returns the column names of a result's shape.
    pub fn columns(&self, shape: u32) -> Rc<[String]> {
        let names = self.inner.connection().ok().and_then(|connection| connection.shape_columns(shape));
        names.unwrap_or_default()
    }

    /// Begins a transaction, or a savepoint inside one. Returns its depth, from 1.
    pub fn begin(&self, permit: MutexPermit, immediate: bool) -> Result<u32> {
        let connection = self.inner.permitted_connection(permit)?;
        let depth = self.inner.transaction.depth.get() + 1;
        match (depth, immediate) {
            (1, false) => connection.run("BEGIN", &[])?,
            (1, true) => connection.run("BEGIN IMMEDIATE", &[])?,
            _ => connection.run(&format!("SAVEPOINT tidelock_{depth}"), &[])?,
        };
        self.inner.transaction.depth.set(depth);
        Ok(depth)
    }

    /// Commits the transaction, or releases the savepoint. Returns whether the commit wrote anything.
    ///
    /// A commit that SQLite refuses (a deferred foreign key) leaves the transaction open; the caller must roll it back.
    pub fn commit(&self, permit: MutexPermit, depth: u32) -> Result<bool> {
        let inner = &*self.inner;
        let connection = inner.permitted_connection(permit)?;
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

    /// Rolls back the transaction or savepoint, with all inner savepoints. Does nothing if it has already ended.
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

    /// Runs a script in one transaction, unless the script has transactions of its own. Returns whether it wrote
    /// anything.
    ///
    /// Fails with the statement's error; `details.line` and `details.offset` are positions in the script. A script
    /// without transactions of its own is then rolled back.
    pub fn script(&self, permit: MutexPermit, sql: &str, timeout_ms: f64) -> Result<bool> {
        let connection = self.inner.permitted_connection(permit)?;
        let admitted = self.inner.flusher.admit_write();
        let run = |()| self.inner.with_timeout(&connection, timeout_ms, || self.inner.script(&connection, sql));
        let result = admitted.and_then(run);
        self.inner.make_room(&connection, result.as_ref().err());
        result
    }

    /// Returns the query plan of a statement.
    pub fn explain(&self, permit: MutexPermit, sql: &str) -> Result<Vec<PlanRow>> {
        self.inner.permitted_connection(permit)?.explain_query_plan(sql)
    }
}

impl Inner {
    /// Frees SQLite's page cache after an `out_of_memory` error, and retries flushes that failed for the same reason.
    fn make_room(&self, connection: &Connection, error: Option<&Error>) {
        if error.is_some_and(|error| error.is(ErrorCode::OutOfMemory)) {
            connection.release_memory();
            self.flusher.wake();
        }
    }

    fn script(&self, connection: &Connection, sql: &str) -> Result<bool> {
        let whole = || connection.atomically(|connection| self.run_script(connection, sql, Authority::User));
        if connection.in_transaction() {
            return whole().map(|()| true);
        }
        let manner = TransactionMode::of(sql);
        let result = match manner {
            TransactionMode::Vacuum => {
                // It gives the rows of some tables other rowids.
                self.transaction.changed.borrow_mut().everything = true;
                self.run_script(connection, sql, Authority::Script)
            }
            TransactionMode::AsWritten => self.run_as_written(connection, sql),
            TransactionMode::Whole => whole(),
        };
        let wrote = self.transaction_ended(result.is_ok() || manner == TransactionMode::AsWritten);
        result.map(|()| wrote)
    }

    /// Returns the connection. Fails with `transaction_closed` unless `permit` holds the mutex, or if SQLite has rolled
    /// back the open transaction.
    pub(super) fn permitted_connection(&self, permit: MutexPermit) -> Result<Rc<Connection>> {
        let connection = self.connection()?;
        self.mutex.check(permit)?;
        if self.transaction.depth.get() > 0 && !connection.in_transaction() {
            return Err(Error::new(ErrorCode::TransactionClosed, "SQLite rolled the transaction back after an error")
                .hint("Run the whole transaction again"));
        }
        Ok(connection)
    }

    /// Runs `work` and records its duration in the statistics. A statement in parts is recorded once, after its last
    /// part.
    pub(super) fn measure<T>(
        &self,
        connection: &Connection,
        op: Op,
        sql: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let clock = &*self.ports.platform.clock;
        let before = self.transaction.parts_ms.take();
        let part = op == Op::RunPart;
        // Reading the monotonic clock takes about a tenth of a small statement's time; the wall clock is coarse, but
        // cheap.
        let exact = (part || before > 0.0 || self.stats.borrow().wants_exact()).then(|| clock.monotonic_ms());
        let started = clock.now();
        let result = work();
        self.make_room(connection, result.as_ref().err());
        let ended = clock.now();
        let took = match exact {
            Some(exact) => StatementTime::Exact(before + clock.monotonic_ms() - exact),
            None => StatementTime::Wall((ended.0 - started.0) as f64),
        };
        match took {
            StatementTime::Exact(ms) if part && result.is_ok() => self.transaction.parts_ms.set(ms),
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
        let outcome = if self.has_triggers() && statement.effects().schema {
            connection.atomically(|connection| {
                self.suspend_triggers(connection)?;
                let outcome = run(connection)?;
                self.resume_triggers(connection)?;
                Ok(outcome)
            })?
        } else if op == Op::RunMany {
            connection.atomically(run)?
        } else {
            let (before, open) = (connection.total_changes(), connection.in_transaction());
            run(connection).inspect_err(|_| {
                // OR FAIL and RAISE(FAIL) keep the changes that the statement made before it failed. Not so a transaction that SQLite
                // rolled back.
                if connection.total_changes() != before && connection.in_transaction() == open {
                    self.record_write(connection, &statement.effects());
                }
            })?
        };
        if outcome.wrote {
            self.record_write(connection, &outcome.effects);
        }
        Ok(outcome)
    }

    /// Records a statement that wrote. Outside a transaction it is a commit.
    fn record_write(&self, connection: &Connection, effects: &StatementEffects) {
        self.record_effects(effects);
        if !connection.in_transaction() {
            self.transaction_ended(true);
        }
    }

    /// Records the effects of a statement until its transaction ends.
    pub(in crate::engine) fn record_effects(&self, effects: &StatementEffects) {
        self.transaction.wrote.set(true);
        let mut changed = self.transaction.changed.borrow_mut();
        // A temporary table or view takes the place of one with its name.
        changed.everything |= effects.schema || effects.temp_schema;
        for table in &effects.writes {
            if !changed.tables.contains(table) {
                changed.tables.insert(table.clone());
            }
        }
    }

    /// Handles the end of a transaction. Returns whether it was committed with changes.
    pub(in crate::engine) fn transaction_ended(&self, committed: bool) -> bool {
        self.transaction.depth.set(0);
        let wrote = self.transaction.wrote.take() && committed;
        let mut changed = self.transaction.changed.borrow_mut();
        if wrote {
            self.committed(&changed);
        } else if let Some(connection) = &*self.connection.borrow() {
            // The changes were rolled back.
            connection.take_row_changes();
        }
        changed.clear();
        wrote
    }

    /// Runs `work`, and interrupts its statements after `timeout_ms` milliseconds unless that is 0.
    pub(super) fn with_timeout<T>(
        &self,
        connection: &Connection,
        timeout_ms: f64,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if timeout_ms <= 0.0 {
            return work();
        }
        let clock = self.ports.platform.clock.clone();
        let deadline = clock.monotonic_ms() + timeout_ms;
        let outer_deadline = connection.set_deadline(Some(Box::new(move || deadline - clock.monotonic_ms())));
        let result = work();
        // The outer deadline belongs to the migration whose function runs this statement.
        connection.set_deadline(outer_deadline);
        result
    }

    /// Runs the statements of a script in order.
    fn run_script(&self, connection: &Connection, sql: &str, authority: Authority) -> Result<()> {
        let run = &mut |statement: &mut Statement<'_>, _| self.run_statement(connection, statement);
        let result = connection
            .for_each_statement(sql, authority, run)
            .and_then(|()| self.resume_suspended_triggers(connection));
        // The rollback after an error restores the triggers.
        result.inspect_err(|_| self.triggers_suspended.set(false))
    }

    /// Runs one statement of a script. The triggers of capture and audit are dropped before a statement that changes
    /// the schema, and created again before the next one that doesn't.
    pub(in crate::engine) fn run_statement(
        &self,
        connection: &Connection,
        statement: &mut Statement<'_>,
    ) -> Result<()> {
        if statement.parameter_count() > 0 {
            return Err(Error::invalid("A script takes no values, and a statement of it has parameters")
                .hint("Use run or batch for statements with values"));
        }
        let effects = statement.effects();
        if effects.schema && self.has_triggers() {
            if !self.triggers_suspended.replace(true) {
                self.suspend_triggers(connection)?;
            } else {
                self.follow_schema_change(connection)?;
            }
        } else if !effects.transaction {
            self.resume_suspended_triggers(connection)?;
        }
        let before = connection.total_changes();
        let result = statement.run();
        if !statement.is_readonly() && (result.is_ok() || connection.total_changes() != before) {
            self.record_effects(&effects);
        }
        result
    }

    /// Creates the triggers of capture and audit again, if they are dropped.
    pub(in crate::engine) fn resume_suspended_triggers(&self, connection: &Connection) -> Result<()> {
        if self.triggers_suspended.replace(false) { self.resume_triggers(connection) } else { Ok(()) }
    }

    /// Runs a script with transactions of its own. Fails with `invalid_argument` if it leaves one open.
    fn run_as_written(&self, connection: &Connection, sql: &str) -> Result<()> {
        let enforced = connection.enforces_foreign_keys()?;
        let result = self.run_script(connection, sql, Authority::Script);
        connection.without_deadline(|| self.end_as_written(connection, enforced, result))
    }

    /// Rolls back what such a script has left open.
    fn end_as_written(&self, connection: &Connection, enforced: bool, result: Result<()>) -> Result<()> {
        let open = connection.in_transaction();
        if open {
            connection.run("ROLLBACK", &[])?;
        }
        if enforced || result.is_err() || open {
            // The script's own statement for that may not have run, and the dumps of SQLite's shell have none.
            connection.enforce_foreign_keys(enforced)?;
        }
        if result.is_err() && self.has_triggers() {
            // Schema changes before the script's first BEGIN were not rolled back, so the triggers may still be
            // dropped.
            self.resume_triggers(connection)?;
        }
        if result.is_ok() && open {
            let message = "The script leaves a transaction open; it was rolled back";
            return Err(Error::invalid(message).hint("End it with COMMIT"));
        }
        result
    }
}
