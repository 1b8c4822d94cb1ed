//! Reconciles a remote row with the unpushed local change of the same key, and stores what is left of the change.
//!
//! A conflict is a remote row that differs from the change's base. After the decision the remote's row becomes the
//! base, so that the same row is no conflict twice. A change about which nothing can be decided (deleted on one side,
//! or two rows under one new key) is rejected.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::resolution::{ConflictInput, Resolution, Sent, change_left, is_later, resolve};
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        config::options::ConflictPolicy,
        outbox::{
            change::{ChangeOp, ChangeReason},
            waiting::{forget, reject},
        },
        schema::{plan::Plan, table::key_condition, table_sql::TableSql},
        values::{
            encode::{decode_row, key_parameters, quote, row_sql},
            outgoing::filter_text,
            types::WireKind,
        },
    },
    time::Timestamp,
    value::Value,
};

/// What to do with the remote's row.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// Apply it: no local change has to stay.
    Apply,
    /// Apply it: it replaces the local change.
    ApplyConflict,
    /// Keep the local change.
    Keep {
        /// Whether the row differed from the change's base.
        conflict: bool,
        /// Whether the change was rejected.
        rejected: bool,
    },
}

/// What is known of the remote's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The remote has it.
    Row,
    /// It is marked as deleted.
    Deleted,
    /// The remote didn't return it: it was deleted, or it is hidden.
    Absent,
}

/// A pending conflict: a function of the user decides it, outside of any transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingConflict {
    /// The key's values.
    pub key: Vec<Value>,
    /// The remote's row; `None` when it was deleted remotely.
    pub remote: Option<Vec<Value>>,
}

/// A change as it is in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEntry {
    /// Its id.
    pub id: i64,
    /// The operation.
    pub op: ChangeOp,
    /// The row before it, one value per column; `None` when the remote had none.
    pub base: Option<Vec<Option<Value>>>,
    /// What a push sent of it, while it is unknown whether it arrived.
    pub sent: Option<Sent>,
    /// Whether the remote was seen to have no such row.
    pub gone: bool,
    /// When it last changed, ISO 8601.
    pub time: String,
    /// Whether it was refused for good.
    pub rejected: bool,
}

/// The statements of one table, and what decides its conflicts.
pub struct Unpushed {
    name: String,
    columns: Vec<String>,
    kinds: Vec<WireKind>,
    /// The indexes of the key's values in a row.
    pub(crate) key: Vec<usize>,
    cursor: Option<usize>,
    policy: ConflictPolicy,
    pending: String,
    rejected: String,
    sql: Rc<TableSql>,
    requeue: String,
    requeue_new: String,
    log: String,
    /// The columns that the remote lacks; `local_lacking` reads them.
    lacking: Vec<String>,
    local_lacking: String,
    /// Milliseconds to add to the local clock to get the server's.
    skew_ms: Cell<i64>,
    questions: RefCell<Vec<PendingConflict>>,
    /// Local rows whose unique values are freed for now, by their keys: they count as they were.
    pub(crate) parked: RefCell<Vec<(Vec<Value>, Vec<Value>)>>,
}

/// The number of conflicts that the log keeps.
const LOGGED: i64 = 1000;

impl Unpushed {
    /// Prepares the statements of a plan.
    pub fn new(plan: &Plan) -> Self {
        let entry = format!(
            "SELECT id, op, base, sent_op, sent, time FROM tidelock_outbox WHERE tbl = ?1 AND key = {}",
            key_parameters(plan.key.len(), 2)
        );
        let columns: Vec<String> = plan.columns.iter().map(|column| column.name.clone()).collect();
        let key = plan.key_columns();
        let width = columns.len();
        let row = |from: usize| {
            row_sql(columns.iter().enumerate().map(|(at, name)| (name.as_str(), format!("?{}", at + from))))
        };
        // NULL instead of a row whose key is NULL: there is no such row.
        let unless_null =
            |from: usize, row: String| format!("CASE WHEN ?{} IS NOT NULL THEN {row} END", from + plan.key[0]);
        let maybe = |from: usize| unless_null(from, row(from));
        // The columns that the remote lacks come after the others.
        let all = || columns.iter().chain(&plan.lacking).enumerate();
        let base = |from: usize| {
            let members = all().map(|(at, name)| (name.as_str(), format!("?{}", at + from)));
            unless_null(from, row_sql(members))
        };
        let all_columns = width + plan.lacking.len();
        let key_from = |from: usize| key_parameters(plan.key.len(), from);
        Self {
            pending: format!("{entry} AND state = 'pending'"),
            rejected: format!("{entry} AND state = 'rejected' ORDER BY id DESC LIMIT 1"),
            sql: plan.sql.clone(),
            // ?1 is the id, ?2 the operation, ?3.. the remote's row and the base of the columns that it lacks.
            requeue: format!(
                "UPDATE tidelock_outbox SET op = ?2, base = {}, sent_op = NULL, sent = NULL, error = NULL, \
                 reason = iif(state = 'pending', NULL, reason), tries = NULL, not_before = NULL WHERE id = ?1",
                base(3)
            ),
            // ?1 is the table, ?2 the operation, ?3.. the same, then the key.
            requeue_new: format!(
                "INSERT INTO tidelock_outbox(tbl, key, op, base, time) \
                 VALUES (?1, {}, ?2, {}, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
                key_from(all_columns + 3),
                base(3)
            ),
            local_lacking: format!(
                "SELECT {} FROM main.{} WHERE {}",
                plan.lacking.iter().map(|column| quote(column)).collect::<Vec<_>>().join(", "),
                quote(&plan.table.name),
                key_condition(&key, 1)
            ),
            lacking: plan.lacking.clone(),
            // ?1 is the table, ?2.. the key, then base, local, remote and result.
            log: format!(
                "INSERT INTO tidelock_conflicts(tbl, key, time, base, local, remote, result) \
                 VALUES (?1, {}, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), {}, {}, {}, {})",
                key_from(2),
                maybe(key.len() + 2),
                maybe(key.len() + 2 + width),
                maybe(key.len() + 2 + 2 * width),
                maybe(key.len() + 2 + 3 * width),
            ),
            kinds: plan.columns.iter().map(|column| column.kind).collect(),
            cursor: plan.stored_cursor(),
            policy: plan.options.conflict(),
            name: plan.name().to_owned(),
            key: plan.key.clone(),
            columns,
            skew_ms: Cell::new(0),
            questions: RefCell::default(),
            parked: RefCell::default(),
        }
    }

    /// Sets how many milliseconds the server's clock is ahead.
    pub fn set_skew(&self, ms: i64) {
        self.skew_ms.set(ms);
    }

    /// Returns the pending conflicts since the last call.
    pub fn take_questions(&self) -> Vec<PendingConflict> {
        self.questions.take()
    }

    /// Decides about a remote row, and applies the decision to the outbox and the local row, inside a transaction in
    /// which capture is silent. Of a row that the remote lacks, only the key's values count. `cursor` is the row's
    /// cursor where it isn't stored. Fails with `sqlite_constraint` when the local row can't be what was decided; the
    /// caller then undoes the rest.
    pub fn reconcile(
        &self,
        connection: &Connection,
        row: &[Value],
        seen: Seen,
        cursor: Option<&str>,
    ) -> Result<Decision> {
        let key = self.key_of(row);
        let local = self.local(connection, &key)?;
        let Some(entry) = self.merged_entry(connection, &key, local.is_some())? else { return Ok(Decision::Apply) };
        let remote = (seen == Seen::Row).then_some(row);
        if remote.is_none() && entry.gone {
            return Ok(Decision::Keep { conflict: false, rejected: false });
        }
        if local.is_none() && entry.op != ChangeOp::Delete {
            // The row was deleted without capture (a cascade of a pull): its change is deleted, too.
            forget(connection, entry.id)?;
            return Ok(Decision::ApplyConflict);
        }
        let input = ConflictInput {
            base: entry.base.as_deref(),
            sent: entry.sent.as_ref(),
            local: local.as_deref(),
            remote,
            told: seen == Seen::Deleted,
            kinds: &self.kinds,
            cursor: self.cursor,
        };
        let later = || {
            let remote = cursor.map(str::to_owned).or_else(|| Some(filter_text(&row[self.cursor?])));
            is_later(&self.written_at(&entry, local.as_deref()), &remote.unwrap_or_default())
        };
        match resolve(&input, self.policy, later) {
            Resolution::Unchanged => Ok(Decision::Keep { conflict: false, rejected: false }),
            Resolution::Ask => {
                self.questions.borrow_mut().push(PendingConflict { key, remote: remote.map(<[Value]>::to_vec) });
                Ok(Decision::Keep { conflict: true, rejected: false })
            }
            Resolution::Reject(why) => self.set_aside(connection, &entry, &key, local.as_deref(), remote, why),
            Resolution::Row { row, conflict } => {
                if conflict {
                    self.log(connection, &key, &entry, local.as_deref(), remote, row.as_deref())?;
                }
                if row.as_deref() == remote {
                    self.end_parking(&key);
                    self.requeue(connection, Some(entry.id), &key, row.as_deref(), remote)?;
                    return Ok(if conflict { Decision::ApplyConflict } else { Decision::Apply });
                }
                self.write_local(connection, &key, local.as_deref(), row.as_deref())?;
                self.requeue(connection, Some(entry.id), &key, row.as_deref(), remote)?;
                Ok(Decision::Keep { conflict, rejected: false })
            }
        }
    }

    /// Returns the time of the change as a cursor value: the value that the change wrote there, else its own time by
    /// the server's clock.
    fn written_at(&self, entry: &OutboxEntry, local: Option<&[Value]>) -> String {
        let wrote = || {
            let value = &local?[self.cursor?];
            let base = entry.base.as_ref().and_then(|base| base[self.cursor?].as_ref());
            (base != Some(value) && !value.is_null()).then(|| filter_text(value))
        };
        let made = || Timestamp::parse(&entry.time).map(|time| time.plus_ms(self.skew_ms.get()).to_string());
        wrote().or_else(made).unwrap_or_default()
    }

    /// Returns whether the key of a row has an unpushed change.
    pub fn has(&self, connection: &Connection, row: &[Value]) -> Result<bool> {
        Ok(self.entry(connection, &self.key_of(row))?.is_some())
    }

    /// Returns the key's values of a row.
    pub fn key_of(&self, row: &[Value]) -> Vec<Value> {
        self.key.iter().map(|at| row[*at].clone()).collect()
    }

    /// Returns a row that has only its key.
    pub fn row_of(&self, key: &[Value]) -> Vec<Value> {
        let mut row = vec![Value::Null; self.columns.len()];
        self.key.iter().zip(key).for_each(|(at, value)| row[*at] = value.clone());
        row
    }

    /// Returns the change of a key: the pending one, else one that was refused.
    pub fn entry(&self, connection: &Connection, key: &[Value]) -> Result<Option<OutboxEntry>> {
        match self.find(connection, key, false)? {
            None => self.find(connection, key, true),
            pending => Ok(pending),
        }
    }

    fn find(&self, connection: &Connection, key: &[Value], rejected: bool) -> Result<Option<OutboxEntry>> {
        let mut parameters = vec![Value::from(&*self.name)];
        parameters.extend_from_slice(key);
        let found = connection.rows(if rejected { &self.rejected } else { &self.pending }, &parameters)?;
        Ok(found.first().map(|found| self.read_entry(found, rejected)))
    }

    /// Returns the change of a key that the remote's row is compared with. Merges a pending change into the refused one
    /// before it, since the pending one's base is no row that the remote ever had. `there`: whether the local row
    /// exists.
    fn merged_entry(&self, connection: &Connection, key: &[Value], there: bool) -> Result<Option<OutboxEntry>> {
        let (pending, refused) = (self.find(connection, key, false)?, self.find(connection, key, true)?);
        let (Some(pending), Some(refused)) = (&pending, &refused) else { return Ok(pending.or(refused)) };
        forget(connection, pending.id)?;
        let op = match (&refused.base, there) {
            (None, true) => ChangeOp::Insert,
            (Some(_), true) => ChangeOp::Update,
            (_, false) => ChangeOp::Delete,
        };
        let sql = "UPDATE tidelock_outbox SET op = ?2, time = ?3 WHERE id = ?1";
        connection.run(sql, &[Value::Integer(refused.id), Value::from(op.as_str()), Value::from(&*pending.time)])?;
        Ok(Some(OutboxEntry { op, time: pending.time.clone(), ..refused.clone() }))
    }

    /// Reads an entry from the columns `id, op, base, sent_op, sent, time`.
    pub fn read_entry(&self, row: &[Value], rejected: bool) -> OutboxEntry {
        let text = |at: usize| row[at].as_text();
        let sent = text(3).filter(|op| *op != "gone").map(|op| Sent {
            op: ChangeOp::from_name(op),
            row: text(4).map(|row| self.align(row)).unwrap_or_default(),
        });
        OutboxEntry {
            id: row[0].as_integer().unwrap_or_default(),
            op: ChangeOp::from_name(text(1).unwrap_or_default()),
            base: text(2).map(|base| self.align(base)),
            sent,
            gone: text(3) == Some("gone"),
            time: text(5).unwrap_or_default().to_owned(),
            rejected,
        }
    }

    /// Returns an encoded row as one value per column.
    fn align(&self, encoded: &str) -> Vec<Option<Value>> {
        let mut row = decode_row(encoded);
        let mut find = |name: &String| {
            let at = row.iter().position(|(known, _)| known == name)?;
            Some(std::mem::take(&mut row[at].1))
        };
        self.columns.iter().map(&mut find).collect()
    }

    /// Returns the local row of a key.
    pub fn local(&self, connection: &Connection, key: &[Value]) -> Result<Option<Vec<Value>>> {
        if let Some((_, row)) = self.parked.borrow().iter().find(|(parked, _)| parked == key) {
            return Ok(Some(row.clone()));
        }
        Ok(connection.rows(&self.sql.select, key)?.into_iter().next())
    }

    /// Remembers the local row of a key, before its unique values are freed.
    pub fn park(&self, connection: &Connection, key: &[Value]) -> Result<()> {
        if let Some(row) = self.local(connection, key)? {
            self.parked.borrow_mut().push((key.to_vec(), row));
        }
        Ok(())
    }

    /// Restores the freed values of the rows about which nothing was decided. Fails with `sqlite_constraint` where
    /// another row has them now.
    pub fn unpark(&self, connection: &Connection) -> Result<()> {
        self.parked.take().iter().try_for_each(|(_, row)| self.update(connection, row))
    }

    fn update(&self, connection: &Connection, row: &[Value]) -> Result<()> {
        match &self.sql.update {
            Some(update) => connection.run(update, row).map(drop),
            None => Ok(()),
        }
    }

    /// Ends the parking of the row of a key, which is written next. Returns whether it was parked.
    fn end_parking(&self, key: &[Value]) -> bool {
        let mut parked = self.parked.borrow_mut();
        let count = parked.len();
        parked.retain(|(known, _)| known != key);
        parked.len() < count
    }

    /// Changes the local row of a key from `before` to `after`.
    pub fn write_local(
        &self,
        connection: &Connection,
        key: &[Value],
        before: Option<&[Value]>,
        after: Option<&[Value]>,
    ) -> Result<()> {
        let parked = self.end_parking(key);
        match (before, after) {
            (Some(before), Some(after)) if before == after && !parked => Ok(()),
            (Some(_), Some(after)) => self.update(connection, after),
            (None, Some(after)) => connection.run(&self.sql.insert, after).map(drop),
            (Some(_), None) => connection.run(&self.sql.delete, key).map(drop),
            (None, None) => Ok(()),
        }
    }

    /// Stores what is left to push of a key, now that the remote is known to have `remote`. `id` is that of the present
    /// change.
    pub fn requeue(
        &self,
        connection: &Connection,
        id: Option<i64>,
        key: &[Value],
        local: Option<&[Value]>,
        remote: Option<&[Value]>,
    ) -> Result<()> {
        let nothing = || vec![Value::Null; self.columns.len()];
        let (base, changed) = self.lacking(connection, id, key)?;
        // A change of columns that the remote lacks waits until it has them, as long as the row exists.
        let waits = changed && local.is_some() && remote.is_some();
        match (change_left(local, remote).or(waits.then_some(ChangeOp::Update)), id) {
            (None, Some(id)) => forget(connection, id),
            (None, None) => Ok(()),
            (Some(op), id) => {
                let mut parameters = vec![id.map_or_else(|| Value::from(&*self.name), Value::Integer)];
                parameters.push(Value::from(op.as_str()));
                parameters.extend(remote.map_or_else(nothing, <[Value]>::to_vec));
                parameters.extend(base);
                if id.is_none() {
                    parameters.extend_from_slice(key);
                }
                connection.run(if id.is_some() { &self.requeue } else { &self.requeue_new }, &parameters)?;
                match id {
                    Some(id) if local == remote => self.wait_for_columns(connection, id, key).map(drop),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Returns what the columns that the remote lacks were before the change, and whether they are different now.
    fn lacking(&self, connection: &Connection, id: Option<i64>, key: &[Value]) -> Result<(Vec<Value>, bool)> {
        if self.lacking.is_empty() {
            return Ok((Vec::new(), false));
        }
        let local = connection.rows(&self.local_lacking, key)?.into_iter().next();
        let local = local.unwrap_or_else(|| vec![Value::Null; self.lacking.len()]);
        let Some(id) = id else { return Ok((local, false)) };
        let stored = connection.value("SELECT base FROM tidelock_outbox WHERE id = ?1", &[Value::Integer(id)])?;
        let stored = stored.as_ref().and_then(Value::as_text).map(decode_row).unwrap_or_default();
        let known = |name: &String| stored.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let base: Vec<Value> = self.lacking.iter().map(|name| known(name).unwrap_or_default()).collect();
        let changed = base != local;
        Ok((base, changed))
    }

    /// Lets a change wait for the columns that the remote lacks. Returns `false` when it changes none of them.
    pub fn wait_for_columns(&self, connection: &Connection, id: i64, key: &[Value]) -> Result<bool> {
        if !self.lacking(connection, Some(id), key)?.1 {
            return Ok(false);
        }
        let text = match &self.lacking[..] {
            [column] => format!("The remote table has no column {column}: add it remotely, and the change is sent"),
            columns => {
                format!(
                    "The remote table has no columns {}: add them remotely, and the change is sent",
                    columns.join(", ")
                )
            }
        };
        let sql = "UPDATE tidelock_outbox SET reason = 'remote_column_missing', error = ?2 WHERE id = ?1 AND state = 'pending'";
        connection.run(sql, &[Value::Integer(id), Value::from(text)])?;
        Ok(true)
    }

    /// Writes a conflict into the log.
    pub fn log(
        &self,
        connection: &Connection,
        key: &[Value],
        entry: &OutboxEntry,
        local: Option<&[Value]>,
        remote: Option<&[Value]>,
        result: Option<&[Value]>,
    ) -> Result<()> {
        let base = entry.base.as_ref().map(|base| base.iter().map(|value| value.clone().unwrap_or_default()).collect());
        let base: Option<Vec<Value>> = base;
        let mut parameters = vec![Value::from(&*self.name)];
        parameters.extend_from_slice(key);
        for row in [base.as_deref(), local, remote, result] {
            parameters.extend(row.map_or_else(|| vec![Value::Null; self.columns.len()], <[Value]>::to_vec));
        }
        connection.run(&self.log, &parameters)?;
        let sql = "DELETE FROM tidelock_conflicts WHERE id <= (SELECT max(id) FROM tidelock_conflicts) - ?1";
        connection.run(sql, &[Value::Integer(LOGGED)]).map(drop)
    }

    /// Rejects the change; one that is rejected already stays so. The same row of the remote is no conflict again.
    pub fn set_aside(
        &self,
        connection: &Connection,
        entry: &OutboxEntry,
        key: &[Value],
        local: Option<&[Value]>,
        remote: Option<&[Value]>,
        why: &str,
    ) -> Result<Decision> {
        if !entry.rejected || remote.is_some() {
            self.log(connection, key, entry, local, remote, local)?;
        }
        match remote {
            Some(remote) => {
                let mut parameters = vec![Value::Integer(entry.id), Value::from(entry.op.as_str())];
                parameters.extend_from_slice(remote);
                parameters.extend(self.lacking(connection, Some(entry.id), key)?.0);
                connection.run(&self.requeue, &parameters)?;
            }
            None => self.note_gone(connection, entry.id)?,
        }
        if entry.rejected {
            return Ok(Decision::Keep { conflict: remote.is_some(), rejected: false });
        }
        reject(connection, entry.id, ChangeReason::Conflict, why)?;
        Ok(Decision::Keep { conflict: true, rejected: true })
    }

    /// Notes that the remote was seen to have no such row; decisions about the change consider it.
    pub fn note_gone(&self, connection: &Connection, id: i64) -> Result<()> {
        let sql = "UPDATE tidelock_outbox SET sent_op = 'gone', sent = NULL WHERE id = ?1";
        connection.run(sql, &[Value::Integer(id)]).map(drop)
    }
}
