//! Statements of a connection: found in its cache or compiled, and run.

use rusqlite::ffi;

use crate::{
    error::Result,
    sqlite::{
        Authority, Connection, Statement, Step, functions, functions::user_functions,
        statement::prepared::PreparedStatement, tables::TableInfo,
    },
    value::Value,
};

impl Connection {
    /// Runs one statement to its end. Returns the number of rows that it changed itself, without those of triggers.
    pub fn run(&self, sql: &str, params: &[Value]) -> Result<u64> {
        let mut statement = self.statement(sql)?;
        statement.bind_all(params)?;
        statement.finish()
    }

    /// Returns all rows of a query.
    pub fn rows(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>> {
        let mut statement = self.statement(sql)?;
        statement.bind_all(params)?;
        let mut rows = Vec::new();
        while statement.step()? == Step::Row {
            rows.push((0..statement.column_count()).map(|index| statement.column(index)).collect());
        }
        Ok(rows)
    }

    /// Returns the first column of the first row. The statement runs to its end.
    pub fn value(&self, sql: &str, params: &[Value]) -> Result<Option<Value>> {
        let mut statement = self.statement(sql)?;
        statement.bind_all(params)?;
        let mut value = None;
        while statement.step()? == Step::Row {
            value.get_or_insert_with(|| statement.column(0));
        }
        Ok(value)
    }

    /// Returns whether a table of this name has exactly these columns (names in lower case and in order, joined by commas); `None` if
    /// neither a table nor a view has this name.
    pub fn is_table_of(&self, name: &str, columns: &str) -> Result<Option<bool>> {
        let sql = "SELECT type FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE";
        let Some(kind) = self.value(sql, &[Value::from(name)])? else { return Ok(None) };
        let Some(info) = TableInfo::read(self, name)?.filter(|_| kind.as_text() == Some("table")) else {
            return Ok(Some(false));
        };
        let stored = info.columns.iter().filter(|column| !column.generated);
        let mut names: Vec<String> = stored.map(|column| column.name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        Ok(Some(names.join(",") == columns))
    }

    /// Prepares a statement with [`Authority::Engine`]. Dropping it returns it to the cache.
    pub fn statement(&self, sql: &str) -> Result<Statement<'_>> {
        self.statement_for(sql, Authority::Engine)
    }

    /// Prepares a statement. Dropping it returns it to the cache.
    ///
    /// Fails with `invalid_argument` if the text has no statement, several, or one that this authority may not run, and
    /// with SQLite's errors.
    pub fn statement_for(&self, sql: &str, authority: Authority) -> Result<Statement<'_>> {
        self.prepare(sql, authority).map(|prepared| Statement::new(self, prepared))
    }

    /// Returns a statement whose effects are those in the present schema: one in the cache may be from before a change of it.
    pub fn statement_uncached(&self, sql: &str, authority: Authority) -> Result<Statement<'_>> {
        self.prepare_uncached(sql, authority).map(|prepared| Statement::new(self, prepared))
    }

    /// Returns the cached statement with this [id](crate::sqlite::Outcome::statement); `None` if it was evicted or is in use.
    pub fn statement_known(&self, id: u32, authority: Authority) -> Option<Statement<'_>> {
        let prepared = self.cache.borrow_mut().take_known(id, authority)?;
        Some(Statement::new(self, prepared))
    }

    /// Steps a statement, and reads its effects again if SQLite recompiled it.
    pub(in crate::sqlite) fn step(&self, prepared: &PreparedStatement) -> Result<Step> {
        self.watcher.begin(prepared.authority);
        let outer = self.set_running(prepared.raw);
        // SAFETY: the statement is alive and belongs to this connection.
        let code = unsafe { ffi::sqlite3_step(prepared.raw) };
        self.set_running(outer);
        if self.watcher.asked() && prepared.was_recompiled() {
            prepared.renew(self.watcher.take_effects());
        }
        let ended = matches!(code, ffi::SQLITE_ROW | ffi::SQLITE_DONE);
        match code {
            _ if user_functions::failed() && (ended || user_functions::misordered()) => {
                Err(functions::undo(self, prepared.writes()))
            }
            ffi::SQLITE_ROW => Ok(Step::Row),
            ffi::SQLITE_DONE => Ok(Step::Done),
            code => Err(self.failure(code)),
        }
    }
}
