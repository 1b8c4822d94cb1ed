//! The state of a running push: which changes are sent next, and what an answer means for the others.

use crate::{
    collections::{Map, Set},
    error::{Error, Result},
    sqlite::Connection,
    sync::{
        jobs::{
            cycle,
            dependencies::Dependencies,
            job::{Job, JobKind, JobOutcome},
            outcome::{PushTarget, Remainder},
            unsent::{self, WantedJobs},
        },
        outbox::{
            change::ChangeReason,
            waiting::{hold_back, reject},
        },
        push::{sender::Push, write},
        report::PullProgress,
    },
    time::Timestamp,
};

/// How often a change is sent in one push if its row keeps changing remotely.
const MOST_ATTEMPTS: u32 = 5;

/// The state of a running push.
pub(super) struct PushRun {
    /// Whether the project has tidelock's helpers.
    pub(super) helped: bool,
    pub(super) targets: Vec<PushTarget>,
    pub(super) dependencies: Dependencies,
    /// The id of the newest change when the push began.
    pub(super) newest: i64,
    /// Changes that are not loaded (again).
    pub(super) skip: Set<i64>,
    /// How often each change was sent in this push.
    pub(super) attempts: Map<i64, u32>,
    /// How often refused changes were sent again.
    pub(super) retries: u32,
    /// Refused changes that may succeed later in this push.
    pub(super) refused: Vec<(Job, Error)>,
    /// Changes that wait for others, which may be in `refused`.
    pub(super) blocked: Vec<i64>,
    /// Changes that wait for another push, since the remote failed at them.
    pub(super) delayed: Set<i64>,
    /// The changes of each table that are held because the table can't be written.
    pub(super) held: Vec<Vec<i64>>,
    /// The first error of each table.
    pub(super) errors: Vec<Option<Error>>,
    /// The tables that can't be pushed.
    pub(super) absent: Vec<(String, Error)>,
    /// The first error of a conflict function.
    pub(super) undecided: Option<Error>,
    /// Changes that are completed.
    pub(super) completed: Vec<i64>,
    /// Number of outcomes that made progress.
    pub(super) advances: u64,
    /// Whether a change is to be sent again, with another base.
    pub(super) resend: bool,
    /// Changes that have broken a cycle in this push, by releasing their references or unique values.
    pub(super) cycle_breakers: Set<i64>,
    /// The progress of each table, as it was last reported.
    pub(super) progress: Vec<PullProgress>,
}

impl PushRun {
    /// Loads the next batches in the order in which they must be sent, and marks their changes as sent.
    pub(super) fn load(
        &mut self,
        connection: &Connection,
        push: &Push<'_>,
        kind: JobKind,
        tables: &[usize],
        now: Timestamp,
    ) -> Result<Vec<Vec<Job>>> {
        let mut ready = Vec::new();
        for &table in tables {
            let target = &self.targets[table];
            let skip = |id: i64| self.skip.contains(&id);
            let wanted = WantedJobs { kind, newest: self.newest, skip: &skip, now: target.now };
            let mut jobs = unsent::load(connection, &target.plan, table, &target.writer.unpushed, wanted)?;
            // A job may wait for a later one, so holding one back may hold back earlier ones.
            loop {
                let count = jobs.len();
                let mut free = Vec::with_capacity(count);
                for job in jobs {
                    self.skip.insert(job.id);
                    if self.is_held(connection, &job)? {
                        self.dependencies.hold_back(connection, &job)?;
                    } else {
                        free.push(job);
                    }
                }
                jobs = free;
                if jobs.len() == count {
                    break;
                }
            }
            if kind == JobKind::Delete {
                let (first, later) = self.dependencies.childless(jobs);
                let later: Set<i64> = later.iter().map(|job| job.id).collect();
                self.skip.retain(|id| !later.contains(id));
                jobs = first;
            }
            for mut job in jobs {
                if kind == JobKind::Insert {
                    self.dependencies.withhold(connection, &self.targets[table].plan, &mut job)?;
                }
                push.exclude_remote_columns(&mut job);
                ready.push(job);
            }
        }
        let batches = match (kind, tables) {
            (JobKind::Insert, [table]) => self.dependencies.levels(&self.targets[*table].plan, ready),
            _ if ready.is_empty() => Vec::new(),
            (JobKind::Update, _) if self.retries > 0 => {
                cycle::levels(&self.targets.iter().map(|target| &target.plan).collect::<Vec<_>>(), ready)
            }
            _ => vec![ready],
        };
        for job in batches.iter().flatten() {
            unsent::mark(connection, &self.targets[job.table].plan, std::slice::from_ref(job), now)?;
        }
        Ok(batches)
    }

    /// Returns whether a job can't be sent, because it waits for another change or no remote could accept it.
    fn is_held(&mut self, connection: &Connection, job: &Job) -> Result<bool> {
        if let Some(other) = self.dependencies.waits_for(connection, job)? {
            hold_back(connection, job.id, &format!("A change of table {other} must be sent first"))?;
            self.blocked.push(job.id);
            return Ok(true);
        }
        let target = &mut self.targets[job.table];
        let Some(why) = write::unsendable(&target.plan, job) else { return Ok(false) };
        reject(connection, job.id, ChangeReason::Refused, &why)?;
        target.report.rejected += 1;
        Ok(true)
    }

    /// Stores the outcome of one change, and what it means for the other changes.
    pub(super) fn apply_outcome(
        &mut self,
        connection: &Connection,
        job: &Job,
        outcome: JobOutcome,
        skew_ms: Option<i64>,
    ) -> Result<()> {
        let target = &mut self.targets[job.table];
        target.writer.unpushed.set_skew(skew_ms);
        let attempts = self.attempts.get(&job.id).copied().unwrap_or_default() + 1;
        // Leaving out one column after the other ends by itself.
        if outcome != JobOutcome::LeftOut {
            self.attempts.insert(job.id, attempts);
        }
        match target.store_outcome(connection, job, outcome, attempts >= MOST_ATTEMPTS)? {
            Remainder::Done => {
                self.advances += 1;
                self.completed.push(job.id);
            }
            Remainder::Again => {
                self.advances += 1;
                if attempts < MOST_ATTEMPTS {
                    self.resend = true;
                    self.skip.retain(|id| *id != job.id);
                } else {
                    hold_back(connection, job.id, "The row kept changing while it was sent: the next push goes on")?;
                    self.dependencies.hold_back(connection, job)?;
                }
            }
            Remainder::Rejected => self.dependencies.hold_back(connection, job)?,
            Remainder::Waiting => {
                self.dependencies.hold_back(connection, job)?;
                self.delayed.insert(job.id);
            }
            Remainder::Later(error) => {
                if job.kind == JobKind::Update {
                    self.dependencies.hold_back_for_now(job);
                }
                self.refused.push((job.clone(), error));
            }
            Remainder::Held(error) => {
                self.dependencies.hold_back(connection, job)?;
                self.delayed.insert(job.id);
                self.held[job.table].push(job.id);
                self.errors[job.table].get_or_insert(error);
            }
        }
        Ok(())
    }
}
