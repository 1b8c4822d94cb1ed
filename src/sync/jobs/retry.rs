//! Retries or discards a change, as the user decides.

use super::job::RemoteRow;
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::{
        apply::{
            normalized_key::KeyNormalizer,
            writer::{RowWriter, with_parents},
        },
        conflict::unpushed::{Unpushed, UnpushedEntry},
        outbox::{
            capture,
            change::{ChangeOp, UNKNOWN},
            waiting::{forget, make_pending, release},
        },
        report::TableReport,
        schema::plan::{Plan, Rows},
        values::{
            encode::{decode_key, decode_row},
            meaning::same_meaning,
        },
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

impl FoundChange {
    /// Returns the column of a change that is only about one that isn't synced.
    pub fn unlisted_column(&self, plan: &Plan) -> Option<String> {
        let base = self.row[2].as_text().filter(|_| self.state == "restored").map(decode_row)?;
        let synced = |name: &String| plan.columns.iter().any(|column| column.name == *name);
        match &base[..] {
            [(name, _)] if !synced(name) => Some(name.clone()),
            _ => None,
        }
    }
}

/// Returns the error for an id that no change has.
fn unknown() -> Error {
    Error::invalid("There is no change with this id").hint("The ids are those of pending() and rejected()")
}

/// Returns the change with this id. Fails with `invalid_argument` when there is none.
pub fn find(connection: &Connection, id: i64) -> Result<FoundChange> {
    let sql =
        "SELECT id, op, base, sent_op, sent, time, sent_at, tbl, key, state, local FROM tidelock_outbox WHERE id = ?1";
    let row = connection.rows(sql, &[Value::Integer(id)])?.into_iter().next();
    let row = row.ok_or_else(unknown)?;
    let text = |at: usize| row[at].as_text().map(str::to_owned);
    Ok(FoundChange {
        id,
        table: text(7).unwrap_or_default(),
        key: decode_key(&text(8).unwrap_or_default()),
        state: text(9).unwrap_or_default(),
        local: text(10),
        op: ChangeOp::from_name(&text(1).unwrap_or_default()),
        row,
    })
}

/// Makes a refused change pending again, inside a transaction. Nothing is left of the change of a dropped column. Fails
/// with `invalid_argument` if its only column isn't synced.
pub fn retry(connection: &Connection, plan: &Plan, change: &FoundChange) -> Result<()> {
    if let Some(column) = change.unlisted_column(plan) {
        if plan.table.column(&column).is_none() {
            return forget(connection, change.id);
        }
        return Err(Error::invalid(format!("Column {column} of table {} isn't synced", plan.name()))
            .hint("List it in `columns`, and retry; or discard the change")
            .detail("table", plan.name())
            .detail("column", column));
    }
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
fn base(entry: &UnpushedEntry, local: Option<&[Value]>) -> Option<Vec<Value>> {
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

/// Repeats the change of a restored image on the row as it is now: the values that it changed are written, except into
/// columns with a later change that isn't pushed. What is left to push follows from the row that the remote has by what
/// is known here. Of a new row that nothing is known of, the remote may have what the image has.
fn repeat(connection: &Connection, plan: &Plan, unpushed: &Unpushed, change: &FoundChange) -> Result<()> {
    let entry = unpushed.read_entry(&change.row, true);
    let then = change.local.as_deref().map(|row| unpushed.align(row)).unwrap_or_default();
    let was = |at: usize| then.get(at).and_then(Option::as_ref);
    let now = unpushed.local(connection, &change.key)?;
    let later = unpushed.entry(connection, &change.key)?;
    let changed = RestoredChange { entry: &entry, later: later.as_ref(), plan };
    let row = (change.op != ChangeOp::Delete && !then.is_empty()).then(|| {
        let mut row = now.clone().unwrap_or_else(|| unpushed.row_of(&change.key));
        for (at, value) in row.iter_mut().enumerate() {
            if let Some(was) = was(at).filter(|was| now.is_none() || changed.writes(at, was, value)) {
                value.clone_from(was);
            }
        }
        row
    });
    let is_image = |row: &[Value]| (0..row.len()).all(|at| was(at).is_none_or(|was| *was == row[at]));
    let is_new = change.op == ChangeOp::Insert;
    let mut remote = match &later {
        Some(later) => base(later, now.as_deref()),
        None if is_new || now.is_some() => now.clone(),
        None => base(&entry, None),
    };
    if is_new {
        // A later change of the image's own row shows nothing about the remote.
        remote = remote.filter(|remote| !is_image(remote));
    } else if let (Some(remote), Some(now)) = (&mut remote, &now) {
        // The change is here already, but perhaps not there.
        for at in (0..now.len()).filter(|at| was(*at) == Some(&now[*at])) {
            remote[at] = changed.before(at).unwrap_or_else(|| remote[at].clone());
        }
    }
    let id = later.filter(|later| !later.rejected).map(|later| later.id);
    let sent = "SELECT sent_op, sent, sent_at FROM tidelock_outbox WHERE id = ?1 AND sent_op IS NOT NULL";
    let mut sent = connection.rows(sent, &[id.into()])?.pop();
    if is_new && remote.is_none() {
        sent = sent.or_else(|| Some(vec![Value::from(change.op.as_str()), change.local.clone().into(), Value::Null]));
    }
    capture::without_capture(connection, |connection| {
        unpushed.write_local(connection, &change.key, now.as_deref(), row.as_deref())?;
        unpushed.requeue(connection, id, &change.key, row.as_deref(), remote.as_deref())?;
        let [table, key] = [change.row[7].clone(), change.row[8].clone()];
        let Some([op, row, at]) = sent.and_then(|sent| <[Value; 3]>::try_from(sent).ok()) else { return Ok(()) };
        let sql = "UPDATE tidelock_outbox SET sent_op = ?3, sent = ?4, sent_at = ?5 \
                   WHERE tbl = ?1 AND key = ?2 AND state = 'pending'";
        connection.run(sql, &[table, key, op, row, at]).map(drop)
    })
}

/// What decides which values of a restored change are written into the row as it is now.
struct RestoredChange<'a> {
    entry: &'a UnpushedEntry,
    /// An unpushed change of the row that was made since.
    later: Option<&'a UnpushedEntry>,
    plan: &'a Plan,
}

impl RestoredChange<'_> {
    /// Returns a column's value before the change; `None` where it isn't known. A new row changed all columns that it
    /// fills, except those that an earlier push sent alike.
    fn before(&self, at: usize) -> Option<Value> {
        match &self.entry.base {
            Some(base) => base[at].clone(),
            None => Some(self.entry.sent.as_ref().and_then(|sent| sent.row.get(at)?.clone()).unwrap_or_default()),
        }
    }

    /// Returns whether `was`, the image's value of a column, is written over `now`.
    fn writes(&self, at: usize, was: &Value, now: &Value) -> bool {
        let is_later = self.later.is_some_and(|later| match &later.base {
            Some(base) => base[at].as_ref().is_some_and(|base| base != now),
            None => !now.is_null(),
        });
        self.before(at).is_some_and(|before| before != *was)
            && !is_later
            && self.plan.stored_cursor() != Some(at)
            && !same_meaning(self.plan.columns[at].kind, was, now)
    }
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
        &[change.row[7].clone(), change.row[8].clone()],
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
        Err(error) if !connection.is_violation(&error) => Err(error),
        _ => Ok(()),
    }
}
