//! Remote rows that can't be applied yet: they wait for a parent that comes later or is not visible, or for the other
//! rows of a cycle; a row that a local constraint refuses waits for ever. Each pull tries them again at its end.

use super::{
    orphans,
    writer::{Care, HeldRow, RowWriter},
};
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::{
        outbox::capture,
        report::TableReport,
        schema::plan::{Plan, Rows},
        state::progress,
        values::encode::{decode_key, decode_row},
    },
    value::Value,
};

/// One table of a pull.
pub struct ApplyTarget {
    /// What is read, and where it is stored.
    pub plan: Plan,
    /// Writes the rows.
    pub writer: RowWriter,
    /// What the pull did to the table.
    pub report: TableReport,
    /// Whether all keys that the remote has were noted.
    pub listed: bool,
    /// Whether this pull has read the table to its end.
    pub read: bool,
}

impl RowWriter {
    /// Stages rows until they can be applied.
    pub fn stage(&self, connection: &Connection, rows: &Rows, held: &[HeldRow]) -> Result<()> {
        for HeldRow { row: at, error } in held {
            let mut parameters = vec![Value::from(&*self.name)];
            parameters.extend_from_slice(rows.row(*at));
            parameters.extend([Value::Integer(i64::from(rows.deleted[*at])), Value::from(&**error)]);
            connection.run(&self.stage, &parameters)?;
        }
        Ok(())
    }

    /// Deletes the staged row of a key: newer data about it has arrived.
    pub fn unstage(&self, connection: &Connection, key: &[Value]) -> Result<()> {
        let mut parameters = vec![Value::from(&*self.name)];
        parameters.extend_from_slice(key);
        connection.run(&self.unstage, &parameters).map(drop)
    }

    pub(super) fn has_staged(&self, connection: &Connection) -> Result<bool> {
        let sql = "SELECT 1 FROM tidelock_staged WHERE tbl = ?1 LIMIT 1";
        Ok(connection.value(sql, &[Value::from(&*self.name)])?.is_some())
    }
}

/// SQL for the rows of the table `?1` that were tried before; [`crate::sync::pull::tombstones`] handles tombstones that are
/// only noted.
const FAILED: &str = "FROM tidelock_staged WHERE tbl = ?1 AND error <> ''";

/// Applies all staged rows that fit now, in one transaction.
pub fn resolve(connection: &Connection, targets: &mut [ApplyTarget]) -> Result<()> {
    if !any(connection)? {
        return Ok(());
    }
    connection
        .atomically(|connection| capture::without_capture(connection, |connection| apply_fitting(connection, targets)))
}

/// Counts the rows that are still staged at the end of a pull as rejected.
pub fn count_rejected(connection: &Connection, targets: &mut [ApplyTarget]) -> Result<()> {
    if any(connection)? {
        for target in targets {
            target.report.rejected += count(connection, &target.plan)?;
        }
    }
    Ok(())
}

/// Returns whether there are staged rows.
pub fn any(connection: &Connection) -> Result<bool> {
    Ok(connection.value("SELECT 1 FROM tidelock_staged LIMIT 1", &[])?.is_some())
}

/// Stages deletions that failed, each with its table's index and the reason, and tries them together with the other
/// staged rows, which may wait for that: for a unique value, or for a parent. Requires a transaction in which capture is
/// silent.
pub fn stage_deletions(
    connection: &Connection,
    targets: &mut [ApplyTarget],
    deletions: Vec<(usize, &[Value], String)>,
) -> Result<()> {
    if deletions.is_empty() {
        return Ok(());
    }
    for (at, key, error) in deletions {
        let writer = &targets[at].writer;
        let values = writer.unpushed.row_of(key);
        let rows = Rows { width: values.len(), values, deleted: vec![true], ..Rows::default() };
        writer.stage(connection, &rows, &[HeldRow { row: 0, error }])?;
    }
    apply_fitting(connection, targets)
}

/// Applies the staged rows that fit now. Requires a transaction in which capture is silent.
fn apply_fitting(connection: &Connection, targets: &mut [ApplyTarget]) -> Result<()> {
    while pass(connection, targets)? {}
    cycles(connection, targets)
}

/// Tries every staged row once, parents first. Returns whether any was applied.
fn pass(connection: &Connection, targets: &mut [ApplyTarget]) -> Result<bool> {
    let mut progress = false;
    for target in targets {
        let before = count(connection, &target.plan)?;
        if before == 0 {
            continue;
        }
        let rows = take(connection, &target.plan)?;
        target.writer.merge(connection, &rows, &mut target.report)?;
        progress |= count(connection, &target.plan)? < before;
    }
    Ok(progress)
}

/// Applies rows that wait for each other together, with foreign keys checked at the end. Leaves out rows whose parents
/// are still missing, until the others fit.
fn cycles(connection: &Connection, targets: &mut [ApplyTarget]) -> Result<()> {
    let mut candidates = Vec::with_capacity(targets.len());
    for target in targets.iter() {
        candidates.push(peek(connection, &target.plan)?.0);
    }
    loop {
        if candidates.iter().all(Rows::is_empty) {
            return Ok(());
        }
        let mut reports: Vec<TableReport> = targets.iter().map(|target| target.report.clone()).collect();
        let mut orphans: Vec<Vec<bool>> = Vec::new();
        let done = connection.atomically(|connection| {
            connection.exec("PRAGMA defer_foreign_keys = ON")?;
            // What is to be deleted goes last, when nothing refers to it any more, and keeps no unique value from the others until then.
            for (target, rows) in targets.iter().zip(&candidates) {
                target.writer.park_deleted(connection, rows)?;
            }
            let mut left = vec![Vec::new(); targets.len()];
            for deleted in [false, true] {
                for step in 0..targets.len() {
                    let at = if deleted { targets.len() - 1 - step } else { step };
                    let (rows, writer) = (&candidates[at], &targets[at].writer);
                    let part = (0..rows.len()).filter(|row| rows.deleted[*row] == deleted).collect();
                    left[at].extend(writer.write_part(connection, rows, part, Care::Deferred, &mut reports[at])?);
                }
            }
            for ((target, rows), left) in targets.iter().zip(&candidates).zip(left) {
                let mut out = vec![false; rows.len()];
                left.iter().for_each(|held| out[held.row] = true);
                for at in (0..rows.len()).filter(|at| !rows.deleted[*at]) {
                    if !out[at] && target.writer.missing_parent(connection, rows.row(at))?.is_some() {
                        out[at] = true;
                    }
                }
                orphans.push(out);
            }
            if !orphans.iter().flatten().any(|out| *out) && connection.owes_parents() {
                // Rows that stay refer to a row that should be deleted.
                let deletions = |rows: &Rows| rows.deleted.clone();
                orphans = candidates.iter().map(deletions).collect();
            }
            if !orphans.iter().flatten().any(|out| *out) {
                Ok(())
            } else {
                Err(Error::internal("Some rows have no parents"))
            }
        });
        if let Err(error) = done {
            if !orphans.iter().flatten().any(|out| *out) {
                return Err(error);
            }
            let plans: Vec<&Plan> = targets.iter().map(|target| &target.plan).collect();
            orphans::add_dependents(connection, &plans, &candidates, &mut orphans)?;
            candidates = candidates.iter().zip(&orphans).map(|(rows, out)| without(rows, out)).collect();
            continue;
        }
        for (target, report) in targets.iter_mut().zip(reports) {
            target.report = report;
        }
        return Ok(());
    }
}

fn without(rows: &Rows, out: &[bool]) -> Rows {
    let mut kept = Rows { width: rows.width, ..Rows::default() };
    for at in (0..rows.len()).filter(|at| !out[*at]) {
        kept.values.extend_from_slice(rows.row(at));
        kept.deleted.push(rows.deleted[at]);
    }
    kept
}

fn count(connection: &Connection, plan: &Plan) -> Result<u64> {
    let count = connection.value(&format!("SELECT count(*) {FAILED}"), &[Value::from(plan.name())])?;
    Ok(count.and_then(|count| count.as_integer()).unwrap_or_default() as u64)
}

/// Reads and removes the staged rows of a table.
fn take(connection: &Connection, plan: &Plan) -> Result<Rows> {
    let (rows, keys) = peek(connection, plan)?;
    for key in keys {
        connection.run(&format!("DELETE {FAILED} AND key = ?2"), &[Value::from(plan.name()), key])?;
    }
    Ok(rows)
}

/// Returns the staged rows of a table, and their encoded keys. Leaves out rows without a column of the plan: it came since,
/// and then the table is read again from the beginning; or a new session doesn't know yet that the remote lacks it.
fn peek(connection: &Connection, plan: &Plan) -> Result<(Rows, Vec<Value>)> {
    let stored = connection.rows(&format!("SELECT key, row {FAILED} ORDER BY key"), &[Value::from(plan.name())])?;
    let mut rows = Rows { width: plan.columns.len(), ..Rows::default() };
    let mut keys = Vec::with_capacity(stored.len());
    for mut entry in stored {
        let mut values = vec![Value::Null; rows.width];
        match entry[1].as_text() {
            Some(row) => {
                let row = decode_row(row);
                let find = |name: &str| row.iter().find(|(column, _)| column == name).map(|(_, value)| value.clone());
                let Some(found) = plan.columns.iter().map(|column| find(&column.name)).collect() else { continue };
                values = found;
            }
            None => {
                let key = decode_key(entry[0].as_text().unwrap_or_default());
                plan.key.iter().zip(key).for_each(|(at, value)| values[*at] = value);
            }
        }
        rows.values.extend(values);
        rows.deleted.push(entry[1].is_null());
        keys.push(entry.swap_remove(0));
    }
    Ok((rows, keys))
}

/// Deletes the staged rows of a table whose rows will all be read again: by this pull or, if it is interrupted, by the
/// next one. Staged deletions stay, since the remote doesn't send them again.
pub fn forget(connection: &Connection, plan: &Plan) -> Result<()> {
    connection.atomically(|connection| {
        let table = [Value::from(plan.name())];
        if connection.run("DELETE FROM tidelock_staged WHERE tbl = ?1 AND row IS NOT NULL", &table)? > 0 {
            progress::read_whole_next(connection, &table[0])?;
        }
        Ok(())
    })
}
