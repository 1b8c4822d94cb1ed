//! One change on its way to the remote, and what became of it.

use crate::{
    error::Error,
    sync::{outbox::change::ChangeOp, schema::plan::Plan},
    value::Value,
};

/// What is to be done for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Insert the row.
    Insert,
    /// Change columns of it.
    Update,
    /// Delete it, or mark it as deleted.
    Delete,
    /// Only look what the remote has: something was sent before, and it isn't known whether it arrived.
    Look,
}

/// What a row's cursor has to be for it to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowGuard {
    /// Anything: it was read just before, or nobody else writes it.
    None,
    /// One of these values of the base; empty text is NULL.
    Cursor(Vec<String>),
}

/// One change, as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The outbox entry.
    pub id: i64,
    /// The table's index.
    pub table: usize,
    /// What is to be done.
    pub work: Work,
    /// The key's values.
    pub key: Vec<Value>,
    /// The row to send; empty for a delete.
    pub row: Vec<Value>,
    /// The columns that are sent.
    pub columns: Vec<usize>,
    /// The row that the change was made on, where the remote had one.
    pub base: Option<Vec<Option<Value>>>,
    /// The base's cursor, by which the server tells whether its row is still the same; empty text for NULL, `None` where it
    /// isn't known.
    pub cursor: Option<String>,
    /// It was sent before, and it isn't known whether it arrived.
    pub sent_before: bool,
    /// The remote's row is marked as deleted, and it was decided that it comes back.
    pub revives: bool,
}

impl Job {
    /// The operation as the outbox has it.
    pub fn op(&self) -> Option<ChangeOp> {
        match self.work {
            Work::Insert => Some(ChangeOp::Insert),
            Work::Update => Some(ChangeOp::Update),
            Work::Delete => Some(ChangeOp::Delete),
            Work::Look => None,
        }
    }

    /// The row as it is sent: of a new one, only what is sent.
    pub fn sent(&self, plan: &Plan) -> Vec<Value> {
        let known = |at: usize| self.work != Work::Insert || self.sends(plan, at);
        (0..self.row.len()).map(|at| if known(at) { self.row[at].clone() } else { Value::Null }).collect()
    }

    /// Whether a column's value counts as known to the remote once the job was sent: it was sent, or is the remote's alone.
    pub fn sends(&self, plan: &Plan, at: usize) -> bool {
        self.columns.contains(&at) || plan.remote_cursor() == Some(at)
    }

    /// The guard by the base's cursor.
    pub fn guard(&self) -> RowGuard {
        self.cursor.clone().map_or(RowGuard::None, |cursor| RowGuard::Cursor(vec![cursor]))
    }
}

/// What the remote has under a key.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteRow {
    /// This row, and its cursor where conflicts are told by it.
    Row(Vec<Value>, Option<String>),
    /// A row that is marked as deleted.
    Deleted,
    /// Nothing, or nothing that may be seen.
    Absent,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobOutcome {
    /// The remote took it; now it has this row.
    Written(Vec<Value>),
    /// The remote took it, and tells nothing: the row is as it was sent.
    Taken,
    /// The remote has it from an earlier try, as it was when it was first sent.
    Arrived,
    /// The remote has no such row any more.
    Deleted,
    /// Nothing was written, because the remote has something else than the base.
    Met(RemoteRow),
    /// The remote refuses it. `later`: perhaps only as long as other changes aren't there.
    Refused {
        /// Why.
        error: Error,
        /// Worth another try when everything else is sent.
        later: bool,
    },
    /// The table can't be written at present: the change waits.
    Held(Error),
    /// The remote fails at this one: it is tried again, more and more rarely, while others go on.
    Failing(Error),
}
