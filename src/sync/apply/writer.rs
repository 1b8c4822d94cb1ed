//! Pulled rows into a local table: inserted, updated where anything differs, left alone where nothing does.
//!
//! Never `INSERT OR REPLACE`: that would delete the row first and fire its children's ON DELETE CASCADE.

use std::rc::Rc;

use super::{
    parents::{Parents, Synced},
    park::park_sql,
};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, Statement, Step},
    sync::{
        conflict::unpushed::{Decision, Seen, Unpushed},
        outbox::capture,
        report::TableReport,
        schema::{
            plan::{Plan, Rows},
            table_sql::{MANY, TableSql},
        },
        values::encode::{key_parameters, key_sql, row_sql},
    },
    value::Value,
};

/// How pulled rows get into one table: built once a pull.
pub struct RowWriter {
    sql: Rc<TableSql>,
    /// New rows may be added without a look: that runs nobody's triggers, and the key is unique here.
    may_add: bool,
    parents: Parents,
    stage: String,
    unstage: String,
    note_key: String,
    know_key: String,
    unknow_key: String,
    /// Frees the unique values of a row; `None` where nothing is unique but the key.
    pub(super) park: Option<String>,
    /// Local changes that the rows meet.
    pub unpushed: Unpushed,
    name: String,
}

/// What became of a row that couldn't be applied (yet).
#[derive(Clone, Debug, PartialEq)]
pub struct HeldRow {
    /// Its index in the page.
    pub row: usize,
    /// Why.
    pub error: String,
}

/// What became of a row.
enum WriteOutcome {
    Applied,
    Held(String),
}

/// Which list of keys a page goes to; all but the last leave out rows that are marked as deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// `tidelock_known`: what the remote was ever seen to have.
    Known,
    /// `temp.tidelock_seen`: what this pull saw.
    Seen,
    /// The same with the rows that are marked as deleted.
    SeenOrDeleted,
}

/// How carefully rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Unpushed changes are kept, and a row waits for its parents.
    Guarded,
    /// Unpushed changes are kept; parents are checked at the end.
    Deferred,
    /// The rows replace whatever is there.
    Bare,
}

/// One run over the rows of a page: what it may meet, and its statements, taken from the cache once.
struct Pass<'c> {
    connection: &'c Connection,
    rows: &'c Rows,
    unpushed: bool,
    staged: bool,
    parents: bool,
    compare: Statement<'c>,
    insert: Statement<'c>,
    add: Option<Statement<'c>>,
    add_many: Option<Statement<'c>>,
    /// The row before was new: so is the next, most likely.
    new: bool,
    update: Option<Statement<'c>>,
}

impl Pass<'_> {
    /// Inserts these rows by one statement; `false` when that can't be: then none of them was.
    fn add_together(&mut self, some: &[usize]) -> Result<bool> {
        let (rows, Some(add)) = (self.rows, self.add_many.as_mut().filter(|_| self.new)) else { return Ok(false) };
        let in_order = some.len() == MANY && some[MANY - 1] - some[0] == MANY - 1;
        if !in_order || some.iter().any(|row| rows.deleted[*row]) {
            return Ok(false);
        }
        match add.finish_with(&rows.values[some[0] * rows.width..(some[0] + MANY) * rows.width]) {
            Ok(_) => Ok(true),
            Err(error) if error.is(ErrorCode::SqliteConstraint) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the local row is the same; `None` when there is none.
    fn same(&mut self, row: &[Value]) -> Result<Option<bool>> {
        bind(&mut self.compare, row)?;
        let found = match self.compare.step()? {
            Step::Row => Some(self.compare.column_i64(0) == 1),
            Step::Done => None,
        };
        self.compare.reset();
        Ok(found)
    }
}

impl RowWriter {
    /// The statements of a plan.
    pub fn new(connection: &Connection, plan: &Plan) -> Result<Self> {
        Self::among(connection, plan, &Synced::all(connection)?)
    }

    /// The same, for a plan whose synced tables are read already.
    pub fn among(connection: &Connection, plan: &Plan, synced: &[Synced]) -> Result<Self> {
        let key = key_parameters(plan.key.len(), 2);
        let own_key = key_sql(plan.key.iter().map(|at| format!("?{}", at + 2)));
        let width = plan.columns.len();
        let row =
            row_sql(plan.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), format!("?{}", at + 2))));
        let sql = plan.sql.clone();
        Ok(Self {
            may_add: !has_triggers(connection, &plan.table.name)? && connection.statement(&sql.add).is_ok(),
            sql,
            parents: Parents::new(plan, synced),
            unpushed: Unpushed::new(plan),
            // ?1 is the table, ?2.. the columns; then whether the row is deleted, and why it waits.
            stage: format!(
                "INSERT OR REPLACE INTO tidelock_staged(tbl, key, row, error) \
                 VALUES (?1, {own_key}, iif(?{}, NULL, {row}), ?{})",
                width + 2,
                width + 3
            ),
            // ?1 is the table, ?2.. the key's values.
            unstage: format!("DELETE FROM tidelock_staged WHERE tbl = ?1 AND key = {key}"),
            note_key: format!("INSERT OR IGNORE INTO temp.tidelock_seen(tbl, key) VALUES (?1, {key})"),
            know_key: format!("INSERT OR IGNORE INTO tidelock_known(tbl, key) VALUES (?1, {key})"),
            unknow_key: format!("DELETE FROM tidelock_known WHERE tbl = ?1 AND key = {key}"),
            name: plan.name().to_owned(),
            park: park_sql(plan),
        })
    }

    /// Merges a page into the table, inside a transaction in which capture is silent. Rows that can't be applied yet are
    /// staged, and given back.
    pub fn merge(&self, connection: &Connection, rows: &Rows, report: &mut TableReport) -> Result<Vec<HeldRow>> {
        let held = self.write(connection, rows, Care::Guarded, report)?;
        self.stage(connection, rows, &held)?;
        Ok(held)
    }

    /// Writes all rows of a page; gives those back that can't be applied.
    pub fn write(
        &self,
        connection: &Connection,
        rows: &Rows,
        care: Care,
        report: &mut TableReport,
    ) -> Result<Vec<HeldRow>> {
        let all: Vec<usize> = (0..rows.len()).collect();
        let held = self.write_some(connection, rows, all, care, report)?;
        if held.is_empty() { Ok(held) } else { self.swap(connection, rows, held, care, report) }
    }

    /// Writes these rows of a page; gives those back that can't be applied.
    pub(super) fn write_some(
        &self,
        connection: &Connection,
        rows: &Rows,
        mut waiting: Vec<usize>,
        care: Care,
        report: &mut TableReport,
    ) -> Result<Vec<HeldRow>> {
        let guarded = care != Care::Bare;
        let mut pass = Pass {
            connection,
            rows,
            unpushed: guarded && capture::has_changes(connection, &self.name)?,
            staged: guarded && self.has_staged(connection)?,
            parents: care == Care::Guarded,
            compare: connection.statement(&self.sql.compare)?,
            insert: connection.statement(&self.sql.insert)?,
            add: self.may_add.then(|| connection.statement(&self.sql.add)).transpose()?,
            add_many: None,
            new: true,
            update: self.sql.update.as_deref().map(|sql| connection.statement(sql)).transpose()?,
        };
        // Where nothing has to be asked about a single row.
        let plain = !(pass.unpushed || pass.staged || pass.parents && self.parents.any());
        if self.may_add && plain && waiting.len() >= MANY {
            pass.add_many = Some(connection.statement(&self.sql.add_many)?);
        }
        // Rows of one page may depend on each other: parents in the same table, values that move from row to row.
        loop {
            let mut held = Vec::new();
            for some in waiting.chunks(MANY) {
                if pass.add_together(some)? {
                    report.inserted += some.len() as u64;
                    continue;
                }
                for row in some {
                    if let WriteOutcome::Held(error) = self.write_row(&mut pass, *row, report)? {
                        held.push(HeldRow { row: *row, error });
                    }
                }
            }
            if held.is_empty() || held.len() == waiting.len() {
                return Ok(held);
            }
            waiting = held.iter().map(|held| held.row).collect();
        }
    }

    fn write_row(&self, pass: &mut Pass<'_>, at: usize, report: &mut TableReport) -> Result<WriteOutcome> {
        let (connection, row) = (pass.connection, pass.rows.row(at));
        if pass.staged {
            self.unstage(connection, &self.unpushed.key_of(row))?;
        }
        if !pass.unpushed {
            return self.apply_row(pass, at, report);
        }
        // A row that has to wait undoes what it did to the change that it met.
        let (mut tried, parked) = (report.clone(), self.unpushed.parked.borrow().clone());
        let done = with_parents(connection, || match self.meet_row(pass, at, &mut tried)? {
            WriteOutcome::Applied => Ok(()),
            WriteOutcome::Held(error) => Err(Error::new(ErrorCode::SqliteConstraint, error)),
        });
        match done {
            Ok(()) => {
                *report = tried;
                Ok(WriteOutcome::Applied)
            }
            Err(error) => {
                self.unpushed.parked.replace(parked);
                held(error)
            }
        }
    }

    /// Writes a row that may meet an unpushed change.
    fn meet_row(&self, pass: &mut Pass<'_>, at: usize, report: &mut TableReport) -> Result<WriteOutcome> {
        let seen = if pass.rows.deleted[at] { Seen::Deleted } else { Seen::Row };
        let cursor = pass.rows.cursors.get(at).and_then(Option::as_deref);
        match self.unpushed.meet(pass.connection, pass.rows.row(at), seen, cursor)? {
            Decision::Apply => {}
            Decision::ApplyConflict => report.conflicts += 1,
            Decision::Keep { conflict, rejected } => {
                report.kept_local += 1;
                report.conflicts += u64::from(conflict);
                report.rejected += u64::from(rejected);
                return Ok(WriteOutcome::Applied);
            }
        }
        self.apply_row(pass, at, report)
    }

    /// Writes a row that meets no change.
    fn apply_row(&self, pass: &mut Pass<'_>, at: usize, report: &mut TableReport) -> Result<WriteOutcome> {
        let (connection, row, deleted) = (pass.connection, pass.rows.row(at), pass.rows.deleted[at]);
        if deleted {
            return self.delete_row(connection, &self.unpushed.key_of(row), report);
        }
        if pass.parents
            && let Some(missing) = self.parents.missing(connection, row)?
        {
            return Ok(WriteOutcome::Held(missing));
        }
        if let Some(add) = pass.add.as_mut().filter(|_| pass.new) {
            match run(add, row) {
                Ok(0) => pass.new = false,
                Ok(_) => {
                    report.inserted += 1;
                    return Ok(WriteOutcome::Applied);
                }
                Err(error) => return held(error),
            }
        }
        let same = pass.same(row)?;
        pass.new = same.is_none();
        let (statement, count) = match same {
            Some(true) => {
                report.unchanged += 1;
                return Ok(WriteOutcome::Applied);
            }
            Some(false) => (pass.update.as_mut(), &mut report.updated),
            None => (Some(&mut pass.insert), &mut report.inserted),
        };
        let Some(statement) = statement else { return Ok(WriteOutcome::Applied) };
        match run(statement, row) {
            Ok(_) => *count += 1,
            Err(error) => return held(error),
        }
        Ok(WriteOutcome::Applied)
    }

    /// Deletes a row, unless a row with unpushed changes depends on it.
    fn delete_row(&self, connection: &Connection, key: &[Value], report: &mut TableReport) -> Result<WriteOutcome> {
        if self.parents.protected(connection, key)? {
            return Ok(WriteOutcome::Held("a row that is to stay refers to it".to_owned()));
        }
        let deleted = with_parents(connection, || connection.run(&self.sql.delete, key));
        match deleted {
            Ok(changes) => {
                *(if changes > 0 { &mut report.deleted } else { &mut report.unchanged }) += 1;
                Ok(WriteOutcome::Applied)
            }
            Err(error) => held(error),
        }
    }

    /// Deletes the row of a key; `false` when something that depends on it keeps it.
    pub fn delete(&self, connection: &Connection, key: &[Value], report: &mut TableReport) -> Result<bool> {
        Ok(matches!(self.delete_row(connection, key, report)?, WriteOutcome::Applied))
    }

    /// Deletes the row of a key, whatever depends on it.
    pub fn remove(&self, connection: &Connection, key: &[Value]) -> Result<()> {
        connection.run(&self.sql.delete, key).map(drop)
    }

    /// What to say about the first parent that a row lacks; `None` when all are there.
    pub fn missing_parent(&self, connection: &Connection, row: &[Value]) -> Result<Option<String>> {
        self.parents.missing(connection, row)
    }

    /// Puts rows aside until what they lack is there.
    pub fn stage(&self, connection: &Connection, rows: &Rows, held: &[HeldRow]) -> Result<()> {
        for HeldRow { row: at, error } in held {
            let mut parameters = vec![Value::from(&*self.name)];
            parameters.extend_from_slice(rows.row(*at));
            parameters.extend([Value::Integer(i64::from(rows.deleted[*at])), Value::from(&**error)]);
            connection.run(&self.stage, &parameters)?;
        }
        Ok(())
    }

    /// Notes the keys of a page's rows.
    pub fn note_keys(&self, connection: &Connection, rows: &Rows, which: Keys) -> Result<()> {
        let name = Value::from(&*self.name);
        let mut statement = connection.statement(if which == Keys::Known { &self.know_key } else { &self.note_key })?;
        let deleted_too = which == Keys::SeenOrDeleted;
        for at in (0..rows.len()).filter(|at| deleted_too || !rows.deleted[*at]) {
            let row = rows.row(at);
            statement.bind(1, &name)?;
            for (index, at) in self.unpushed.key.iter().enumerate() {
                statement.bind(index + 2, &row[if rows.keys_only { index } else { *at }])?;
            }
            statement.finish()?;
        }
        Ok(())
    }

    /// Notes whether the remote has the row of a key.
    pub fn know(&self, connection: &Connection, key: &[Value], has: bool) -> Result<()> {
        let mut parameters = vec![Value::from(&*self.name)];
        parameters.extend_from_slice(key);
        connection.run(if has { &self.know_key } else { &self.unknow_key }, &parameters).map(drop)
    }

    /// Forgets that the row of a key waits: something later is known of it.
    pub fn unstage(&self, connection: &Connection, key: &[Value]) -> Result<()> {
        let mut parameters = vec![Value::from(&*self.name)];
        parameters.extend_from_slice(key);
        connection.run(&self.unstage, &parameters).map(drop)
    }

    fn has_staged(&self, connection: &Connection) -> Result<bool> {
        let sql = "SELECT 1 FROM tidelock_staged WHERE tbl = ?1 LIMIT 1";
        Ok(connection.value(sql, &[Value::from(&*self.name)])?.is_some())
    }
}

/// Does something about one row. A deferred foreign key that it violates would tell at the end only, for all rows together: it fails at
/// once, unless all of them are deferred, which is meant.
pub fn with_parents<T>(connection: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = connection.owes_parents();
    connection.atomically(|connection| {
        let done = work()?;
        let meant = || Ok::<_, Error>(connection.value("PRAGMA defer_foreign_keys", &[])? == Some(Value::Integer(1)));
        if before || !connection.owes_parents() || meant()? {
            return Ok(done);
        }
        Err(Error::new(ErrorCode::SqliteConstraint, "FOREIGN KEY constraint failed"))
    })
}

/// Whether anything but capture hears of changes of the table.
fn has_triggers(connection: &Connection, table: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE UNION ALL \
        SELECT 1 FROM temp.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE \
        AND name NOT GLOB 'tidelock_capture_*' LIMIT 1";
    Ok(connection.value(sql, &[Value::from(table)])?.is_some())
}

fn bind(statement: &mut Statement<'_>, row: &[Value]) -> Result<()> {
    row.iter().enumerate().try_for_each(|(index, value)| statement.bind(index + 1, value))
}

/// Runs a writing statement; how many rows it changed. After an error it is ready again too.
fn run(statement: &mut Statement<'_>, row: &[Value]) -> Result<u64> {
    bind(statement, row)?;
    let result = statement.finish();
    if result.is_err() {
        statement.reset();
    }
    result
}

/// A violated constraint holds the row back; anything else is an error.
fn held(error: Error) -> Result<WriteOutcome> {
    if error.is(ErrorCode::SqliteConstraint) { Ok(WriteOutcome::Held(error.into_parts().message)) } else { Err(error) }
}
