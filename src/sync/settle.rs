//! What became of a job, written down: in the same transaction the change leaves the outbox and the row becomes what the
//! remote said, except for what was edited in between.

use serde::Serialize;

use super::{
    apply::Writer,
    conflict::{Sent, after_own_write},
    job::{Job, Outcome, Remote, Work},
    outbox::ChangeOp,
    plan::{Plan, Rows},
    report::TableReport,
    unpushed::{Decision, Entry, Seen, refuse, reject},
};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::Connection,
    value::Value,
};

/// What a push did to one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TablePushed {
    /// The local table.
    pub table: String,
    /// Rows that the remote took as new.
    pub inserted: u64,
    /// Rows that the remote changed.
    pub updated: u64,
    /// Rows that the remote has no more.
    pub deleted: u64,
    /// Changes that met another change of the same row.
    pub conflicts: u64,
    /// Changes that moved to `rejected()`.
    pub rejected: u64,
}

/// A table of the push.
pub struct PushTarget {
    /// How it is written.
    pub plan: Plan,
    /// How the remote's rows come back.
    pub writer: Writer,
    /// What became of it.
    pub report: TablePushed,
    /// Whether local rows changed since it was last told.
    pub touched: bool,
}

/// What is left of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Left {
    /// Nothing, or only what was edited meanwhile: that is for the next push.
    Done,
    /// It goes on, on another base.
    Again,
    /// It was refused for good.
    Rejected,
    /// It was refused, perhaps only for now.
    Later(Error),
    /// The table can't be written at present.
    Held(Error),
}

/// How patient a push still is with a change.
#[derive(Clone, Copy)]
pub struct Patience {
    /// A refusal may still be taken for one that heals.
    pub may_heal: bool,
    /// It was tried so often that nothing else can be expected.
    pub exhausted: bool,
}

impl PushTarget {
    /// Writes down what became of a job; inside a transaction in which capture is silent.
    pub fn settle(&mut self, connection: &Connection, job: &Job, outcome: Outcome, patience: Patience) -> Result<Left> {
        let found = self.writer.unpushed.entry(connection, &job.key)?;
        let Some(entry) = found.filter(|entry| entry.id == job.id && !entry.rejected) else {
            // The change isn't here any more: an older image was restored, or the table was replaced.
            return Ok(Left::Done);
        };
        match outcome {
            Outcome::Written(row) => self.written(connection, job, &entry, row),
            Outcome::Taken => self.written(connection, job, &entry, job.row.clone()),
            Outcome::Deleted => self.deleted(connection, job, &entry),
            Outcome::Met(remote) => self.met(connection, job, &entry, remote, patience),
            Outcome::Refused { error, later } => {
                self.refused(connection, job, &entry, error, later && patience.may_heal)
            }
            Outcome::Held(error) => Ok(Left::Held(error)),
        }
    }

    fn written(&mut self, connection: &Connection, job: &Job, entry: &Entry, mut remote: Vec<Value>) -> Result<Left> {
        // The server may write a key in another way; here it stays what it is.
        self.plan.key.iter().zip(&job.key).for_each(|(at, value)| remote[*at] = value.clone());
        let unpushed = &self.writer.unpushed;
        let local = unpushed.local(connection, &job.key)?;
        let op = job.op().unwrap_or(ChangeOp::Update);
        let sent = |at: usize| {
            if op == ChangeOp::Update || job.columns.contains(&at) { job.row[at].clone() } else { Value::Null }
        };
        let sent = Sent { op, row: (0..job.row.len()).map(|at| Some(sent(at))).collect() };
        let row = local.as_ref().map(|local| after_own_write(&sent, local, &remote));
        match unpushed.write_local(connection, &job.key, local.as_deref(), row.as_deref()) {
            Ok(()) => unpushed.leave(connection, Some(entry.id), &job.key, row.as_deref(), Some(&remote))?,
            Err(error) if error.is(ErrorCode::SqliteConstraint) => {
                // The remote made something of the row that doesn't fit here: it waits as a pulled one would.
                unpushed.leave(connection, Some(entry.id), &job.key, Some(&remote), Some(&remote))?;
                let rows = one_row(remote.clone(), false, None);
                self.writer.merge(connection, &rows, &mut TableReport::default())?;
            }
            Err(error) => return Err(error),
        }
        self.touched |= row != local;
        if self.plan.options.compares() {
            self.writer.know(connection, &job.key, true)?;
        }
        match job.work {
            Work::Insert => self.report.inserted += 1,
            _ => self.report.updated += 1,
        }
        // A reference that had to wait for its row.
        let waits = job.work == Work::Insert
            && (0..job.row.len()).any(|at| !job.row[at].is_null() && !job.columns.contains(&at));
        Ok(if waits { Left::Again } else { Left::Done })
    }

    fn deleted(&mut self, connection: &Connection, job: &Job, entry: &Entry) -> Result<Left> {
        let local = self.writer.unpushed.local(connection, &job.key)?;
        self.writer.unpushed.leave(connection, Some(entry.id), &job.key, local.as_deref(), None)?;
        if self.plan.options.compares() {
            self.writer.know(connection, &job.key, false)?;
        }
        self.report.deleted += 1;
        Ok(Left::Done)
    }

    fn met(
        &mut self,
        connection: &Connection,
        job: &Job,
        entry: &Entry,
        remote: Remote,
        patience: Patience,
    ) -> Result<Left> {
        let unpushed = &self.writer.unpushed;
        let mut counted = TableReport::default();
        match remote {
            Remote::Row(mut row, cursor) => {
                self.plan.key.iter().zip(&job.key).for_each(|(at, value)| row[*at] = value.clone());
                self.writer.merge(connection, &one_row(row, false, cursor), &mut counted)?;
            }
            Remote::Deleted => {
                let row = unpushed.row_of(&job.key);
                self.writer.merge(connection, &one_row(row, true, None), &mut counted)?;
            }
            Remote::Absent if job.work == Work::Insert && patience.exhausted => {
                let text = "The remote has a row with this key that it doesn't show";
                reject(connection, entry.id, "refused", text)?;
                counted.rejected += 1;
            }
            Remote::Absent => {
                if let Decision::Keep { conflict, rejected } =
                    unpushed.meet(connection, &unpushed.row_of(&job.key), Seen::Absent, None)?
                {
                    counted.conflicts += u64::from(conflict);
                    counted.rejected += u64::from(rejected);
                }
            }
        }
        self.touched |= counted.inserted + counted.updated + counted.deleted + counted.conflicts > 0;
        self.report.conflicts += counted.conflicts;
        self.report.rejected += counted.rejected;
        match unpushed.entry(connection, &job.key)? {
            None => {
                // What was sent had arrived: the answer was lost.
                if counted.conflicts == 0 {
                    match entry.sent.as_ref().map(|sent| sent.op) {
                        Some(ChangeOp::Insert) => self.report.inserted += 1,
                        Some(ChangeOp::Update) => self.report.updated += 1,
                        Some(ChangeOp::Delete) => self.report.deleted += 1,
                        None => {}
                    }
                }
                Ok(Left::Done)
            }
            Some(entry) if entry.rejected => Ok(Left::Rejected),
            Some(entry) => {
                unmark(connection, entry.id)?;
                Ok(Left::Again)
            }
        }
    }

    fn refused(
        &mut self,
        connection: &Connection,
        job: &Job,
        entry: &Entry,
        error: Error,
        later: bool,
    ) -> Result<Left> {
        unmark(connection, entry.id)?;
        let local = self.writer.unpushed.local(connection, &job.key)?;
        let edited = job.op() != Some(entry.op) || job.work != Work::Delete && local.as_deref() != Some(&job.row[..]);
        if edited {
            // Something else than what was refused: the next push tries it.
            return Ok(Left::Done);
        }
        if later {
            return Ok(Left::Later(error));
        }
        refuse(connection, entry.id, &error)?;
        self.report.rejected += 1;
        Ok(Left::Rejected)
    }
}

fn one_row(row: Vec<Value>, deleted: bool, cursor: Option<String>) -> Rows {
    Rows { width: row.len(), values: row, deleted: vec![deleted], cursors: vec![cursor], ..Rows::default() }
}

/// Nothing of it is on its way any more.
fn unmark(connection: &Connection, id: i64) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET sent_op = NULL, sent = NULL WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id)]).map(drop)
}
