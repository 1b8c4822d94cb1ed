//! Stores the outcome of a job: in one transaction the change leaves the outbox, and the row becomes the remote's,
//! except for columns that were edited meanwhile.

use std::{cell::OnceCell, rc::Rc};

use super::job::{Job, JobKind, JobOutcome, RemoteRow};
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::{
        apply::{
            normalized_key::KeyNormalizer,
            writer::{RowWriter, with_parents},
        },
        conflict::{
            own_write::{Sent, after_own_write},
            reconcile::{Decision, Seen},
            resolution::base_without,
            unpushed::UnpushedEntry,
        },
        outbox::{
            change::{ChangeOp, ChangeReason},
            late,
            waiting::{hold_back, refuse, reject, retry_later, retry_next_time},
        },
        report::{TablePushed, TableReport},
        schema::plan::{Plan, Rows},
    },
    value::Value,
};

/// One table of a push.
pub struct PushTarget {
    /// How its rows are sent.
    pub plan: Plan,
    /// Applies the remote's rows.
    pub writer: RowWriter,
    /// What the push did to the table.
    pub report: TablePushed,
    /// Whether local rows changed since this was last reported.
    pub touched: bool,
    /// Tables whose rows followed the server's spelling of a key, since this was last reported.
    pub followed: Vec<String>,
    /// Changes keys to the server's spelling; built at its first use.
    pub respell: OnceCell<Rc<KeyNormalizer>>,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// What is left of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Remainder {
    /// Nothing, or only what was edited meanwhile, which the next push sends.
    Done,
    /// It is sent again, with another base.
    Again,
    /// It was refused permanently.
    Rejected,
    /// It can't continue now, and waits: the remote fails at it, or the remote's row waits for a parent.
    Waiting,
    /// It was refused, perhaps only for now.
    Later(Error),
    /// The table can't be written now.
    Held(Error),
}

impl PushTarget {
    /// Stores the outcome of a job, inside a transaction in which capture is silent. `exhausted`: whether it was tried
    /// so often that no other outcome is expected.
    pub fn store_outcome(
        &mut self,
        connection: &Connection,
        job: &Job,
        outcome: JobOutcome,
        exhausted: bool,
    ) -> Result<Remainder> {
        let found = self.writer.unpushed.entry(connection, &job.key)?;
        let Some(entry) = found.filter(|entry| entry.id == job.id && !entry.rejected) else {
            // The change no longer exists: an older image was restored, or the table was replaced.
            return Ok(Remainder::Done);
        };
        let answered = match &outcome {
            JobOutcome::Written(row) | JobOutcome::Found(RemoteRow::Row(row, _)) => self.plan.key_of(row),
            _ => job.key.clone(),
        };
        if answered == job.key {
            return self.store_outcome_of_key(connection, job, outcome, entry, exhausted);
        }
        let mut job = job.clone();
        let follows = self.follow_key(connection, &job.key, &answered)?;
        if follows {
            self.plan.key.iter().zip(&answered).for_each(|(at, value)| {
                // A deletion has no row.
                if let Some(cell) = job.row.get_mut(*at) {
                    cell.clone_from(value);
                }
            });
            job.key.clone_from(&answered);
        }
        // Otherwise the job continues with the local spelling.
        let spelled = |mut row: Vec<Value>| {
            self.plan.key.iter().zip(&job.key).for_each(|(at, value)| row[*at].clone_from(value));
            row
        };
        let outcome = match outcome {
            JobOutcome::Written(row) => JobOutcome::Written(spelled(row)),
            JobOutcome::Found(RemoteRow::Row(row, cursor)) => JobOutcome::Found(RemoteRow::Row(spelled(row), cursor)),
            other => other,
        };
        let Some(entry) = self.writer.unpushed.entry(connection, &job.key)?.filter(|entry| entry.id == job.id) else {
            return Ok(Remainder::Done);
        };
        let is_here = |key: &[Value]| Ok::<_, Error>(self.writer.unpushed.local(connection, key)?.is_some());
        // A row that a pull inserted in the server's spelling stays the only one.
        let only = !follows && !is_here(&job.key)? && is_here(&answered)?;
        match outcome {
            JobOutcome::Found(RemoteRow::Row(row, cursor)) if only => {
                self.reconcile_other_spelling(connection, &job, &row, cursor.as_deref())
            }
            outcome => self.store_outcome_of_key(connection, &job, outcome, entry, exhausted),
        }
    }

    /// Reconciles a change with a remote row that exists locally under another spelling of its key. Decides about the change
    /// only, and writes no row.
    fn reconcile_other_spelling(
        &mut self,
        connection: &Connection,
        job: &Job,
        row: &[Value],
        cursor: Option<&str>,
    ) -> Result<Remainder> {
        let unpushed = &self.writer.unpushed;
        let (conflict, rejected) = match unpushed.reconcile(connection, row, Seen::Row, cursor)? {
            Decision::Apply => (false, false),
            Decision::ApplyConflict => (true, false),
            Decision::Keep { conflict, rejected } => (conflict, rejected),
        };
        self.report.conflicts += u64::from(conflict);
        self.report.rejected += u64::from(rejected);
        match unpushed.entry(connection, &job.key)? {
            None => Ok(Remainder::Done),
            Some(entry) if entry.rejected => Ok(Remainder::Rejected),
            Some(entry) => {
                late::remember(connection, entry.id, &job.key, false)?;
                unmark(connection, entry.id)?;
                Ok(Remainder::Again)
            }
        }
    }

    /// Changes the key of a row to the server's spelling. Returns `false` when a constraint forbids it.
    fn follow_key(&mut self, connection: &Connection, old: &[Value], new: &[Value]) -> Result<bool> {
        let followed = self.respell(connection)?.run(connection, &self.plan.table.name, old, new)?;
        let follows = followed.is_some();
        self.followed.extend(followed.unwrap_or_default());
        Ok(follows)
    }

    fn respell(&self, connection: &Connection) -> Result<Rc<KeyNormalizer>> {
        if let Some(respell) = self.respell.get() {
            return Ok(respell.clone());
        }
        let respell = Rc::new(KeyNormalizer::new(connection)?);
        Ok(self.respell.get_or_init(|| respell).clone())
    }

    /// Changes the keys of the rows that a row refers to, to the server's spelling: for push-only tables, no other
    /// answer shows it.
    fn follow_parents(&mut self, connection: &Connection, sent: &[Value], remote: &[Value]) -> Result<()> {
        let differs = sent.iter().zip(remote).any(|(sent, answered)| sent != answered && !sent.is_null());
        if self.plan.table.foreign_keys.is_empty() || !differs {
            return Ok(());
        }
        let columns: Vec<String> = self.plan.columns.iter().map(|column| column.name.clone()).collect();
        let table = (&*self.plan.table.name, &columns[..]);
        let followed = self.respell(connection)?.run_parents(connection, table, (sent, remote))?;
        self.followed.extend(followed);
        Ok(())
    }

    fn store_outcome_of_key(
        &mut self,
        connection: &Connection,
        job: &Job,
        outcome: JobOutcome,
        entry: UnpushedEntry,
        exhausted: bool,
    ) -> Result<Remainder> {
        match outcome {
            JobOutcome::Written(row) => self.store_written(connection, job, &entry, row),
            JobOutcome::Taken => self.store_written(connection, job, &entry, job.sent(&self.plan)),
            JobOutcome::Arrived => self.store_arrived(connection, job, &entry),
            JobOutcome::Deleted => self.store_deleted(connection, job, &entry, 1),
            JobOutcome::NotFound => self.store_deleted(connection, job, &entry, 0),
            JobOutcome::Found(remote) => self.merge_remote_row(connection, job, &entry, remote, exhausted),
            JobOutcome::Refused { error, later } => self.store_refused(connection, job, &entry, error, later),
            JobOutcome::LeftOut => {
                note_refusal(connection, job)?;
                Ok(Remainder::Again)
            }
            JobOutcome::Held(error) => Ok(Remainder::Held(error)),
            JobOutcome::Blocked(error) => {
                note_refusal(connection, job)?;
                retry_next_time(connection, entry.id, &error, self.now + 1)?;
                Ok(Remainder::Waiting)
            }
            // An earlier attempt may have arrived, so what was sent stays noted.
            JobOutcome::Failing(error) => {
                retry_later(connection, entry.id, &error, self.now)?;
                Ok(Remainder::Waiting)
            }
        }
    }

    fn store_written(
        &mut self,
        connection: &Connection,
        job: &Job,
        entry: &UnpushedEntry,
        remote: Vec<Value>,
    ) -> Result<Remainder> {
        self.follow_parents(connection, &job.sent(&self.plan), &remote)?;
        self.writer.unstage(connection, &job.key)?;
        let unpushed = &self.writer.unpushed;
        let local = unpushed.local(connection, &job.key)?;
        let row = job.sent(&self.plan).into_iter().map(Some).collect();
        let sent = Sent { op: job.op().unwrap_or(ChangeOp::Update), row, at: None };
        let row = local.as_ref().map(|local| after_own_write(&sent, local, &remote));
        let write = || unpushed.write_local(connection, &job.key, local.as_deref(), row.as_deref());
        match with_parents(connection, write) {
            Ok(()) => unpushed.requeue(connection, Some(entry.id), &job.key, row.as_deref(), Some(&remote))?,
            Err(error) if connection.is_violation(&error) => {
                // The remote altered the row so that it doesn't fit here: it is staged like a pulled one. Values that it has and
                // this row lacks are no changes: what was edited since it was sent is all that is left to send.
                let (local, row) = (local.clone().unwrap_or_default(), row.clone().unwrap_or_default());
                let base = base_without(&local, &remote, |at| row[at] != remote[at]);
                unpushed.requeue(connection, Some(entry.id), &job.key, Some(&local), Some(&base))?;
                let rows = Rows::one(remote.clone(), false, None);
                self.writer.merge(connection, &rows, &mut TableReport::default())?;
            }
            Err(error) => return Err(error),
        }
        self.touched |= row != local;
        if self.plan.options.compares() {
            self.writer.note_known(connection, &job.key, true)?;
        }
        // An earlier try can't be executed any more: the row exists, or has another cursor.
        if job.kind == JobKind::Insert || job.cursor.is_some() {
            late::forget(connection, self.plan.name(), &job.key)?;
        }
        match job.kind {
            JobKind::Insert => self.report.inserted += 1,
            _ => self.report.updated += 1,
        }
        // A reference that was left out still has to be sent.
        let waits = job.kind == JobKind::Insert
            && (0..job.row.len()).any(|at| !job.row[at].is_null() && !job.sends(&self.plan, at));
        Ok(if waits { Remainder::Again } else { Remainder::Done })
    }

    /// Handles a new row of a push-only table that had arrived before; what was edited since it was first sent is still
    /// to be sent.
    fn store_arrived(&mut self, connection: &Connection, job: &Job, entry: &UnpushedEntry) -> Result<Remainder> {
        let mut remote = self.writer.unpushed.row_of(&job.key);
        let sent = entry.sent.iter().flat_map(|sent| &sent.row).enumerate();
        sent.for_each(|(at, value)| remote[at] = value.clone().unwrap_or_default());
        let local = self.writer.unpushed.local(connection, &job.key)?;
        self.writer.unpushed.requeue(connection, Some(entry.id), &job.key, local.as_deref(), Some(&remote))?;
        self.report.inserted += 1;
        Ok(if local.as_ref() == Some(&remote) { Remainder::Done } else { Remainder::Again })
    }

    /// Handles a row that was deleted remotely: a new local row that may have been it isn't sent again.
    pub fn quarantine_deleted(&mut self, connection: &Connection, key: &[Value]) -> Result<()> {
        let unpushed = &self.writer.unpushed;
        let Some(entry) = unpushed.entry(connection, key)? else { return Ok(()) };
        if entry.rejected || entry.sent.is_none_or(|sent| sent.op != ChangeOp::Insert) {
            return Ok(());
        }
        let decision = unpushed.reconcile(connection, &unpushed.row_of(key), Seen::Deleted, None)?;
        if let Decision::Keep { conflict, rejected } = decision {
            self.report.conflicts += u64::from(conflict);
            self.report.rejected += u64::from(rejected);
        }
        Ok(())
    }

    /// `counted`: how many rows the report counts.
    fn store_deleted(
        &mut self,
        connection: &Connection,
        job: &Job,
        entry: &UnpushedEntry,
        counted: u64,
    ) -> Result<Remainder> {
        self.writer.unstage(connection, &job.key)?;
        let local = self.writer.unpushed.local(connection, &job.key)?;
        self.writer.unpushed.requeue(connection, Some(entry.id), &job.key, local.as_deref(), None)?;
        if self.plan.options.compares() {
            // The remote still has a row that is marked as deleted.
            self.writer.note_known(connection, &job.key, self.plan.options.soft_delete().is_some())?;
        }
        self.report.deleted += counted;
        Ok(Remainder::Done)
    }

    fn merge_remote_row(
        &mut self,
        connection: &Connection,
        job: &Job,
        entry: &UnpushedEntry,
        remote: RemoteRow,
        exhausted: bool,
    ) -> Result<Remainder> {
        let mut counted = TableReport::default();
        let mut held = None;
        match remote {
            RemoteRow::Row(row, cursor) => {
                if self.plan.options.compares() {
                    self.writer.note_known(connection, &job.key, true)?;
                }
                note_refusal(connection, job)?;
                if let Some(sent) = entry.sent.as_ref().filter(|sent| sent.op != ChangeOp::Delete) {
                    let sent: Vec<Value> = sent.row.iter().map(|value| value.clone().unwrap_or_default()).collect();
                    self.follow_parents(connection, &sent, &row)?;
                }
                held = self.merge_or_stage(connection, entry, Rows::one(row, false, cursor), &mut counted)?;
            }
            RemoteRow::Deleted if job.kind == JobKind::Insert && exhausted => {
                let text = "The remote has a row with this key that is marked as deleted, and refuses to restore it";
                reject(connection, entry.id, ChangeReason::Refused, text)?;
                self.writer.unpushed.note_deleted(connection, entry.id)?;
                counted.rejected += 1;
            }
            RemoteRow::Deleted => {
                note_refusal(connection, job)?;
                let row = self.writer.unpushed.row_of(&job.key);
                held = self.merge_or_stage(connection, entry, Rows::one(row, true, None), &mut counted)?;
            }
            RemoteRow::Absent if job.kind == JobKind::Insert && exhausted => {
                // Deleted locally, the change is forgotten: a hidden row can't be deleted anyway.
                self.forget_sent(connection, job, entry)?;
                let text = "A trigger of the remote skipped the row, or row security hides one with this key";
                reject(connection, entry.id, ChangeReason::Refused, text)?;
                counted.rejected += 1;
            }
            RemoteRow::Absent => {
                self.writer.unstage(connection, &job.key)?;
                let unpushed = &self.writer.unpushed;
                if let Decision::Keep { conflict, rejected } =
                    unpushed.reconcile(connection, &unpushed.row_of(&job.key), Seen::Absent, None)?
                {
                    counted.conflicts += u64::from(conflict);
                    counted.rejected += u64::from(rejected);
                }
            }
        }
        self.followed.extend(self.writer.unpushed.take_restored());
        self.touched |= counted.inserted + counted.updated + counted.deleted + counted.conflicts > 0;
        self.report.conflicts += counted.conflicts;
        self.report.rejected += counted.rejected;
        match self.writer.unpushed.entry(connection, &job.key)? {
            None => {
                // What was sent had arrived, but the answer was lost.
                if counted.conflicts == 0 {
                    match entry.sent.as_ref().map(|sent| sent.op) {
                        Some(ChangeOp::Insert) => self.report.inserted += 1,
                        Some(ChangeOp::Update) => self.report.updated += 1,
                        Some(ChangeOp::Delete) => self.report.deleted += 1,
                        None => {}
                    }
                }
                Ok(Remainder::Done)
            }
            Some(entry) if entry.rejected => Ok(Remainder::Rejected),
            Some(entry) => {
                if !entry.deleted_remotely {
                    late::remember(connection, entry.id, &job.key, false)?;
                    unmark(connection, entry.id)?;
                }
                let Some(why) = held else { return Ok(Remainder::Again) };
                let text = format!("The remote's row can't be applied: {why}");
                hold_back(connection, entry.id, &text)?;
                Ok(Remainder::Waiting)
            }
        }
    }

    /// Merges the remote's row. One that doesn't fit here is staged, and the change of a row that the remote had is decided about
    /// all the same. Returns why not, if that isn't possible either.
    fn merge_or_stage(
        &self,
        connection: &Connection,
        entry: &UnpushedEntry,
        row: Rows,
        counted: &mut TableReport,
    ) -> Result<Option<String>> {
        let Some(held) = self.writer.merge(connection, &row, counted)?.pop() else { return Ok(None) };
        if entry.base.is_none() {
            return Ok(Some(held.error));
        }
        let unpushed = &self.writer.unpushed;
        let seen = if row.deleted[0] { Seen::Deleted } else { Seen::Row };
        let decide = || unpushed.reconcile_unapplied(connection, row.row(0), seen, row.cursors[0].as_deref());
        match with_parents(connection, decide) {
            Ok(Decision::Keep { conflict, rejected }) => {
                counted.conflicts += u64::from(conflict);
                counted.rejected += u64::from(rejected);
                Ok(None)
            }
            Ok(_) => Ok(None),
            Err(error) if connection.is_violation(&error) => Ok(Some(held.error)),
            Err(error) => Err(error),
        }
    }

    fn store_refused(
        &mut self,
        connection: &Connection,
        job: &Job,
        entry: &UnpushedEntry,
        error: Error,
        later: bool,
    ) -> Result<Remainder> {
        self.forget_sent(connection, job, entry)?;
        let local = self.writer.unpushed.local(connection, &job.key)?;
        let edited =
            job.op() != Some(entry.op) || job.kind != JobKind::Delete && local.as_deref() != Some(&job.row[..]);
        if edited {
            // The change is no longer what was refused: the next push sends it.
            return Ok(Remainder::Done);
        }
        if later {
            return Ok(Remainder::Later(error));
        }
        refuse(connection, entry.id, &error)?;
        self.report.rejected += 1;
        Ok(Remainder::Rejected)
    }

    /// Forgets what was sent of a change that the remote didn't take.
    fn forget_sent(&self, connection: &Connection, job: &Job, entry: &UnpushedEntry) -> Result<()> {
        match job.restores {
            // That the row was deleted there is decided about already.
            true => self.writer.unpushed.note_deleted(connection, entry.id),
            false => unmark(connection, entry.id),
        }
    }
}

/// Notes that the remote answered that it didn't execute the job: its row isn't what it made of what was sent.
fn note_refusal(connection: &Connection, job: &Job) -> Result<()> {
    if job.unanswered.get() {
        return Ok(());
    }
    let sql = "UPDATE tidelock_outbox SET sent_at = NULL WHERE id = ?1";
    connection.run(sql, &[Value::Integer(job.id)]).map(drop)
}

/// Forgets what was sent of the change.
fn unmark(connection: &Connection, id: i64) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET sent_op = NULL, sent = NULL, sent_at = NULL WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id)]).map(drop)
}
