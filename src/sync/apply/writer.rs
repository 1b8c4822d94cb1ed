//! Writes pulled rows into a local table: inserts new ones, updates those that differ, leaves the others alone.
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
        conflict::{
            reconcile::{Decision, Seen},
            unpushed::Unpushed,
        },
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

/// Why a row can't be deleted that a row with unpushed changes depends on, or one that the remote still has.
const REFERRED: &str = "A row that must stay refers to it";

/// Writes pulled rows into one table; built once per pull.
pub struct RowWriter {
    sql: Rc<TableSql>,
    /// Whether new rows may be inserted without a comparison: no trigger of the user runs, and the key is unique here.
    may_add: bool,
    parents: Parents,
    pub(super) stage: String,
    pub(super) unstage: String,
    pub(super) note_key: String,
    pub(super) add_known: String,
    pub(super) note_written: String,
    pub(super) remove_known: String,
    /// Frees the unique values of a row; `None` when only the key is unique.
    pub(super) park: Option<String>,
    /// The unpushed changes that remote rows are reconciled with.
    pub unpushed: Unpushed,
    pub(super) name: String,
}

/// A row that can't be applied (yet).
#[derive(Clone, Debug, PartialEq)]
pub struct HeldRow {
    /// Its index in the page.
    pub row: usize,
    /// Why it can't be applied.
    pub error: String,
}

/// The result of writing one row.
enum WriteOutcome {
    Applied,
    Held(String),
}

/// Which checks apply to written rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Unpushed changes are kept, and a row waits for its parents.
    Guarded,
    /// Unpushed changes are kept; parents are checked at the end.
    Deferred,
    /// The rows replace the local ones without any check.
    Bare,
}

/// One run over the rows of a page: the checks that it needs, and its statements, taken from the cache once.
struct Pass<'c> {
    connection: &'c Connection,
    rows: &'c Rows,
    unpushed: bool,
    staged: bool,
    care: Care,
    compare: Statement<'c>,
    insert: Statement<'c>,
    add: Option<Statement<'c>>,
    add_many: Option<Statement<'c>>,
    /// Whether the previous row was new: then the next one most likely is, too.
    new: bool,
    update: Option<Statement<'c>>,
}

impl Pass<'_> {
    /// Inserts these rows with one statement. Returns `false` when that isn't possible; then none of them was inserted.
    fn add_together(&mut self, some: &[usize]) -> Result<bool> {
        let (rows, Some(add)) = (self.rows, self.add_many.as_mut().filter(|_| self.new)) else { return Ok(false) };
        let in_order = some.len() == MANY && some[MANY - 1] - some[0] == MANY - 1;
        if !in_order || some.iter().any(|row| rows.deleted[*row]) {
            return Ok(false);
        }
        match add.finish_with(&rows.values[some[0] * rows.width..(some[0] + MANY) * rows.width]) {
            Ok(_) => Ok(true),
            Err(error) if self.connection.is_violation(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the local row is the same; `None` when there is none.
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
    /// Prepares the statements of a plan.
    pub fn new(connection: &Connection, plan: &Plan) -> Result<Self> {
        Self::among(connection, plan, &Synced::all(connection)?)
    }

    /// Prepares the statements of a plan whose synced tables were read before.
    pub fn among(connection: &Connection, plan: &Plan, synced: &[Synced]) -> Result<Self> {
        let key = key_parameters(plan.key.len(), 2);
        let own_key = key_sql(plan.key.iter().map(|at| format!("?{}", at + 2)));
        let width = plan.columns.len();
        let row =
            row_sql(plan.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), format!("?{}", at + 2))));
        let sql = plan.sql.clone();
        let add_known = format!(
            "INSERT INTO tidelock_known(tbl, key) VALUES (?1, {key}) \
             ON CONFLICT DO UPDATE SET outside = NULL WHERE outside IS NOT NULL"
        );
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
            note_written: match plan.options.is_filtered() {
                true => format!(
                    "INSERT INTO tidelock_known(tbl, key, outside) VALUES (?1, {key}, 1) \
                     ON CONFLICT DO UPDATE SET outside = 1"
                ),
                false => add_known.clone(),
            },
            add_known,
            remove_known: format!("DELETE FROM tidelock_known WHERE tbl = ?1 AND key = {key}"),
            name: plan.name().to_owned(),
            park: park_sql(plan),
        })
    }

    /// Merges a page into the table, inside a transaction in which capture is silent. Stages and returns the rows that
    /// can't be applied yet.
    pub fn merge(&self, connection: &Connection, rows: &Rows, report: &mut TableReport) -> Result<Vec<HeldRow>> {
        let held = self.write(connection, rows, Care::Guarded, report)?;
        self.stage(connection, rows, &held)?;
        Ok(held)
    }

    /// Writes all rows of a page. Returns those that can't be applied.
    pub fn write(
        &self,
        connection: &Connection,
        rows: &Rows,
        care: Care,
        report: &mut TableReport,
    ) -> Result<Vec<HeldRow>> {
        self.write_part(connection, rows, (0..rows.len()).collect(), care, report)
    }

    /// Writes some rows of a page, also those that exchange unique values. Returns those that can't be applied.
    pub(super) fn write_part(
        &self,
        connection: &Connection,
        rows: &Rows,
        part: Vec<usize>,
        care: Care,
        report: &mut TableReport,
    ) -> Result<Vec<HeldRow>> {
        let held = self.write_some(connection, rows, part, care, report)?;
        if held.is_empty() { Ok(held) } else { self.swap(connection, rows, held, care, report) }
    }

    /// Writes some rows of a page. Returns those that can't be applied.
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
            care,
            compare: connection.statement(&self.sql.compare)?,
            insert: connection.statement(&self.sql.insert)?,
            add: self.may_add.then(|| connection.statement(&self.sql.add)).transpose()?,
            add_many: None,
            new: true,
            update: self.sql.update.as_deref().map(|sql| connection.statement(sql)).transpose()?,
        };
        // Nothing has to be checked about a single row.
        let plain = !(pass.unpushed || pass.staged || care == Care::Guarded && self.parents.any());
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
            // Backwards, so that a chain is applied in two rounds from whichever end it begins.
            waiting = held.iter().rev().map(|held| held.row).collect();
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
        // If the row can't be applied, what it did to its unpushed change is undone.
        let (mut tried, parked) = (report.clone(), self.unpushed.parked.borrow().clone());
        let done = with_parents(connection, || match self.reconcile_row(pass, at, &mut tried)? {
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
                let held = held(connection, error)?;
                if pass.rows.deleted[at] {
                    return self.name_referring(connection, &self.unpushed.key_of(row), held);
                }
                // SQLite names no table.
                let missing = self.parents.missing(connection, row)?;
                Ok(missing.map_or(held, WriteOutcome::Held))
            }
        }
    }

    /// Reconciles a row with the unpushed change of its key, and writes what was decided.
    fn reconcile_row(&self, pass: &mut Pass<'_>, at: usize, report: &mut TableReport) -> Result<WriteOutcome> {
        let seen = if pass.rows.deleted[at] { Seen::Deleted } else { Seen::Row };
        let cursor = pass.rows.cursors.get(at).and_then(Option::as_deref);
        match self.unpushed.reconcile(pass.connection, pass.rows.row(at), seen, cursor)? {
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

    /// Writes a row that has no unpushed change.
    fn apply_row(&self, pass: &mut Pass<'_>, at: usize, report: &mut TableReport) -> Result<WriteOutcome> {
        let (connection, row, deleted) = (pass.connection, pass.rows.row(at), pass.rows.deleted[at]);
        if deleted {
            return self.delete_row(connection, &self.unpushed.key_of(row), pass.care, report);
        }
        if pass.care == Care::Guarded
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
                Err(error) => return held(connection, error),
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
            Err(error) => return held(connection, error),
        }
        Ok(WriteOutcome::Applied)
    }

    /// Deletes a row, unless a row that must stay depends on it.
    fn delete_row(
        &self,
        connection: &Connection,
        key: &[Value],
        care: Care,
        report: &mut TableReport,
    ) -> Result<WriteOutcome> {
        if care != Care::Bare && self.parents.protected(connection, key)? {
            return self.name_referring(connection, key, WriteOutcome::Held(REFERRED.to_owned()));
        }
        let deleted = with_parents(connection, || connection.run(&self.sql.delete, key));
        match deleted {
            Ok(changes) => {
                *(if changes > 0 { &mut report.deleted } else { &mut report.unchanged }) += 1;
                Ok(WriteOutcome::Applied)
            }
            Err(error) => self.name_referring(connection, key, held(connection, error)?),
        }
    }

    /// Adds the table that refers to a row that can't be deleted to the reason, if that is why.
    fn name_referring(&self, connection: &Connection, key: &[Value], held: WriteOutcome) -> Result<WriteOutcome> {
        match held {
            WriteOutcome::Held(reason) if reason == REFERRED || reason.contains("FOREIGN KEY") => {
                let named = self.parents.referring(connection, key)?;
                Ok(WriteOutcome::Held(named.unwrap_or(reason)))
            }
            held => Ok(held),
        }
    }

    /// Deletes the row of a key. Returns why not, if a row that must stay, or a constraint, keeps it.
    pub fn delete(&self, connection: &Connection, key: &[Value], report: &mut TableReport) -> Result<Option<String>> {
        match self.delete_row(connection, key, Care::Guarded, report)? {
            WriteOutcome::Applied => Ok(None),
            WriteOutcome::Held(error) => Ok(Some(error)),
        }
    }

    /// Deletes the row of a key, even if other rows depend on it.
    pub fn remove(&self, connection: &Connection, key: &[Value]) -> Result<()> {
        connection.run(&self.sql.delete, key).map(drop)
    }

    /// Returns a message that names the first missing parent of a row; `None` when all parents exist.
    pub fn missing_parent(&self, connection: &Connection, row: &[Value]) -> Result<Option<String>> {
        self.parents.missing(connection, row)
    }
}

/// Runs `work` for one row and checks its foreign keys at once. A violated deferred foreign key would be reported only
/// at the end, for all rows together. Fails with `sqlite_constraint`, unless `PRAGMA defer_foreign_keys` is on.
pub fn with_parents<T>(connection: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = connection.owes_parents();
    connection.atomically(|connection| {
        let done = work()?;
        let on_purpose =
            || Ok::<_, Error>(connection.value("PRAGMA defer_foreign_keys", &[])? == Some(Value::Integer(1)));
        if before || !connection.owes_parents() || on_purpose()? {
            return Ok(done);
        }
        Err(Error::new(ErrorCode::SqliteConstraint, "FOREIGN KEY constraint failed"))
    })
}

/// Returns whether the table has triggers other than those of capture.
fn has_triggers(connection: &Connection, table: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE UNION ALL \
        SELECT 1 FROM temp.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE \
        AND name NOT GLOB 'tidelock_capture_*' LIMIT 1";
    Ok(connection.value(sql, &[Value::from(table)])?.is_some())
}

fn bind(statement: &mut Statement<'_>, row: &[Value]) -> Result<()> {
    row.iter().enumerate().try_for_each(|(index, value)| statement.bind(index + 1, value))
}

/// Runs a writing statement. Returns the number of changed rows. After an error the statement can be used again.
fn run(statement: &mut Statement<'_>, row: &[Value]) -> Result<u64> {
    bind(statement, row)?;
    let result = statement.finish();
    if result.is_err() {
        statement.reset();
    }
    result
}

/// Returns a violated constraint as a held row, and any other error as an error.
fn held(connection: &Connection, error: Error) -> Result<WriteOutcome> {
    if connection.is_violation(&error) {
        return Ok(WriteOutcome::Held(error.into_parts().message));
    }
    Err(match error.is(ErrorCode::SqliteConstraint) {
        true => {
            error.hint("A trigger or constraint with ROLLBACK ended the transaction: with ABORT it refuses one row")
        }
        false => error,
    })
}
