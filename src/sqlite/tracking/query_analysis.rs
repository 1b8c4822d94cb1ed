//! Information for live queries: what a query reads, the values of its parameters, and the changed rows.

use crate::{
    error::Result,
    sqlite::{
        Authority, Connection, Statement,
        codec::FlatParams,
        sql::table_expressions,
        statement::prepared::Places,
        tracking::{
            query_reads::QueryReads,
            row_changes::{RecordedTable, RowChanges},
        },
    },
    value::Value,
};

impl Connection {
    /// Returns what a user's statement reads. Fails as compiling it does.
    pub fn reading(&self, sql: &str) -> Result<QueryReads> {
        table_expressions::check(sql)?;
        self.watcher().begin_reading();
        // Not from the cache: SQLite reports only while it compiles.
        let compiled = self.compile(sql, Authority::User, 0);
        let mut reading = self.watcher().end_reading();
        let (raw, _) = compiled?;
        if let Some(raw) = raw {
            let mut statement = Statement::of_script(self, Authority::User);
            statement.begin(raw);
            let name = |index| statement.parameter_name(index).unwrap_or_default().to_owned();
            reading.parameters = (1..=statement.parameter_count()).map(name).collect();
            statement.end();
        }
        Ok(reading)
    }

    /// Returns the values of a user's statement's parameters by number, from one row of parameters. Fails as executing it does.
    pub fn parameter_values(&self, sql: &str, params: Option<&FlatParams<'_>>, names: &str) -> Result<Vec<Value>> {
        let statement = self.statement_for(sql, Authority::User)?;
        let columns = params.map_or(0, FlatParams::columns);
        let places = Places::find(&statement.prepared, columns, names)?;
        let mut values = vec![Value::Null; statement.parameter_count()];
        let Some(params) = params else { return Ok(values) };
        let mut reader = params.values();
        for column in 0..columns {
            let value = Value::from(reader.next()?);
            match &places {
                Places::Positional => values[column] = value,
                Places::Named(_, pairs) => {
                    let places = pairs.iter().filter(|(taken, _)| *taken == column);
                    places.for_each(|(_, index)| values[*index as usize - 1] = value.clone());
                }
            }
        }
        Ok(values)
    }

    /// Records the changed rows of these tables from now on, instead of the previous tables; of none if `tables` is empty. Tables whose rows
    /// are already recorded count as incomplete.
    pub fn record_rows(&self, tables: Vec<RecordedTable>) {
        if self.recorder.watch(self.db, tables) {
            // SQLite decides when it compiles a statement whether it reports the rows that the statement deletes.
            self.cache.borrow_mut().clear();
        }
    }

    /// Returns what was recorded since the last call.
    pub fn take_row_changes(&self) -> RowChanges {
        self.recorder.take()
    }

    /// Returns whether a PRAGMA may have replaced LIKE on this connection.
    pub fn has_changed_like(&self) -> bool {
        self.watcher().changed_like()
    }
}
