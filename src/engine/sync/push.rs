//! Performs one push, from the outbox to the last answer.

use std::cell::OnceCell;

use super::{
    driver::{Caller, Sync, SyncHost},
    lacking::no_local_table,
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
            cycle,
            dependencies::Dependencies,
            job::{Job, JobOutcome, Work},
            outcome::PushTarget,
            unsent,
        },
        outbox::{capture, entries, waiting::refuse},
        postgrest::queue::run_both,
        push::sender::{Push, PushBatch},
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
        progress: Option<&dyn Fn(PullProgress)>,
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
        let nothing = run.told.iter().all(|table| table.total == Some(0));
        if !nothing {
            let _accepting = Accepting::begin(self);
            self.rounds(host, &push, &mut run, progress).await?;
        }
        self.end_push(host, &run).await?;
        host.stored().await?;
        for ((target, error), _) in run.targets.iter().zip(&run.errors).zip(&resting).filter(|(_, why)| why.is_none()) {
            self.note_attempt(&self.unwritten, target.plan.name(), error.as_ref());
        }
        let absent = run.absent.into_iter().map(|(_, error)| error);
        if let Some(error) = run.errors.into_iter().flatten().chain(absent).chain(run.undecided).next() {
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
                filter::change(connection, config)?;
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
        let order = parents_first(&tables.iter().collect::<Vec<_>>());
        let synced = Synced::all(connection)?;
        let (mut targets, mut told) = (Vec::new(), Vec::new());
        for at in order {
            let plan = plans[at].clone();
            let writer = RowWriter::among(connection, &plan, &synced)?;
            unsent::forget_deleted(connection, &plan, &writer.unpushed)?;
            let (total, _) = entries::counts(connection, Some(plan.name()))?;
            told.push(PullProgress { table: plan.name().to_owned(), rows: 0, total: Some(total), bytes: 0 });
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
        let mut order = Dependencies::new(&targets.iter().map(|target| &target.plan).collect::<Vec<_>>());
        order.start(connection, self.platform.clock.now().0)?;
        let count = targets.len();
        Ok(PushRun {
            helped: properties::value(connection, "helpers")?.as_deref() == Some("present"),
            targets,
            order,
            newest: unsent::newest(connection)?,
            skip: Set::new(),
            tries: Map::default(),
            later: Vec::new(),
            behind: Vec::new(),
            held: vec![Vec::new(); count],
            errors: vec![None; count],
            absent,
            undecided: None,
            done: Vec::new(),
            moved: 0,
            again: false,
            opened: Set::new(),
            told,
        })
    }

    /// Sends all changes in order, and refused ones again as long as that makes progress, since their prerequisite may
    /// come later.
    async fn rounds(
        &self,
        host: &dyn SyncHost,
        push: &Push<'_>,
        run: &mut PushRun,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        loop {
            let before = run.moved;
            let count = run.targets.len();
            let all: Vec<usize> = (0..count).collect();
            self.send_all(host, push, run, Work::Look, &all, progress).await?;
            for table in 0..count {
                self.send_all(host, push, run, Work::Insert, &[table], progress).await?;
            }
            self.send_all(host, push, run, Work::Update, &all, progress).await?;
            for table in (0..count).rev() {
                self.send_all(host, push, run, Work::Delete, &[table], progress).await?;
            }
            let later = std::mem::take(&mut run.later);
            let again = std::mem::take(&mut run.again);
            if later.is_empty() && !again {
                if !self.more.take() {
                    return Ok(());
                }
                // A call that has joined also expects the changes made since.
                let done = std::mem::take(&mut run.done);
                run.skip.retain(|id| !done.contains(id));
                let _guard = host.lock_connection().await?;
                run.newest = unsent::newest(&*host.connection()?)?;
                continue;
            }
            if later.is_empty() {
                continue;
            }
            if run.moved == before {
                self.open_cycles(host, push, run, &later).await?;
            }
            if run.moved > before {
                let behind = std::mem::take(&mut run.behind);
                run.skip.retain(|id| !behind.contains(id) && later.iter().all(|(job, _)| job.id != *id));
                run.order.try_again();
                continue;
            }
            let refused: Vec<_> = later.iter().filter(|(job, error)| !self.keep_for_retry(job.id, error)).collect();
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            connection.atomically(|connection| {
                for (job, error) in refused {
                    refuse(connection, job.id, error)?;
                    run.targets[job.table].report.rejected += 1;
                }
                Ok(())
            })?;
            host.committed(&[]);
            return Ok(());
        }
    }

    /// Releases references or unique values of changes that wait for each other in a cycle, once for each change in a
    /// push.
    async fn open_cycles(
        &self,
        host: &dyn SyncHost,
        push: &Push<'_>,
        run: &mut PushRun,
        later: &[(Job, Error)],
    ) -> Result<()> {
        let fresh: Vec<&Job> = later.iter().map(|(job, _)| job).filter(|job| !run.opened.contains(&job.id)).collect();
        let plans: Vec<&Plan> = run.targets.iter().map(|target| &target.plan).collect();
        let openings = cycle::openings(&plans, &run.order, &fresh);
        if openings.is_empty() {
            return Ok(());
        }
        run.opened.extend(openings.iter().map(|job| job.id));
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            connection.atomically(|connection| {
                openings
                    .iter()
                    .try_for_each(|job| unsent::mark(connection, plans[job.table], std::slice::from_ref(job)))
            })?;
            host.committed(&[]);
        }
        host.stored().await?;
        // The release is only a part of a change, so it isn't counted.
        let counted: Vec<TablePushed> = run.targets.iter().map(|target| target.report.clone()).collect();
        self.send(host, push, run, &openings, None).await?;
        run.targets.iter_mut().zip(counted).for_each(|(target, counted)| target.report.updated = counted.updated);
        Ok(())
    }

    /// Sends all changes of one kind, batch by batch.
    async fn send_all(
        &self,
        host: &dyn SyncHost,
        push: &Push<'_>,
        run: &mut PushRun,
        work: Work,
        tables: &[usize],
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        loop {
            let batches = {
                let _guard = host.lock_connection().await?;
                let connection = host.connection()?;
                host.admit_write()?;
                let batches = connection.atomically(|connection| run.load(connection, push, work, tables))?;
                host.committed(&[]);
                batches
            };
            if batches.is_empty() {
                return Ok(());
            }
            if let Some(&table) = tables.first() {
                self.reading.replace(run.targets[table].plan.name().to_owned());
            }
            // The marks of the sent changes must be durable before the first request.
            host.stored().await?;
            for batch in batches {
                self.send(host, push, run, &batch, progress).await?;
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
        jobs: &[Job],
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        let batch = PushBatch::new(push, jobs);
        let storing = async {
            while let Some(outcomes) = batch.outcomes.next().await {
                if let Some(told) = run.told.iter_mut().find(|told| told.table == *self.reading.borrow()) {
                    told.bytes += push.take_sent_bytes();
                }
                let outcomes = outcomes.into_iter().map(|(at, outcome)| (&jobs[at], outcome)).collect();
                self.store_outcomes(host, push.skew_ms(), run, outcomes, progress).await?;
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
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            connection.atomically(|connection| {
                capture::without_capture(connection, |connection| {
                    outcomes.into_iter().try_for_each(|(job, outcome)| {
                        run.apply_outcome(connection, job, outcome, skew_ms.unwrap_or_default())
                    })
                })
            })?;
            let touched =
                |target: &mut PushTarget| std::mem::take(&mut target.touched).then(|| target.plan.table.name.clone());
            let mut names: Vec<String> = run.targets.iter_mut().filter_map(touched).collect();
            run.targets.iter_mut().for_each(|target| names.append(&mut target.followed));
            host.committed(&names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        if let Some(tell) = progress {
            for (told, target) in run.told.iter_mut().zip(&run.targets) {
                let TablePushed { inserted, updated, deleted, rejected, .. } = target.report;
                let rows = inserted + updated + deleted + rejected;
                if rows != std::mem::replace(&mut told.rows, rows) {
                    tell(told.clone());
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
            run.order.start(&*host.connection()?, began)?;
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
        sync.more.set(false);
        sync.accepting.set(true);
        Self(sync)
    }
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        self.0.accepting.set(false);
    }
}
