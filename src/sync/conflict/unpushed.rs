//! The unpushed changes of one table, with their statements.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::own_write::Sent;
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        config::options::ConflictPolicy,
        outbox::{change::ChangeOp, late, waiting::forget},
        schema::{plan::Plan, table::key_condition, table_sql::TableSql},
        values::{
            encode::{decode_row, key_parameters, quote, row_sql},
            types::WireKind,
        },
    },
    time::Timestamp,
    value::Value,
};

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
pub struct UnpushedEntry {
    /// Its id.
    pub id: i64,
    /// The operation.
    pub op: ChangeOp,
    /// The row before it, one value per column; `None` when the remote had none.
    pub base: Option<Vec<Option<Value>>>,
    /// What a push sent of it, while it is unknown whether it arrived.
    pub sent: Option<Sent>,
    /// Whether the remote was seen to have no such row.
    pub deleted_remotely: bool,
    /// When it last changed, ISO 8601.
    pub time: String,
    /// Whether it was refused permanently.
    pub rejected: bool,
}

/// The statements of one table, and what decides its conflicts.
pub struct Unpushed {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) kinds: Vec<WireKind>,
    /// The indexes of the key's values in a row.
    pub(crate) key: Vec<usize>,
    /// Those, and the indexes of references to other rows.
    pub(super) alike: Vec<usize>,
    pub(super) cursor: Option<usize>,
    pub(super) policy: ConflictPolicy,
    pub(super) pending: String,
    pub(super) rejected: String,
    pub(super) sql: Rc<TableSql>,
    pub(super) requeue: String,
    pub(super) requeue_new: String,
    pub(super) log: String,
    /// The columns that the remote lacks; `local_lacking` reads them.
    pub(super) lacking: Vec<String>,
    pub(super) local_lacking: String,
    /// Milliseconds to add to the local clock to get the server's; `None` while that isn't known.
    pub(super) skew_ms: Cell<Option<i64>>,
    pub(super) pending_conflicts: RefCell<Vec<PendingConflict>>,
    /// Local rows whose unique values are freed for now, by their keys: they count as they were.
    pub(crate) parked: RefCell<Vec<(Vec<Value>, Vec<Value>)>>,
    /// Tables in which deleted parents were restored, since this was last reported.
    pub(super) restored: RefCell<Vec<String>>,
}

impl Unpushed {
    /// Prepares the statements of a plan.
    pub fn new(plan: &Plan) -> Self {
        let entry = format!(
            "SELECT id, op, base, sent_op, sent, time, sent_at FROM tidelock_outbox WHERE tbl = ?1 AND key = {}",
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
        let refers = |name: &str| {
            plan.table.foreign_keys.iter().any(|key| key.from.iter().any(|from| from.eq_ignore_ascii_case(name)))
        };
        let references = (0..width).filter(|at| refers(&plan.columns[*at].name));
        let all_columns = width + plan.lacking.len();
        let key_from = |from: usize| key_parameters(plan.key.len(), from);
        Self {
            pending: format!("{entry} AND state = 'pending'"),
            rejected: format!("{entry} AND state = 'rejected' ORDER BY id DESC LIMIT 1"),
            sql: plan.sql.clone(),
            // ?1 is the id, ?2 the operation, ?3.. the remote's row and the base of the columns that it lacks.
            requeue: format!(
                "UPDATE tidelock_outbox SET op = ?2, base = {}, sent_op = NULL, sent = NULL, sent_at = NULL, \
                 reason = iif(state = 'pending', NULL, reason), \
                 error = iif(state = 'pending', NULL, error), tries = NULL, not_before = NULL WHERE id = ?1",
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
            alike: plan.key.iter().copied().chain(references).collect(),
            key: plan.key.clone(),
            columns,
            skew_ms: Cell::default(),
            pending_conflicts: RefCell::default(),
            parked: RefCell::default(),
            restored: RefCell::default(),
        }
    }

    /// Sets how many milliseconds the server's clock is ahead, if that is known.
    pub fn set_skew(&self, ms: Option<i64>) {
        self.skew_ms.set(ms);
    }

    /// Returns the pending conflicts since the last call.
    pub fn take_pending_conflicts(&self) -> Vec<PendingConflict> {
        self.pending_conflicts.take()
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
    pub fn entry(&self, connection: &Connection, key: &[Value]) -> Result<Option<UnpushedEntry>> {
        match self.find(connection, key, false)? {
            None => self.find(connection, key, true),
            pending => Ok(pending),
        }
    }

    pub(super) fn find(&self, connection: &Connection, key: &[Value], rejected: bool) -> Result<Option<UnpushedEntry>> {
        let mut parameters = vec![Value::from(&*self.name)];
        parameters.extend_from_slice(key);
        let found = connection.rows(if rejected { &self.rejected } else { &self.pending }, &parameters)?;
        Ok(found.first().map(|found| self.read_entry(found, rejected)))
    }

    /// Returns the writes of a key that may still arrive. `deleted`: only those of new rows that were deleted here since.
    pub(super) fn late(&self, connection: &Connection, key: &[Value], deleted: bool) -> Result<Vec<Sent>> {
        let found = late::find(connection, &self.name, key, deleted)?;
        Ok(found
            .iter()
            .filter_map(|row| self.read_sent(row[0].as_text()?, row[1].as_text(), row[2].as_text()))
            .collect())
    }

    /// Returns the change of a key that the remote's row is compared with. Merges a pending change into the refused one
    /// before it, since the pending one's base is no row that the remote ever had. `there`: whether the local row
    /// exists.
    pub(super) fn merged_entry(
        &self,
        connection: &Connection,
        key: &[Value],
        there: bool,
    ) -> Result<Option<UnpushedEntry>> {
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
        Ok(Some(UnpushedEntry { op, time: pending.time.clone(), ..refused.clone() }))
    }

    /// Reads an entry from the columns `id, op, base, sent_op, sent, time, sent_at`.
    pub fn read_entry(&self, row: &[Value], rejected: bool) -> UnpushedEntry {
        let text = |at: usize| row[at].as_text();
        UnpushedEntry {
            id: row[0].as_integer().unwrap_or_default(),
            op: ChangeOp::from_name(text(1).unwrap_or_default()),
            base: text(2).map(|base| self.align(base)),
            sent: text(3).and_then(|op| self.read_sent(op, text(4), text(6))),
            deleted_remotely: text(3) == Some("deleted"),
            time: text(5).unwrap_or_default().to_owned(),
            rejected,
        }
    }

    fn read_sent(&self, op: &str, row: Option<&str>, at: Option<&str>) -> Option<Sent> {
        let row = row.map(|row| self.align(row)).unwrap_or_default();
        let at = at.and_then(Timestamp::parse).map(|at| at.plus_ms(self.skew_ms.get().unwrap_or_default()));
        (op != "deleted").then(|| Sent { op: ChangeOp::from_name(op), row, at })
    }

    /// Returns an encoded row as one value per column.
    pub fn align(&self, encoded: &str) -> Vec<Option<Value>> {
        let mut row = decode_row(encoded);
        let mut find = |name: &String| {
            let at = row.iter().position(|(known, _)| known == name)?;
            Some(std::mem::take(&mut row[at].1))
        };
        self.columns.iter().map(&mut find).collect()
    }
}
