//! The pending changes, as jobs.

use std::cell::Cell;

use super::job::{Job, JobKind};
use crate::{
    collections::Map,
    error::Result,
    sqlite::Connection,
    sync::{
        apply::staged,
        config::options::{ConflictPolicy, SyncDirection},
        conflict::{
            own_write::Sent,
            unpushed::{Unpushed, UnpushedEntry},
        },
        outbox::{
            capture,
            change::{ChangeOp, UNKNOWN},
            waiting::{forget, reject_without_key},
        },
        schema::plan::Plan,
        values::{
            encode::{decode_key, decode_row, quote, row_sql},
            outgoing::filter_text,
        },
    },
    time::Timestamp,
    value::Value,
};

/// The largest number of jobs in a batch.
const BATCH: usize = 10_000;
/// The approximate size at which a batch ends, in bytes of its rows.
const BATCH_BYTES: usize = 16 << 20;

/// SQL that is true when a change is due; `?3` is now. A time more than an hour ahead means that the clock was set
/// back, since no delay is longer.
const DUE: &str = "(not_before IS NULL OR not_before <= ?3 OR not_before > ?3 + 3600000)";

/// Selects changes.
#[derive(Clone, Copy)]
pub struct WantedJobs<'a> {
    /// What has to be done for them.
    pub kind: JobKind,
    /// The largest id: later changes were made since the push began.
    pub newest: i64,
    /// Returns whether to leave out the change with this id.
    pub skip: &'a dyn Fn(i64) -> bool,
    /// The present time in milliseconds since 1970: changes that are due later are left out.
    pub now: i64,
}

/// Returns the next changes of a table, oldest first. Changes behind a refused one of the same key are left out. Drops
/// entries that turn out to change nothing.
pub fn load(
    connection: &Connection,
    plan: &Plan,
    table: usize,
    unpushed: &Unpushed,
    wanted: WantedJobs<'_>,
) -> Result<Vec<Job>> {
    let write_only = plan.options.direction == SyncDirection::Push;
    let filter = match wanted.kind {
        // A deletion that may have arrived came before, and nothing shows whether the row is still there.
        JobKind::Insert if write_only => "(op = 'insert' OR op = 'update' AND sent_op IN ('delete', 'insert'))",
        JobKind::Insert => "op = 'insert'",
        JobKind::Update => "op = 'update'",
        JobKind::Delete => "op = 'delete'",
        JobKind::Read => "(sent_op IS NOT NULL OR base IS NULL AND op <> 'insert')",
    };
    let mut statement = connection.statement(&format!(
        "SELECT id, op, base, sent_op, sent, time, sent_at, key FROM tidelock_outbox AS change \
         WHERE tbl = ?1 AND state = 'pending' AND id <= ?2 AND {filter} AND {DUE} AND NOT EXISTS (SELECT 1 FROM tidelock_outbox AS refused \
           WHERE refused.tbl = ?1 AND refused.key = change.key AND refused.state = 'rejected') \
         ORDER BY id"
    ))?;
    statement.bind(1, &Value::from(plan.name()))?;
    statement.bind(2, &Value::Integer(wanted.newest))?;
    statement.bind(3, &Value::Integer(wanted.now))?;
    // Where a cursor guards the update, the base has the cursor of that row.
    let may_wait = !write_only
        && plan.stored_cursor().is_none()
        && plan.options.conflict() != ConflictPolicy::Function
        && staged::any(connection)?;
    let (mut jobs, mut empty, mut keyless, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    while statement.step()? == crate::sqlite::Step::Row {
        if (wanted.skip)(statement.column_i64(0)) {
            continue;
        }
        let row: Vec<Value> = (0..8).map(|at| statement.column(at)).collect();
        let entry = unpushed.read_entry(&row, false);
        let key = decode_key(row[7].as_text().unwrap_or_default());
        if key.len() != plan.key.len() {
            keyless.push(entry.id);
            continue;
        }
        let local = unpushed.local(connection, &key)?;
        match job(plan, table, &entry, key.clone(), local) {
            Some(mut job) if job.kind == wanted.kind => {
                if may_wait && job.kind == JobKind::Update {
                    job.unapplied = decided_unapplied(connection, unpushed, &job)?;
                }
                bytes += job.row.iter().map(|value| 16 + value.as_text().map_or(0, str::len)).sum::<usize>();
                jobs.push(job);
            }
            Some(_) => {}
            None => empty.push((entry.id, key)),
        }
        if jobs.len() >= BATCH || bytes >= BATCH_BYTES {
            break;
        }
    }
    drop(statement);
    // Files of others may have such entries.
    for id in keyless {
        reject_without_key(connection, id, &format!("This change has no key of table {}", plan.name()))?;
    }
    for (id, key) in empty {
        if !unpushed.wait_for_columns(connection, id, &key)? {
            forget_cursor(connection, plan, unpushed, &key)?;
            forget(connection, id)?;
        }
    }
    Ok(jobs)
}

/// Returns the remote's row of an update that doesn't fit here, if it has nothing else in the columns that are sent than the
/// change's base.
fn decided_unapplied(connection: &Connection, unpushed: &Unpushed, job: &Job) -> Result<Option<Vec<Option<Value>>>> {
    let known = |at: usize| job.base.as_ref().and_then(|base| base[at].as_ref());
    let same =
        |row: &Vec<Option<Value>>| job.columns.iter().all(|at| row[*at].is_some() && row[*at].as_ref() == known(*at));
    Ok(unpushed.unapplied(connection, &job.key)?.filter(same))
}

/// Restores the remote's cursor in a row whose change is about nothing else, which counts as no change.
fn forget_cursor(connection: &Connection, plan: &Plan, unpushed: &Unpushed, key: &[Value]) -> Result<()> {
    let (Some(cursor), Some(entry)) = (plan.remote_cursor(), unpushed.entry(connection, key)?) else { return Ok(()) };
    let (Some(base), Some(local)) = (entry.base, unpushed.local(connection, key)?) else { return Ok(()) };
    let Some(known) = &base[cursor] else { return Ok(()) };
    let mut row = local.clone();
    row[cursor].clone_from(known);
    capture::without_capture(connection, |connection| unpushed.write_local(connection, key, Some(&local), Some(&row)))
}

/// Returns the job of an entry; `None` when the entry changes nothing.
fn job(plan: &Plan, table: usize, entry: &UnpushedEntry, key: Vec<Value>, local: Option<Vec<Value>>) -> Option<Job> {
    let known = |at: usize| entry.base.as_ref().and_then(|base| base[at].as_ref());
    let cursor = plan.stored_cursor().and_then(known).map(filter_text);
    // Rows of a push-only table can't be read: the change is sent once more.
    let write_only = plan.options.direction == SyncDirection::Push;
    let must_read = !write_only
        && match (&entry.sent, entry.op) {
            (Some(sent), op) => sent.op != op || op != ChangeOp::Delete && !as_sent(sent, local.as_deref()),
            (None, op) => op != ChangeOp::Insert && entry.base.is_none(),
        };
    let unanswered = Cell::new(entry.sent.is_some());
    let op = match (entry.op, &entry.sent) {
        (ChangeOp::Update, Some(sent)) if write_only && sent.op != ChangeOp::Update => ChangeOp::Insert,
        (op, _) => op,
    };
    let (kind, columns) = match (op, &local) {
        // The remote never had a row with NULL in its key.
        (ChangeOp::Delete, _) if key.iter().any(Value::is_null) => return None,
        _ if must_read => (JobKind::Read, Vec::new()),
        (ChangeOp::Delete, _) => (JobKind::Delete, Vec::new()),
        // The row was deleted without capture, by a cascade of a pull.
        (_, None) => return None,
        (ChangeOp::Insert, Some(row)) => {
            // NULL columns are filled by the server, and so is the cursor.
            let fills = |at: &usize| plan.key.contains(at) || !row[*at].is_null() && plan.remote_cursor() != Some(*at);
            (JobKind::Insert, (0..row.len()).filter(fills).collect())
        }
        (ChangeOp::Update, Some(row)) => {
            // A column that was added after the change: any value in it was written locally.
            let changed = |at: &usize| known(*at).map_or(!row[*at].is_null(), |base| *base != row[*at]);
            let own = |at: &usize| plan.remote_cursor() != Some(*at);
            let columns: Vec<usize> = (0..row.len()).filter(own).filter(changed).collect();
            if columns.is_empty() {
                return None;
            }
            (JobKind::Update, columns)
        }
    };
    let row = local.unwrap_or_default();
    let restores = kind == JobKind::Insert && entry.deleted_remotely;
    let revives = restores && plan.options.soft_delete().is_some();
    let (left_out, base, unapplied) = (Vec::new(), entry.base.clone(), None);
    let id = entry.id;
    Some(Job { id, table, kind, key, row, columns, left_out, base, unapplied, cursor, unanswered, restores, revives })
}

fn as_sent(sent: &Sent, local: Option<&[Value]>) -> bool {
    let Some(local) = local else { return false };
    sent.row.iter().zip(local).all(|(sent, local)| sent.as_ref() == Some(local))
}

/// Notes that these jobs are being sent now, so that their outcome can be determined later whatever happens. A change that
/// was sent before keeps the time of the first time.
pub fn mark(connection: &Connection, plan: &Plan, jobs: &[Job], now: Timestamp) -> Result<()> {
    let members = plan.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), format!("?{}", at + 4)));
    let update = |sent: &str| {
        format!(
            "UPDATE tidelock_outbox SET sent_op = ?2, sent = {sent}, sent_at = coalesce(sent_at, ?3), \
             reason = NULL, error = NULL WHERE id = ?1"
        )
    };
    let (row, deletion) = (update(&row_sql(members)), update("NULL"));
    let now = Value::from(now.to_string());
    for job in jobs {
        let Some(op) = job.op() else { continue };
        let mut parameters = vec![Value::Integer(job.id), Value::from(op.as_str()), now.clone()];
        if op == ChangeOp::Delete {
            connection.run(&deletion, &parameters)?;
            continue;
        }
        let mut sent = job.sent(plan);
        // As it was before: the remote doesn't get to see another value.
        for at in &job.left_out {
            sent[*at] = job.base.as_ref().and_then(|base| base[*at].clone()).unwrap_or_default();
        }
        if plan.options.direction == SyncDirection::Push && job.unanswered.get() {
            forget_what_differs(connection, plan, job.id, &mut sent)?;
        }
        parameters.extend(sent);
        connection.run(&row, &parameters)?;
    }
    Ok(())
}

/// Replaces the values that an earlier try sent otherwise by [`UNKNOWN`], and all of them after a deletion. Where rows are
/// never read, any of the tries may be the one that arrived.
fn forget_what_differs(connection: &Connection, plan: &Plan, id: i64, sent: &mut [Value]) -> Result<()> {
    let earlier = connection.value("SELECT sent FROM tidelock_outbox WHERE id = ?1", &[Value::Integer(id)])?;
    let earlier: Option<Map<String, Value>> =
        earlier.as_ref().and_then(Value::as_text).map(|row| decode_row(row).into_iter().collect());
    for (at, (column, value)) in plan.columns.iter().zip(sent).enumerate() {
        // A column that came later was not sent, as NULL isn't.
        let same = |row: &Map<String, Value>| row.get(&column.name).unwrap_or(&Value::Null) == value;
        if !plan.key.contains(&at) && !earlier.as_ref().is_some_and(same) {
            *value = UNKNOWN;
        }
    }
    Ok(())
}

/// Returns the id of the newest change; 0 without changes.
pub fn newest(connection: &Connection) -> Result<i64> {
    let newest = connection.value("SELECT max(id) FROM tidelock_outbox", &[])?;
    Ok(newest.and_then(|id| id.as_integer()).unwrap_or_default())
}

/// Deletes the refused changes of rows that the remote doesn't have and that are deleted here, too. A later change of a
/// row with NULL in its key is part of its refused change.
pub fn forget_deleted(connection: &Connection, plan: &Plan, unpushed: &Unpushed) -> Result<()> {
    let refused = connection.rows(
        "SELECT id, key, op = 'insert' AND base IS NULL FROM tidelock_outbox \
         WHERE tbl = ?1 AND state = 'rejected' AND reason = 'refused' AND coalesce(sent_op, 'deleted') = 'deleted'",
        &[Value::from(plan.name())],
    )?;
    if refused.is_empty() {
        return Ok(());
    }
    connection.atomically(|connection| {
        for row in refused {
            let key = decode_key(row[1].as_text().unwrap_or_default());
            let lacks_key = key.iter().any(Value::is_null);
            if !lacks_key && row[2] != Value::Integer(1) {
                continue;
            }
            let is_deleted = unpushed.local(connection, &key)?.is_none();
            if is_deleted || lacks_key {
                let sql =
                    "DELETE FROM tidelock_outbox WHERE tbl = ?1 AND key = ?2 AND (state = 'pending' OR id = ?3 AND ?4)";
                let [id, encoded] = [row[0].clone(), row[1].clone()];
                connection.run(sql, &[Value::from(plan.name()), encoded, id, Value::Integer(i64::from(is_deleted))])?;
            }
        }
        Ok(())
    })
}

/// Makes changes of a push-only table new rows where the row stays only because others refer to it: its insert was
/// discarded. An update would find no row.
pub fn insert_discarded(connection: &Connection, plan: &Plan) -> Result<()> {
    if plan.options.direction != SyncDirection::Push {
        return Ok(());
    }
    let sql = "UPDATE tidelock_outbox AS change SET op = 'insert', base = NULL \
               WHERE tbl = ?1 AND state = 'pending' AND op = 'update' AND EXISTS (SELECT 1 FROM tidelock_staged AS staged \
                 WHERE staged.tbl = change.tbl AND staged.key = change.key AND staged.row IS NULL)";
    connection.run(sql, &[Value::from(plan.name())]).map(drop)
}

/// Queues the rows of a table that the remote lacks and that have no change yet. Returns how many. `temp.tidelock_seen`
/// has the keys that the remote has.
pub fn enqueue(connection: &Connection, plan: &Plan) -> Result<u64> {
    let key = crate::sync::values::encode::key_sql(plan.key_columns().iter().map(|column| quote(column)));
    connection.run(
        &format!(
            "INSERT OR IGNORE INTO tidelock_outbox(tbl, key, op, time) \
             SELECT ?1, key, 'insert', strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM (SELECT {key} AS key FROM main.{}) \
             WHERE key NOT IN (SELECT key FROM temp.tidelock_seen WHERE tbl = ?1) \
             AND key NOT IN (SELECT key FROM tidelock_outbox WHERE tbl = ?1 AND state <> 'restored')",
            quote(&plan.table.name)
        ),
        &[Value::from(plan.name())],
    )
}
