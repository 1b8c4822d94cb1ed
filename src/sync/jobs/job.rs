//! One change on its way to the remote, and its outcome.

use std::cell::Cell;

use crate::{
    error::Error,
    sync::{outbox::change::ChangeOp, schema::plan::Plan},
    value::Value,
};

/// What has to be done for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Insert the row.
    Insert,
    /// Update columns of it.
    Update,
    /// Delete it, or mark it as deleted.
    Delete,
    /// Only read the remote's row: a change was sent before, and it is unknown whether it arrived.
    Read,
}

/// The condition that a row's cursor must meet for a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowGuard {
    /// None: the row was read just before, or only this client writes it.
    None,
    /// The cursor has one of these values of the base; empty text is NULL.
    Cursor(Vec<String>),
}

/// One change, as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The id of its outbox entry.
    pub id: i64,
    /// The table's index.
    pub table: usize,
    /// What has to be done.
    pub kind: JobKind,
    /// The key's values.
    pub key: Vec<Value>,
    /// The row to send; empty for a delete.
    pub row: Vec<Value>,
    /// The columns that are sent.
    pub columns: Vec<usize>,
    /// Changed columns that only the remote writes: they aren't sent, and count as known to it.
    pub left_out: Vec<usize>,
    /// The row that the change was made on, where the remote had one.
    pub base: Option<Vec<Option<Value>>>,
    /// The remote's row that doesn't fit here, of an update about which was decided with that row: it counts as the base, too.
    pub unapplied: Option<Vec<Option<Value>>>,
    /// The base's cursor, by which the server checks that its row is still the same; empty text for NULL, `None` where
    /// it is unknown.
    pub cursor: Option<String>,
    /// Whether the remote may have executed a request with it that failed, or that this client didn't finish.
    pub unanswered: Cell<bool>,
    /// Whether the remote's row was deleted, and the decision was to restore it.
    pub restores: bool,
    /// The same for a row that is marked as deleted there.
    pub revives: bool,
}

impl Job {
    /// Returns the operation as the outbox stores it; `None` for [`JobKind::Read`].
    pub fn op(&self) -> Option<ChangeOp> {
        match self.kind {
            JobKind::Insert => Some(ChangeOp::Insert),
            JobKind::Update => Some(ChangeOp::Update),
            JobKind::Delete => Some(ChangeOp::Delete),
            JobKind::Read => None,
        }
    }

    /// Returns the row as it is sent; a new row has only the values that are sent.
    pub fn sent(&self, plan: &Plan) -> Vec<Value> {
        let known = |at: usize| self.kind != JobKind::Insert || self.sends(plan, at);
        (0..self.row.len()).map(|at| if known(at) { self.row[at].clone() } else { Value::Null }).collect()
    }

    /// Returns whether the remote knows a column's value once the job was sent: it was sent, or only the remote writes
    /// it.
    pub fn sends(&self, plan: &Plan, at: usize) -> bool {
        self.columns.contains(&at) || self.left_out.contains(&at) || plan.remote_cursor() == Some(at)
    }

    /// Returns the guard by the base's cursor.
    pub fn guard(&self) -> RowGuard {
        self.cursor.clone().map_or(RowGuard::None, |cursor| RowGuard::Cursor(vec![cursor]))
    }
}

/// What the remote has under a key.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteRow {
    /// This row, and its cursor where conflicts are decided by it.
    Row(Vec<Value>, Option<String>),
    /// A row that is marked as deleted.
    Deleted,
    /// No row, or none that may be seen.
    Absent,
}

/// The outcome of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobOutcome {
    /// The remote accepted it; now it has this row.
    Written(Vec<Value>),
    /// The remote accepted it without returning the row: the row is as it was sent.
    Taken,
    /// The remote has it from an earlier attempt, as it was when it was first sent.
    Arrived,
    /// The remote has no such row any more.
    Deleted,
    /// A deletion found no row.
    NotFound,
    /// Nothing was written, because the remote has something else than the base.
    Found(RemoteRow),
    /// Nothing was written: the job is sent again, without a column that only the remote writes.
    LeftOut,
    /// The remote refuses it.
    Refused {
        /// Why.
        error: Error,
        /// Whether it may succeed once all other changes are sent.
        later: bool,
    },
    /// The table can't be written now: the change waits.
    Held(Error),
    /// A firewall refused it, and perhaps all requests: the next push sends it again.
    Blocked(Error),
    /// The remote fails at this one: it is tried again at growing intervals, while others go on.
    Failing(Error),
}
