//! The changes that wait, as jobs.

use super::job::{Job, Work};
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        config::options::SyncDirection,
        conflict::{
            resolution::Sent,
            unpushed::{OutboxEntry, Unpushed},
        },
        outbox::{capture, change::ChangeOp, waiting::forget},
        schema::plan::Plan,
        values::{
            encode::{decode_key, quote, row_sql},
            outgoing::filter_text,
        },
    },
    value::Value,
};

/// Jobs of one batch at most, ...
const BATCH: usize = 10_000;
/// ... and about the bytes of their rows.
const BATCH_BYTES: usize = 16 << 20;

/// Whether the time of a change has come; `?3` is now. (A clock that was set back doesn't hold it up for longer than it was to wait.)
const DUE: &str = "(not_before IS NULL OR not_before <= ?3 OR not_before > ?3 + 3600000)";

/// Which changes are wanted.
#[derive(Clone, Copy)]
pub struct WantedJobs<'a> {
    /// What is to be done for them.
    pub work: Work,
    /// None that was made since the push began.
    pub newest: i64,
    /// None of these.
    pub skip: &'a dyn Fn(i64) -> bool,
    /// Milliseconds since 1970: none that is to wait longer.
    pub now: i64,
}

/// The next changes of a table, oldest first. Those whose key has a refused change wait behind it. An entry that turns out to
/// change nothing is dropped.
pub fn load(
    connection: &Connection,
    plan: &Plan,
    table: usize,
    unpushed: &Unpushed,
    wanted: WantedJobs<'_>,
) -> Result<Vec<Job>> {
    let filter = match wanted.work {
        Work::Insert => "op = 'insert'",
        Work::Update => "op = 'update'",
        Work::Delete => "op = 'delete'",
        Work::Look => "(sent_op IS NOT NULL OR base IS NULL AND op <> 'insert')",
    };
    let mut statement = connection.statement(&format!(
        "SELECT id, op, base, sent_op, sent, time, key FROM tidelock_outbox AS change \
         WHERE tbl = ?1 AND state = 'pending' AND id <= ?2 AND {filter} AND {DUE} AND NOT EXISTS (SELECT 1 FROM tidelock_outbox AS refused \
           WHERE refused.tbl = ?1 AND refused.key = change.key AND refused.state = 'rejected') \
         ORDER BY id"
    ))?;
    statement.bind(1, &Value::from(plan.name()))?;
    statement.bind(2, &Value::Integer(wanted.newest))?;
    statement.bind(3, &Value::Integer(wanted.now))?;
    let (mut jobs, mut empty, mut bytes) = (Vec::new(), Vec::new(), 0);
    while statement.step()? == crate::sqlite::Step::Row {
        if (wanted.skip)(statement.column_i64(0)) {
            continue;
        }
        let row: Vec<Value> = (0..7).map(|at| statement.column(at)).collect();
        let entry = unpushed.read_entry(&row, false);
        let key = decode_key(row[6].as_text().unwrap_or_default());
        let local = unpushed.local(connection, &key)?;
        match job(plan, table, &entry, key.clone(), local) {
            Some(job) if job.work == wanted.work => {
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
    for (id, key) in empty {
        if !unpushed.wait_for_columns(connection, id, &key)? {
            forget_cursor(connection, plan, unpushed, &key)?;
            forget(connection, id)?;
        }
    }
    Ok(jobs)
}

/// A change that is about nothing but the cursor is none: the row gets the remote's again.
fn forget_cursor(connection: &Connection, plan: &Plan, unpushed: &Unpushed, key: &[Value]) -> Result<()> {
    let (Some(cursor), Some(entry)) = (plan.remote_cursor(), unpushed.entry(connection, key)?) else { return Ok(()) };
    let (Some(base), Some(local)) = (entry.base, unpushed.local(connection, key)?) else { return Ok(()) };
    let Some(known) = &base[cursor] else { return Ok(()) };
    let mut row = local.clone();
    row[cursor].clone_from(known);
    capture::silently(connection, |connection| unpushed.write_local(connection, key, Some(&local), Some(&row)))
}

/// What is to be done for an entry; `None`: nothing, it changes nothing.
fn job(plan: &Plan, table: usize, entry: &OutboxEntry, key: Vec<Value>, local: Option<Vec<Value>>) -> Option<Job> {
    let known = |at: usize| entry.base.as_ref().and_then(|base| base[at].as_ref());
    let cursor = plan.stored_cursor().and_then(known).map(filter_text);
    // What may only be written can't be looked at: it is sent once more.
    let blind = plan.options.direction == SyncDirection::Push;
    let look = !blind
        && match (&entry.sent, entry.op) {
            (Some(sent), op) => sent.op != op || op != ChangeOp::Delete && !as_sent(sent, local.as_deref()),
            (None, op) => op != ChangeOp::Insert && entry.base.is_none(),
        };
    let sent_before = entry.sent.is_some();
    let (work, columns) = match (entry.op, &local) {
        // The remote never had a row without a key.
        (ChangeOp::Delete, _) if key.iter().any(Value::is_null) => return None,
        _ if look => (Work::Look, Vec::new()),
        (ChangeOp::Delete, _) => (Work::Delete, Vec::new()),
        // It went without a trace: by a cascade of a pull.
        (_, None) => return None,
        (ChangeOp::Insert, Some(row)) => {
            // What is NULL is the server's to fill, and so is the cursor.
            let fills = |at: &usize| plan.key.contains(at) || !row[*at].is_null() && plan.remote_cursor() != Some(*at);
            (Work::Insert, (0..row.len()).filter(fills).collect())
        }
        (ChangeOp::Update, Some(row)) => {
            // A column that is younger than the change: whatever is in it was written here.
            let changed = |at: &usize| known(*at).map_or(!row[*at].is_null(), |base| *base != row[*at]);
            let own = |at: &usize| plan.remote_cursor() != Some(*at);
            let columns: Vec<usize> = (0..row.len()).filter(own).filter(changed).collect();
            if columns.is_empty() {
                return None;
            }
            (Work::Update, columns)
        }
    };
    let row = local.unwrap_or_default();
    let revives = work == Work::Insert && entry.gone && plan.options.soft_delete().is_some();
    Some(Job { id: entry.id, table, work, key, row, columns, base: entry.base.clone(), cursor, sent_before, revives })
}

fn as_sent(sent: &Sent, local: Option<&[Value]>) -> bool {
    let Some(local) = local else { return false };
    sent.row.iter().zip(local).all(|(sent, local)| sent.as_ref() == Some(local))
}

/// Writes down that these jobs are being sent: so that what becomes of it can be told later, whatever happens now.
pub fn mark(connection: &Connection, plan: &Plan, jobs: &[Job]) -> Result<()> {
    let members = plan.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), format!("?{}", at + 3)));
    let mut sent = row_sql(members);
    if plan.options.direction == SyncDirection::Push {
        // Where rows are never read, the first one counts that may have arrived.
        sent = format!("CASE WHEN sent_op IS NULL THEN {sent} ELSE sent END");
    }
    let row =
        format!("UPDATE tidelock_outbox SET sent_op = ?2, sent = {sent}, reason = NULL, error = NULL WHERE id = ?1");
    for job in jobs {
        let Some(op) = job.op() else { continue };
        let mut parameters = vec![Value::Integer(job.id), Value::from(op.as_str())];
        if op == ChangeOp::Delete {
            let sql = "UPDATE tidelock_outbox SET sent_op = ?2, sent = NULL, reason = NULL, error = NULL WHERE id = ?1";
            connection.run(sql, &parameters)?;
            continue;
        }
        parameters.extend(job.sent(plan));
        connection.run(&row, &parameters)?;
    }
    Ok(())
}

/// The newest change.
pub fn newest(connection: &Connection) -> Result<i64> {
    let newest = connection.value("SELECT max(id) FROM tidelock_outbox", &[])?;
    Ok(newest.and_then(|id| id.as_integer()).unwrap_or_default())
}

/// Forgets the refused changes of rows that the remote never had, and that aren't here any more. What was changed since in a row without
/// a key is part of its refused change.
pub fn forget_gone(connection: &Connection, plan: &Plan, unpushed: &Unpushed) -> Result<()> {
    let refused = connection.rows(
        "SELECT id, key, op = 'insert' AND base IS NULL FROM tidelock_outbox \
         WHERE tbl = ?1 AND state = 'rejected' AND reason = 'refused' AND sent_op IS NULL",
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
            let is_gone = unpushed.local(connection, &key)?.is_none();
            if is_gone || lacks_key {
                let sql =
                    "DELETE FROM tidelock_outbox WHERE tbl = ?1 AND key = ?2 AND (state = 'pending' OR id = ?3 AND ?4)";
                let [id, encoded] = [row[0].clone(), row[1].clone()];
                connection.run(sql, &[Value::from(plan.name()), encoded, id, Value::Integer(i64::from(is_gone))])?;
            }
        }
        Ok(())
    })
}

/// Queues the rows of a table that the remote doesn't have and that have no change yet; how many. `temp.tidelock_seen` has the
/// keys that the remote has.
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
