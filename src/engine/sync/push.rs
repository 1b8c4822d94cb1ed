//! Performs one push, from the outbox to the last answer.

use std::cell::OnceCell;

use super::{
    driver::{Caller, Sync},
    host::SyncHost,
    lacking_columns::no_local_table,
    push_run::PushRun,
};
use crate::{
    collections::{Map, Set},
    error::{Error, Result},
    sqlite::Connection,
    sync::{
        apply::{parents::Synced, writer::RowWriter},
        config::options::SyncDirection,
        jobs::{
            cycle::{self, CycleBreakers},
            dependencies::Dependencies,
            job::{Job, JobKind, JobOutcome},
            outcome::PushTarget,
            unsent,
        },
        outbox::{
            capture, entries, late, unread,
            waiting::{refuse, retry_later, retry_next_time},
        },
        postgrest::{
            queue::run_both,
            response::{lost_to_another, remote_code},
        },
        push::{
            phases::{NextStep, PassResult, Phase, phases},
            sender::{Push, PushBatch},
        },
        report::{PullProgress, PushReport, TablePushed},
        schema::{
            plan::Plan,
            table::{LocalTable, parents_first},
        },
        state::{filter, progress, properties},
    },
};

impl Sync {
    pub(super) async fn push_alone(
        &self,
        caller: Caller,
        host: &dyn SyncHost,
        on_progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<PushReport> {
        let clock = &*self.platform.clock;
        let started = clock.monotonic_ms();
        host.admit_write()?;
        let remote = self.remote(host).await?;
        self.check_lacking_columns(caller, host, &remote).await?;
        let mut run = {
            let _guard = host.lock_connection().await?;
            let run = self.begin_push(&*host.connection()?)?;
            host.committed(&[]);
            run
        };
        if run.helped {
            self.quarantine_deleted_inserts(host, &remote, &mut run.targets).await?;
        }
        let plans = run.targets.iter().map(|target| target.plan.clone()).collect();
        let push = Push::new(&remote, plans, run.helped);
        let resting: Vec<Option<Error>> =
            run.targets.iter().map(|target| self.resting_error(&self.unwritten, caller, target.plan.name())).collect();
        resting.iter().enumerate().for_each(|(at, why)| why.iter().for_each(|error| push.hold_table(at, error)));
        let nothing = run.progress.iter().all(|table| table.total == Some(0));
        if !nothing {
            let _accepting = Accepting::begin(self);
            self.send_changes(host, &push, &mut run, on_progress).await?;
        }
        self.end_push(host, &run).await?;
        host.stored().await?;
        for ((target, error), _) in run.targets.iter().zip(&run.errors).zip(&resting).filter(|(_, why)| why.is_none()) {
            self.note_attempt(&self.unwritten, target.plan.name(), error.as_ref());
        }
        let absent = run.absent.into_iter().map(|(_, error)| error);
        let errors = run.errors.into_iter().flatten().chain(absent).chain(run.undecided);
        if let Some(error) = errors.chain(push.firewall_error()).next() {
            return Err(self.note_partial_failure(error));
        }
        let tables = run.targets.into_iter().map(|target| target.report).collect();
        Ok(PushReport { tables, ms: clock.monotonic_ms() - started })
    }

    /// Returns the initial state. The caller must have locked the connection.
    fn begin_push(&self, connection: &Connection) -> Result<PushRun> {
        let (mut tables, mut plans, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for config in self.config.options.tables.iter().filter(|table| table.direction != SyncDirection::Pull) {
            if !config.compares() {
                // Pushed keys aren't known from now on, so a filter that comes later needs them listed.
                filter::change(connection, config, &self.config.source(config))?;
            }
            let plan = match LocalTable::read(connection, &config.table)? {
                Some(table) => self.push_plan(connection, config, table),
                None => Err(no_local_table(config)),
            };
            match plan {
                Ok(plan) => {
                    tables.push(plan.table.clone());
                    plans.push(plan);
                }
                Err(error) => absent.push((config.table.clone(), error)),
            }
        }
        late::forget_old(connection)?;
        let order = parents_first(&tables.iter().collect::<Vec<_>>());
        let synced = Synced::all(connection)?;
        let (mut targets, mut progress) = (Vec::new(), Vec::new());
        for at in order {
            let plan = plans[at].clone();
            let writer = RowWriter::among(connection, &plan, &synced)?;
            unread::leave_out(connection, &plan)?;
            unsent::forget_deleted(connection, &plan, &writer.unpushed)?;
            unsent::insert_discarded(connection, &plan)?;
            let (total, _) = entries::counts(connection, Some(plan.name()))?;
            progress.push(PullProgress { table: plan.name().to_owned(), rows: 0, total: Some(total), bytes: 0 });
            let report = TablePushed { table: plan.name().to_owned(), ..TablePushed::default() };
            let now = self.platform.clock.now().0;
            targets.push(PushTarget {
                plan,
                writer,
                report,
                touched: false,
                followed: Vec::new(),
                respell: OnceCell::new(),
                now,
            });
        }
        let mut dependencies = Dependencies::new(&targets.iter().map(|target| &target.plan).collect::<Vec<_>>());
        dependencies.start(connection, self.platform.clock.now().0)?;
        let count = targets.len();
        Ok(PushRun {
            helped: properties::value(connection, "helpers")?.as_deref() == Some("present"),
            targets,
            dependencies,
            newest: unsent::newest(connection)?,
            skip: Set::new(),
            attempts: Map::default(),
            retries: 0,
            refused: Vec::new(),
            blocked: Vec::new(),
            delayed: Set::new(),
            held: vec![Vec::new(); count],
            errors: vec![None; count],
            absent,
            undecided: None,
            completed: Vec::new(),
            advances: 0,
            resend: false,
            cycle_breakers: Set::new(),
            progress,
        })
    }

    /// Sends all changes in order, and refused ones again as long as that makes progress, since their prerequisite may
    /// come later.
    async fn send_changes(
        &self,
        host: &dyn SyncHost,
        push: &Push<'_>,
        run: &mut PushRun,
        on_progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        loop {
            let before = run.advances;
            for Phase { kind, tables } in phases(run.targets.len()) {
                self.send_all(host, push, run, kind, &tables, on_progress).await?;
            }
            let mut refused = std::mem::take(&mut run.refused);
            let mut result = PassResult {
                refused: !refused.is_empty(),
                resend: std::mem::take(&mut run.resend),
                progressed: run.advances > before,
                retries: run.retries,
                tried_cycles: false,
                joined: self.joined.get(),
            };
            if result.next() == NextStep::BreakCycles {
                self.break_cycles(host, push, run, &refused).await?;
                // These are among the refused changes already.
                run.refused.clear();
                // A cycle that the remote failed to break is broken by another push.
                refused.retain(|(job, _)| !run.delayed.contains(&job.id));
                let (refused, progressed) = (!refused.is_empty(), run.advances > before);
                result = PassResult { tried_cycles: true, refused, progressed, ..result };
            }
            match result.next() {
                NextStep::Finish => return Ok(()),
                NextStep::Repeat => {}
                NextStep::Extend => {
                    self.joined.set(false);
                    let completed = std::mem::take(&mut run.completed);
                    run.skip.retain(|id| !completed.contains(id));
                    let _guard = host.lock_connection().await?;
                    run.newest = unsent::newest(&*host.connection()?)?;
                }
                NextStep::RetryRefused => {
                    run.retries += 1;
                    let blocked = std::mem::take(&mut run.blocked);
                    run.skip.retain(|id| !blocked.contains(id) && refused.iter().all(|(job, _)| job.id != *id));
                    run.dependencies.try_again();
                }
                NextStep::Postpone => return Self::postpone_refused(host, run, &refused).await,
                NextStep::BreakCycles | NextStep::Reject => return self.reject(host, run, refused).await,
            }
        }
    }

    /// Leaves refused changes to the next push.
    async fn postpone_refused(host: &dyn SyncHost, run: &PushRun, refused: &[(Job, Error)]) -> Result<()> {
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        connection.atomically(|connection| {
            refused
                .iter()
                .try_for_each(|(job, error)| retry_next_time(connection, job.id, error, run.targets[job.table].now + 1))
        })?;
        host.committed(&[]);
        Ok(())
    }

    /// Rejects refused changes, except those that are kept for another push.
    async fn reject(&self, host: &dyn SyncHost, run: &mut PushRun, refused: Vec<(Job, Error)>) -> Result<()> {
        let mut rejected: Vec<_> = refused.iter().filter(|(job, error)| !self.keep_for_retry(job.id, error)).collect();
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        connection.atomically(|connection| {
            loop {
                let mut left = Vec::new();
                for refused in &rejected {
                    let (job, error) = refused;
                    let PushTarget { plan, now, .. } = &run.targets[job.table];
                    match remote_code(error) {
                        code if lost_to_another(code) => retry_later(connection, job.id, error, *now)?,
                        "23505" if cycle::wants_value_of_delayed(connection, plan, job, error, *now)? => {
                            retry_next_time(connection, job.id, error, now + 1)?;
                        }
                        _ => left.push(*refused),
                    }
                }
                // A change that is delayed may delay others.
                let is_done = left.len() == rejected.len();
                rejected = left;
                if is_done {
                    break;
                }
            }
            for (job, error) in rejected {
                refuse(connection, job.id, error)?;
                run.targets[job.table].report.rejected += 1;
            }
            Ok(())
        })?;
        host.committed(&[]);
        Ok(())
    }

    /// Releases references or unique values of changes that wait for each other in a cycle, once for each change in a
    /// push.
    async fn break_cycles(
        &self,
        host: &dyn SyncHost,
        push: &Push<'_>,
        run: &mut PushRun,
        refused: &[(Job, Error)],
    ) -> Result<()> {
        let fresh: Vec<&Job> =
            refused.iter().map(|(job, _)| job).filter(|job| !run.cycle_breakers.contains(&job.id)).collect();
        let plans: Vec<&Plan> = run.targets.iter().map(|target| &target.plan).collect();
        let CycleBreakers { releases, exchanges } = cycle::breakers(&plans, &run.dependencies, &fresh);
        let possible = exchanges.into_iter().filter(|(_, job)| push.has_transactions(job.table));
        let (cycles, exchanges): (Vec<usize>, Vec<Job>) = possible.unzip();
        let breakers = || releases.iter().chain(&exchanges);
        if breakers().next().is_none() {
            return Ok(());
        }
        run.cycle_breakers.extend(breakers().map(|job| job.id));
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            let now = self.platform.clock.now();
            connection.atomically(|connection| {
                breakers()
                    .try_for_each(|job| unsent::mark(connection, plans[job.table], std::slice::from_ref(job), now))
            })?;
            host.committed(&[]);
        }
        host.stored().await?;
        // The release is only a part of a change, so it isn't counted.
        let counted: Vec<TablePushed> = run.targets.iter().map(|target| target.report.clone()).collect();
        self.send(host, push, run, &PushBatch::new(push, &releases), None).await?;
        run.targets.iter_mut().zip(counted).for_each(|(target, counted)| target.report.updated = counted.updated);
        self.send(host, push, run, &PushBatch::in_one_transaction(push, &exchanges, cycles), None).await
    }

    /// Sends all changes of one kind, batch by batch.
    async fn send_all(
        &self,
        host: &dyn SyncHost,
        push: &Push<'_>,
        run: &mut PushRun,
        kind: JobKind,
        tables: &[usize],
        on_progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        loop {
            let batches = {
                let now = self.platform.clock.now();
                let _guard = host.lock_connection().await?;
                let connection = host.connection()?;
                host.admit_write()?;
                let batches = connection.atomically(|connection| run.load(connection, push, kind, tables, now))?;
                host.committed(&[]);
                batches
            };
            if batches.is_empty() {
                return Ok(());
            }
            if let Some(&table) = tables.first() {
                self.current_table.replace(run.targets[table].plan.name().to_owned());
            }
            // The marks of the sent changes must be durable before the first request.
            host.stored().await?;
            for batch in batches {
                self.send(host, push, run, &PushBatch::new(push, &batch), on_progress).await?;
            }
            self.learn_lacking_columns(host, push, run).await?;
        }
    }

    /// Sends a batch, and stores outcomes while further requests run. If it fails, the outcomes until then are stored.
    async fn send(
        &self,
        host: &dyn SyncHost,
        push: &Push<'_>,
        run: &mut PushRun,
        batch: &PushBatch<'_>,
        on_progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        let storing = async {
            while let Some(outcomes) = batch.outcomes.next().await {
                if let Some(progress) =
                    run.progress.iter_mut().find(|known| known.table == *self.current_table.borrow())
                {
                    progress.bytes += push.take_sent_bytes();
                }
                let outcomes = outcomes.into_iter().map(|(at, outcome)| (&batch.jobs[at], outcome)).collect();
                self.store_outcomes(host, push.skew_ms(), run, outcomes, on_progress).await?;
            }
            Ok(())
        };
        run_both(Box::pin(batch.send()), Box::pin(storing)).await
    }

    async fn store_outcomes(
        &self,
        host: &dyn SyncHost,
        skew_ms: Option<i64>,
        run: &mut PushRun,
        outcomes: Vec<(&Job, JobOutcome)>,
        on_progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            connection.atomically(|connection| {
                capture::without_capture(connection, |connection| {
                    outcomes
                        .into_iter()
                        .try_for_each(|(job, outcome)| run.apply_outcome(connection, job, outcome, skew_ms))
                })
            })?;
            let touched =
                |target: &mut PushTarget| std::mem::take(&mut target.touched).then(|| target.plan.table.name.clone());
            let mut names: Vec<String> = run.targets.iter_mut().filter_map(touched).collect();
            run.targets.iter_mut().for_each(|target| names.append(&mut target.followed));
            host.committed(&names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        if let Some(on_progress) = on_progress {
            for (progress, target) in run.progress.iter_mut().zip(&run.targets) {
                let TablePushed { inserted, updated, deleted, rejected, .. } = target.report;
                let rows = inserted + updated + deleted + rejected;
                if rows != std::mem::replace(&mut progress.rows, rows) {
                    on_progress(progress.clone());
                }
            }
        }
        let mut changed = false;
        for target in &mut run.targets {
            let answers = self.resolve_pending_conflicts(host, &target.plan, &target.writer).await?;
            target.report.rejected += answers.rejected;
            changed |= answers.rejected > 0 || answers.failed.is_some();
            run.undecided = run.undecided.take().or(answers.failed);
        }
        if changed {
            let _guard = host.lock_connection().await?;
            // Changes that began to wait during this push are held back in it, too.
            let began = run.targets.first().map_or(0, |target| target.now);
            run.dependencies.start(&*host.connection()?, began)?;
        }
        Ok(())
    }

    async fn end_push(&self, host: &dyn SyncHost, run: &PushRun) -> Result<()> {
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        let now = self.platform.clock.now();
        connection.atomically(|connection| {
            for (target, error) in run.targets.iter().zip(&run.errors) {
                progress::save_pushed(connection, target.plan.name(), now, error.as_ref())?;
            }
            for (table, error) in &run.absent {
                progress::save_pushed(connection, table, now, Some(error))?;
            }
            Ok(())
        })?;
        host.committed(&[]);
        Ok(())
    }
}

/// While it exists, further calls join the running push.
struct Accepting<'a>(&'a Sync);

impl<'a> Accepting<'a> {
    fn begin(sync: &'a Sync) -> Self {
        sync.joined.set(false);
        sync.accepting.set(true);
        Self(sync)
    }
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        self.0.accepting.set(false);
    }
}
