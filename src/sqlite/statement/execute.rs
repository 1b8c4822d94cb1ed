//! Runs one statement, from parameters to encoded rows.

use std::rc::Rc;

use rusqlite::ffi;

use crate::{
    error::Result,
    sqlite::{
        Authority, Connection, Statement, StatementEffects, Step,
        codec::{FlatParams, FlatRows, Integers, malformed},
        failure,
        statement::{
            bind::without_values,
            prepared::{Places, PreparedStatement},
        },
    },
};

/// Rows of parameters between two looks at the deadline, which take a small part of the time of so many rows.
const ROWS_PER_LOOK: usize = 64;

/// The result that the caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// All rows.
    Query,
    /// The first row. A statement that writes still runs to its end.
    Get,
    /// No rows, only the number of changed ones.
    Run,
    /// As [`Op::Run`], once for each row of parameters. The caller opens the transaction.
    RunMany,
    /// As [`Op::RunMany`] for a part of the rows; an [`Op::RunMany`] with the last ones follows, or a rollback.
    RunPart,
}

/// The outcome of a statement.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How many rows the statement itself inserted, updated or deleted; 0 for any other statement.
    pub changes: u64,
    /// The rowid of the row last inserted on this connection.
    pub last_insert_rowid: i64,
    /// Whether the statement is one that writes to the database file.
    pub wrote: bool,
    /// The statement's effects.
    pub effects: Rc<StatementEffects>,
    /// The statement's id for [`Connection::statement_known`]; 0 when it isn't cached.
    pub statement: u32,
}

impl Connection {
    /// Runs one statement: compiles it (or takes it from the cache), binds it, steps it to its end, and encodes its rows into `out`.
    /// `names` is empty for positional parameters, else their names joined by NUL, without prefix.
    ///
    /// Fails with `invalid_argument` before anything ran (no statement, several, a refused one, a missing or superfluous
    /// parameter: `details.parameter`), with `integer_out_of_range`, and with SQLite's error. A failed statement has no
    /// effects. After `timeout`, `out_of_memory` and `database_too_large` SQLite may have rolled back the whole
    /// transaction: see [`in_transaction`](Connection::in_transaction).
    #[expect(clippy::too_many_arguments, reason = "the boundary's one hot call: no struct to fill for each statement")]
    pub fn execute(
        &self,
        op: Op,
        sql: &str,
        authority: Authority,
        params: Option<&FlatParams<'_>>,
        names: &str,
        integers: Integers,
        out: &mut FlatRows,
    ) -> Result<Outcome> {
        out.clear();
        let statement = self.statement_for(sql, authority)?;
        self.place(&statement, params, Some(names))?;
        self.execute_statement(op, &statement, params, integers, out)
    }

    /// Finds the places of the parameters: by their `names`, or as last time when the caller knows that they are the same.
    /// Fails with `invalid_argument`.
    pub fn place(&self, statement: &Statement<'_>, params: Option<&FlatParams<'_>>, names: Option<&str>) -> Result<()> {
        let prepared = &*statement.prepared;
        let (rows, columns) = shape_of(params);
        if rows == 0 {
            return Ok(());
        }
        match names {
            Some(names) => {
                let places = Places::find(prepared, columns, names)?;
                prepared.places.replace(places);
                Ok(())
            }
            None => prepared.places.borrow().check(prepared, columns),
        }
    }

    /// Runs a statement whose parameters are placed: see [`execute`](Connection::execute).
    pub fn execute_statement(
        &self,
        op: Op,
        statement: &Statement<'_>,
        params: Option<&FlatParams<'_>>,
        integers: Integers,
        out: &mut FlatRows,
    ) -> Result<Outcome> {
        out.clear();
        let prepared = &*statement.prepared;
        let (rows, _) = shape_of(params);
        if !matches!(op, Op::RunMany | Op::RunPart) && rows != 1 {
            return Err(malformed("one row is needed"));
        }
        let writes = prepared.writes();
        let mut changes = 0;
        if rows > 0 {
            let places = &*prepared.places.borrow();
            let result = match op {
                Op::Run | Op::RunMany | Op::RunPart => self.run_for_changes(prepared, params, places),
                Op::Query | Op::Get => {
                    let mut run = |_: &Self| self.run_for_rows(op, prepared, params, places, integers, out);
                    // A row that can't be encoded must undo the writes that the statement did before it.
                    let guarded = writes && prepared.column_count() > 0 && !prepared.effects().pragma;
                    if guarded { self.atomically(run) } else { run(self) }
                }
            };
            changes = result.map_err(|error| without_values(error, params))?;
        }
        Ok(Outcome {
            changes,
            last_insert_rowid: self.last_insert_rowid(),
            wrote: writes,
            effects: prepared.effects(),
            statement: prepared.id.get(),
        })
    }

    fn run_for_rows(
        &self,
        op: Op,
        prepared: &PreparedStatement,
        params: Option<&FlatParams<'_>>,
        places: &Places,
        integers: Integers,
        out: &mut FlatRows,
    ) -> Result<u64> {
        if let Some(params) = params {
            // SAFETY: the caller holds the buffer until the statement is released, which clears the bindings.
            unsafe { places.bind(prepared, params.columns(), &mut params.values())? };
        }
        let first_only = op == Op::Get;
        let to_the_end = !first_only || prepared.writes();
        let mut step = self.step(prepared)?;
        // After the first step: SQLite may have recompiled the statement for a changed schema.
        let columns = prepared.column_count();
        out.columns = columns;
        if columns > 0 {
            out.shape = self.shape_of(prepared);
        }
        while step == Step::Row {
            if !(first_only && out.rows > 0) {
                // SAFETY: the statement stands at a row of that many columns.
                unsafe {
                    out.push(prepared.raw, columns, integers, self.reads_values()).inspect_err(|_| prepared.reset())?
                };
            }
            if !to_the_end {
                break;
            }
            step = self.step(prepared)?;
        }
        Ok(self.changes_of(prepared))
    }

    fn run_for_changes(
        &self,
        prepared: &PreparedStatement,
        params: Option<&FlatParams<'_>>,
        places: &Places,
    ) -> Result<u64> {
        let Some(params) = params else {
            while self.step(prepared)? == Step::Row {}
            return Ok(self.changes_of(prepared));
        };
        let mut values = params.values();
        let mut changes = 0;
        for row in 0..params.rows() {
            // SQLite asks for the deadline only within a row.
            if row % ROWS_PER_LOOK == ROWS_PER_LOOK - 1 && self.is_past_deadline() {
                return Err(failure::from_code(ffi::SQLITE_INTERRUPT, "interrupted"));
            }
            // SAFETY: the caller holds the buffer until the statement is released, which clears the bindings.
            unsafe { places.bind(prepared, params.columns(), &mut values)? };
            while self.step(prepared)? == Step::Row {}
            changes += self.changes_of(prepared);
            prepared.reset();
        }
        Ok(changes)
    }
}

/// Returns the numbers of rows and columns of parameters; a statement without parameters runs once.
impl Statement<'_> {
    /// Makes `out` a result with the columns of this statement.
    pub fn describe(&self, out: &mut FlatRows) {
        out.columns = self.column_count();
        out.shape = self.connection().shape_of(&self.prepared);
    }

    /// Adds the first columns of the current row to `out`. Fails with `integer_out_of_range`, `out_of_memory`, and with `internal` when there
    /// is no such row.
    pub fn push_row(&self, columns: usize, integers: Integers, out: &mut FlatRows) -> Result<()> {
        if columns == 0 || columns > self.prepared.data_count() {
            return Err(malformed("there is no such row"));
        }
        // SAFETY: the statement stands at a row of at least that many columns.
        unsafe { out.push(self.prepared.raw, columns, integers, self.connection().reads_values()) }
    }
}

fn shape_of(params: Option<&FlatParams<'_>>) -> (usize, usize) {
    params.map_or((1, 0), |params| (params.rows(), params.columns()))
}
