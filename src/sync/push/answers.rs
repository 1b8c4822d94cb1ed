//! Interprets the rows of an answer: assigns them to jobs, and derives each job's outcome from its row or its absence.

use super::{
    grouping,
    sender::PushBatch,
    task::{Act, ReadPurpose, Task},
};
use crate::{
    error::{Error, ErrorCode},
    sync::{
        conflict::resolution::differs,
        jobs::job::{Job, JobKind, JobOutcome, RemoteRow},
        schema::plan::Rows,
        values::same_key,
    },
    value::Value,
};

/// The assignment of an answer's rows to jobs.
struct Assigned {
    /// Jobs, each with the index of its row.
    found: Vec<(usize, usize)>,
    /// Jobs without a row.
    left: Vec<usize>,
    /// Number of rows that belong to no job.
    unmatched: usize,
}

impl PushBatch<'_> {
    /// `affected`: the number of rows that the remote changed, where it is known.
    pub(super) fn handle_rows(&self, task: &Task, rows: &Rows, affected: Option<u64>) {
        let write_only = self.with(task.table, |target| target.write_only);
        if !matches!(task.act, Act::Read(_)) {
            self.change(task.table, |target| {
                (target.failing, target.accepted, target.firewall_error) = (0, true, None)
            });
        }
        match &task.act {
            Act::Insert if write_only => self.put_outcome(task, &JobOutcome::Taken),
            Act::Update(_) if write_only => self.rows_updated(task, affected),
            Act::Delete(_) if write_only => self.rows_deleted(task, affected),
            Act::Insert | Act::Revive { .. } | Act::Update(_) | Act::Upsert | Act::Function { .. } | Act::Delete(_) => {
                let Assigned { found, left, unmatched } = self.assign(task, rows);
                let written = |at: usize| match task.act {
                    Act::Delete(_) => JobOutcome::Deleted,
                    _ => JobOutcome::Written(rows.row(at).to_vec()),
                };
                self.put_outcomes(found.into_iter().map(|(job, at)| (job, written(at))).collect());
                if unmatched > 0 && task.act == Act::Insert {
                    // The remote stored rows under keys that weren't sent, and a retry would store them again. The other
                    // rows without an answer were left alone, because their keys exist: a read finds them.
                    let (without_key, left): (Vec<_>, Vec<_>) =
                        left.into_iter().partition(|job| self.jobs[*job].key.iter().any(Value::is_null));
                    self.refuse_another_key(task.table, without_key);
                    self.queue_last(grouping::reads(self.jobs, task.table, left, ReadPurpose::FindInserted));
                } else {
                    self.queue_last(grouping::reads(self.jobs, task.table, left, ReadPurpose::Reconcile));
                }
            }
            Act::Read(purpose) => self.rows_read(task, rows, *purpose),
        }
    }

    /// Handles an update in a table that is never read: the number of its rows is all that is known.
    fn rows_updated(&self, task: &Task, affected: Option<u64>) {
        match affected {
            Some(0) => {
                let name = self.name(task.table);
                let error = Error::new(ErrorCode::SyncRejected, format!("The remote updated no row of table {name}"))
                    .hint("It has no row with this key, or row security hides it: an update needs policies for SELECT and UPDATE")
                    .detail("table", name);
                self.put_outcome(task, &refused(&error));
            }
            // Parts show which rows weren't updated. The others are updated again, to the same values.
            Some(affected) if affected < task.jobs.len() as u64 => self.halve_or_repeat(task),
            _ => self.put_outcome(task, &JobOutcome::Taken),
        }
    }

    /// Handles a deletion in a table that is never read. Nothing shows whether the remaining rows were deleted before or are
    /// hidden by row security, unless an earlier try may have deleted them.
    fn rows_deleted(&self, task: &Task, affected: Option<u64>) {
        let deleted = affected.unwrap_or(u64::MAX);
        let outcome = |(at, job): (usize, &usize)| {
            let is_deleted = (at as u64) < deleted || self.jobs[*job].unanswered.get();
            (*job, if is_deleted { JobOutcome::Deleted } else { JobOutcome::NotFound })
        };
        self.put_outcomes(task.jobs.iter().enumerate().map(outcome).collect());
    }

    fn rows_read(&self, task: &Task, rows: &Rows, purpose: ReadPurpose) {
        let Assigned { found, left, unmatched } = self.assign(task, rows);
        let (mut outcomes, mut ready) = (Vec::new(), Vec::new());
        let progress = !found.is_empty();
        for (job, at) in found {
            let (row, kind) = (rows.row(at).to_vec(), self.jobs[job].kind);
            if rows.deleted[at] {
                let outcome =
                    if kind == JobKind::Delete { JobOutcome::Deleted } else { JobOutcome::Found(RemoteRow::Deleted) };
                outcomes.push((job, outcome));
                continue;
            }
            let kinds = self
                .with(task.table, |target| target.plan.columns.iter().map(|column| column.kind).collect::<Vec<_>>());
            let Job { base, unapplied, .. } = &self.jobs[job];
            let spelled = self.spelled(job, &row);
            let same = [base, unapplied].into_iter().flatten().any(|known| !differs(known, &spelled, &kinds));
            match (kind, same) {
                (JobKind::Update | JobKind::Delete, true) if purpose == ReadPurpose::Write => ready.push(job),
                (JobKind::Update | JobKind::Delete, true) => {
                    let text = format!("The remote did not change a readable row of table {}", self.name(task.table));
                    let error = Error::new(ErrorCode::SyncRejected, text)
                        .hint("A trigger of the remote skipped the row, or row security allows reading it only: check both")
                        .detail("table", self.name(task.table));
                    outcomes.push((job, refused(&error)));
                }
                _ => {
                    let cursor = rows.cursors.get(at).cloned().flatten();
                    outcomes.push((job, JobOutcome::Found(RemoteRow::Row(row, cursor))));
                }
            }
        }
        if rows.is_empty() && purpose == ReadPurpose::FindInserted {
            self.refuse_another_key(task.table, left);
        } else if rows.is_empty() {
            for job in left {
                let deleted = self.jobs[job].kind == JobKind::Delete;
                outcomes.push((job, if deleted { JobOutcome::Deleted } else { JobOutcome::Found(RemoteRow::Absent) }));
            }
        } else if !left.is_empty() && progress && unmatched == 0 {
            // The server's row limit may have truncated the answer, so the other rows are requested again.
            self.queue_first(task.part(&left));
        } else if left.len() > 1 || task.jobs.len() > 1 {
            // One request for each key: the server compares the keys, and at most one row matches.
            left.iter().for_each(|job| self.queue_first(task.part(&[*job])));
        } else {
            self.refuse_another_key(task.table, left);
        }
        self.put_outcomes(outcomes);
        self.queue_last(grouping::writes(self.jobs, task.table, ready, self.push.update_mode(task.table)));
    }

    /// Returns the remote's row of a job with the key as it was sent, since the server may spell the key differently.
    fn spelled(&self, job: usize, row: &[Value]) -> Vec<Value> {
        let job = &self.jobs[job];
        let mut row = row.to_vec();
        self.with(job.table, |target| {
            target.plan.key.iter().zip(&job.key).for_each(|(at, key)| row[*at] = key.clone())
        });
        row
    }

    /// Refuses rows that the remote has under other keys than those sent.
    fn refuse_another_key(&self, table: usize, jobs: Vec<usize>) {
        let name = self.name(table);
        let text = format!("The remote answered with a row of table {name} whose key differs from the one sent");
        let error = Error::new(ErrorCode::SyncRejected, text)
            .hint(
                "A trigger or the column's type changes the key: use keys that the remote stores unchanged. If it was a new row, \
                 the remote has stored it: discard this change, and the next pull brings the row",
            )
            .detail("table", name);
        self.put_outcomes(jobs.into_iter().map(|job| (job, refused(&error))).collect());
    }

    fn assign(&self, task: &Task, rows: &Rows) -> Assigned {
        let keys: Vec<Vec<Value>> = self.with(task.table, |target| {
            let key = |at: usize| match rows.keys_only {
                true => rows.row(at).to_vec(),
                false => target.plan.key_of(rows.row(at)),
            };
            (0..rows.len()).map(key).collect()
        });
        let sent: Vec<&[Value]> = task.jobs.iter().map(|job| &self.jobs[*job].key[..]).collect();
        let places = same_key::assign(&sent, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let (mut found, mut left) = (Vec::new(), Vec::new());
        for (job, at) in task.jobs.iter().zip(places) {
            match at {
                Some(at) => found.push((*job, at)),
                None => left.push(*job),
            }
        }
        let unmatched = rows.len() - found.len();
        Assigned { found, left, unmatched }
    }
}

fn refused(error: &Error) -> JobOutcome {
    JobOutcome::Refused { error: error.clone(), later: false }
}
