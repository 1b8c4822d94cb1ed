//! Retries or discards a change, as the user decides.

use super::job::RemoteRow;
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::Connection,
    sync::{
        apply::{
            normalized_key::KeyNormalizer,
            writer::{RowWriter, with_parents},
        },
        conflict::unpushed::{OutboxEntry, Unpushed},
        outbox::{
            capture,
            change::{ChangeOp, UNKNOWN},
            waiting::{forget, make_pending, release},
        },
        report::TableReport,
        schema::plan::{Plan, Rows},
        values::encode::{decode_key, decode_row},
    },
    value::Value,
};

/// A change, found by its id.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundChange {
    /// Its id.
    pub id: i64,
    /// Its table.
    pub table: String,
    /// Its key's values.
    pub key: Vec<Value>,
    state: String,
    /// The row as it was in a restored image.
    local: Option<String>,
    op: ChangeOp,
    row: Vec<Value>,
}

/// Returns the error for an id that no change has.
fn unknown() -> Error {
    Error::invalid("There is no change with this id").hint("The ids are those of pending() and rejected()")
}

/// Returns the change with this id. Fails with `invalid_argument` when there is none.
pub fn find(connection: &Connection, id: i64) -> Result<FoundChange> {
    let sql = "SELECT id, op, base, sent_op, sent, time, tbl, key, state, local FROM tidelock_outbox WHERE id = ?1";
    let row = connection.rows(sql, &[Value::Integer(id)])?.into_iter().next();
    let row = row.ok_or_else(unknown)?;
    let text = |at: usize| row[at].as_text().map(str::to_owned);
    Ok(FoundChange {
        id,
        table: text(6).unwrap_or_default(),
        key: decode_key(&text(7).unwrap_or_default()),
        state: text(8).unwrap_or_default(),
        local: text(9),
        op: ChangeOp::from_name(&text(1).unwrap_or_default()),
        row,
    })
}

/// Makes a refused change pending again, inside a transaction.
pub fn retry(connection: &Connection, plan: &Plan, change: &FoundChange) -> Result<()> {
    let unpushed = Unpushed::new(plan);
    release(connection)?;
    match &*change.state {
        "pending" => {
            let sql =
                "UPDATE tidelock_outbox SET reason = NULL, error = NULL, tries = NULL, not_before = NULL WHERE id = ?1";
            connection.run(sql, &[Value::Integer(change.id)]).map(drop)
        }
        "restored" => {
            forget(connection, change.id)?;
            repeat(connection, plan, &unpushed, change)
        }
        _ => {
            let entry = unpushed.read_entry(&change.row, true);
            // Later changes of the row wait behind it: from here on both are one change.
            make_pending(connection, change.id)?;
            let local = unpushed.local(connection, &change.key)?;
            let base = base(&entry, local.as_deref());
            // A deletion without a known remote row: the push reads the remote first.
            let unknown = change.op == ChangeOp::Delete && local.is_none() && base.is_none() && !entry.deleted_remotely;
            if unknown {
                return Ok(());
            }
            unpushed.requeue(connection, Some(change.id), &change.key, local.as_deref(), base.as_deref())?;
            if entry.deleted_remotely && local.is_some() {
                unpushed.note_deleted(connection, change.id)?;
            }
            Ok(())
        }
    }
}

/// Returns the remote's row as the change knows it. A column that didn't exist then counts as unchanged.
fn base(entry: &OutboxEntry, local: Option<&[Value]>) -> Option<Vec<Value>> {
    if entry.deleted_remotely {
        return None;
    }
    let base = entry.base.as_ref()?;
    let known = |at: usize| base[at].clone().or_else(|| Some(local?[at].clone())).unwrap_or_default();
    Some((0..base.len()).map(known).collect())
}

/// Replaces unknown values of a base by the present ones.
fn without_unknown(mut row: Vec<Value>, local: Option<&[Value]>) -> Vec<Value> {
    for (at, value) in row.iter_mut().enumerate().filter(|(_, value)| **value == UNKNOWN) {
        *value = local.map(|local| local[at].clone()).unwrap_or_default();
    }
    row
}

/// Repeats the change of a restored image on the row as it is now.
fn repeat(connection: &Connection, plan: &Plan, unpushed: &Unpushed, change: &FoundChange) -> Result<()> {
    let entry = unpushed.read_entry(&change.row, true);
    let then = change.local.as_deref().map(decode_row).unwrap_or_default();
    let now = unpushed.local(connection, &change.key)?;
    let was = |at: usize| then.iter().find(|(name, _)| *name == plan.columns[at].name).map(|(_, value)| value);
    // Rows follow the remote after a restore: one that differs from the image's row is the remote's.
    let followed = match &now {
        Some(now) => {
            change.op == ChangeOp::Delete || (0..now.len()).any(|at| was(at).is_some_and(|was| *was != now[at]))
        }
        None => false,
    };
    let row = (change.op != ChangeOp::Delete && !then.is_empty()).then(|| {
        let mut row = now.clone().unwrap_or_else(|| unpushed.row_of(&change.key));
        for at in 0..row.len() {
            let before = entry.base.as_ref().and_then(|base| base[at].as_ref());
            if let Some(value) = was(at).filter(|value| now.is_none() || before != Some(*value)) {
                row[at] = value.clone();
            }
        }
        row
    });
    let waiting = unpushed.entry(connection, &change.key)?.filter(|waiting| !waiting.rejected);
    let remote = match (&waiting, change.op) {
        (Some(waiting), _) => base(waiting, now.as_deref()),
        (None, ChangeOp::Insert) => None,
        (None, _) if followed => now.clone(),
        (None, _) => base(&entry, now.as_deref()),
    };
    capture::without_capture(connection, |connection| {
        unpushed.write_local(connection, &change.key, now.as_deref(), row.as_deref())?;
        let id = waiting.map(|waiting| waiting.id);
        unpushed.requeue(connection, id, &change.key, row.as_deref(), remote.as_deref())
    })
}

/// Discards a change, inside a transaction in which capture is silent. `remote` is the remote's row; `None` when it
/// can't be read, and then the row becomes what it was before the change.
pub fn discard(
    connection: &Connection,
    plan: &Plan,
    writer: &RowWriter,
    change: &FoundChange,
    remote: Option<&RemoteRow>,
) -> Result<()> {
    let unpushed = &writer.unpushed;
    let entry = unpushed.read_entry(&change.row, true);
    release(connection)?;
    connection.run(
        "DELETE FROM tidelock_outbox WHERE tbl = ?1 AND key = ?2",
        &[change.row[6].clone(), change.row[7].clone()],
    )?;
    let local = unpushed.local(connection, &change.key)?;
    let row = match remote {
        Some(RemoteRow::Row(row, _)) => Some(row.clone()),
        Some(RemoteRow::Deleted | RemoteRow::Absent) => None,
        None => base(&entry, local.as_deref()).map(|row| without_unknown(row, local.as_deref())),
    };
    // A row that others refer to, or that doesn't fit (yet), is staged like a pulled one.
    let deleted = row.is_none();
    let mut row = row.unwrap_or_else(|| unpushed.row_of(&change.key));
    let answered = plan.key_of(&row);
    // What isn't here takes no other key: the remote's row may be here under its own.
    if local.is_some()
        && answered != change.key
        && KeyNormalizer::new(connection)?.run(connection, &plan.table.name, &change.key, &answered)?.is_none()
    {
        change.key.iter().zip(&plan.key).for_each(|(value, at)| row[*at] = value.clone());
    }
    if remote.is_some() && plan.options.compares() {
        writer.note_known(connection, &plan.key_of(&row), !deleted)?;
    }
    let rows = Rows::one(row, deleted, None);
    if writer.merge(connection, &rows, &mut TableReport::default())?.is_empty() {
        return Ok(());
    }
    // What was discarded doesn't stay until the remote's row fits.
    match with_parents(connection, || unpushed.undo(connection, &entry, &change.key, local.as_deref())) {
        Err(error) if !error.is(ErrorCode::SqliteConstraint) => Err(error),
        _ => Ok(()),
    }
}
