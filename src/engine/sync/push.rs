//! Performs one push, from the outbox to the last answer.

use std::cell::OnceCell;

use super::driver::{Caller, Sync, SyncHost};
use crate::{
    collections::{Map, Set},
    error::{Error, ErrorCode, Result},
    sqlite::Connection,
    sync::{
        apply::{parents::Synced, writer::RowWriter},
        config::options::{SyncDirection, TableSync},
        jobs::{
            circle,
            job::{Job, JobOutcome, Work},
            order::Order,
            settle::{PushTarget, Remainder},
            unsent::{self, WantedJobs},
        },
        outbox::{
            capture,
            change::ChangeReason,
            entries,
            waiting::{hold_back, refuse, reject},
        },
        postgrest::{
            queue::beside,
            remote::{Refusal, Remote},
            request::Requester,
        },
        push::{
            sender::{Push, PushBatch},
            write,
        },
        report::{PullProgress, PushReport, TablePushed},
        schema::{
            plan::Plan,
            table::{LocalTable, parents_first},
        },
        state::metadata,
    },
};

/// How often a change is sent in one push if its row keeps changing remotely.
const TRIES: u32 = 5;

/// The state of a running push.
struct PushRun {
    /// Whether the project has tidelock's helpers.
    helped: bool,
    targets: Vec<PushTarget>,
    order: Order,
    /// The id of the newest change when the push began.
    newest: i64,
    /// Changes that are not loaded (again).
    skip: Set<i64>,
    tries: Map<i64, u32>,
    /// Refused changes that may succeed later in this push.
    later: Vec<(Job, Error)>,
    /// Changes that wait for others, which may be in `later`.
    behind: Vec<i64>,
    held: Vec<Vec<i64>>,
    errors: Vec<Option<Error>>,
    /// The tables that can't be pushed at present.
    absent: Vec<(String, Error)>,
    /// The first error of a conflict function.
    undecided: Option<Error>,
    /// Changes that are completed.
    done: Vec<i64>,
    /// Number of outcomes that made progress.
    moved: u64,
    /// Whether a change is to be sent again, with another base.
    again: bool,
    /// Changes of a cycle that have released their references in this push.
    opened: Set<i64>,
    told: Vec<PullProgress>,
}

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
        self.ask_for_columns(caller, host, &remote).await?;
        let mut run = {
            let _turn = host.turn().await?;
            let run = self.begin_push(&*host.connection()?)?;
            host.committed(&[]);
            run
        };
        if run.helped {
            self.set_aside_gone(host, &remote, &mut run.targets).await?;
        }
        let plans = run.targets.iter().map(|target| target.plan.clone()).collect();
        let push = Push::new(&remote, plans, run.helped);
        let resting: Vec<Option<Error>> =
            run.targets.iter().map(|target| self.why_resting(&self.unwritten, caller, target.plan.name())).collect();
        resting.iter().enumerate().for_each(|(at, why)| why.iter().for_each(|error| push.hold_table(at, error)));
        let nothing = run.told.iter().all(|table| table.total == Some(0));
        if !nothing {
            let _accepting = Accepting::begin(self);
            self.rounds(host, &push, &mut run, progress).await?;
        }
        self.end_push(host, &run).await?;
        host.stored().await?;
        for ((target, error), _) in run.targets.iter().zip(&run.errors).zip(&resting).filter(|(_, why)| why.is_none()) {
            self.note_tried(&self.unwritten, target.plan.name(), error.as_ref());
        }
        let absent = run.absent.into_iter().map(|(_, error)| error);
        if let Some(error) = run.errors.into_iter().flatten().chain(absent).chain(run.undecided).next() {
            return Err(self.partial(error));
        }
        let tables = run.targets.into_iter().map(|target| target.report).collect();
        Ok(PushReport { tables, ms: clock.monotonic_ms() - started })
    }

    /// Checks whether the remote has added columns that changes wait for.
    async fn ask_for_columns(&self, caller: Caller, host: &dyn SyncHost, remote: &Remote<'_>) -> Result<()> {
        let mut waiting = Vec::new();
        {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            for config in self.config.options.tables.iter().filter(|table| table.direction != SyncDirection::Pull) {
                if entries::lacking_columns(&connection, Some(&config.table))? > 0
                    && self.why_resting(&self.unwritten, caller, &config.table).is_none()
                    && let Some(table) = LocalTable::read(&connection, &config.table)?
                    && let Ok(plan) = self.push_plan(&connection, config, table)
                {
                    let missing = metadata::missing(&connection, &config.table)?;
                    waiting.push((plan, missing));
                }
            }
        }
        for (plan, missing) in waiting {
            let still = match self.lacking(remote, &plan, &missing).await {
                // The changes keep waiting; the table's other requests fail with the reason.
                Err(refusal) if refusal.is_about_one_table() => continue,
                still => still.map_err(Refusal::into_error)?,
            };
            if still.len() < missing.len() {
                let _turn = host.turn().await?;
                let connection = host.connection()?;
                connection.atomically(|connection| metadata::save_missing(connection, plan.name(), &still))?;
                host.committed(&[]);
            }
        }
        Ok(())
    }

    /// Returns those of the columns that the remote lacks.
    pub(super) async fn lacking(
        &self,
        remote: &Remote<'_>,
        plan: &Plan,
        columns: &[String],
    ) -> Result<Vec<String>, Refusal> {
        let mut lacks = Vec::new();
        for column in columns {
            let make = |requester: &Requester| write::probe(requester, plan, column);
            match remote.send(plan.name(), &mut remote.tries(), &make).await {
                // A refusal means that the column exists, but can't be read.
                Ok(_) | Err(Refusal::Rejected(_)) => {}
                Err(Refusal::UnknownColumn(_)) => lacks.push(column.clone()),
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(lacks)
    }

    /// Stores columns that the remote turned out to lack, and returns the plan without them. Fails, and stores nothing,
    /// if the plan requires one of them. The caller must have locked the connection.
    pub(super) fn leave_out(&self, connection: &Connection, config: &TableSync, lacks: Vec<String>) -> Result<Plan> {
        let mut missing = metadata::missing(connection, &config.table)?;
        missing.extend(lacks);
        Plan::new(config, local_table(connection, config)?, &missing)?;
        connection.atomically(|connection| metadata::save_missing(connection, &config.table, &missing))?;
        self.push_plan(connection, config, local_table(connection, config)?)
    }

    /// Returns the initial state. The caller must have locked the connection.
    fn begin_push(&self, connection: &Connection) -> Result<PushRun> {
        let (mut tables, mut plans, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for config in self.config.options.tables.iter().filter(|table| table.direction != SyncDirection::Pull) {
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
            unsent::forget_gone(connection, &plan, &writer.unpushed)?;
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
        let mut order = Order::new(&targets.iter().map(|target| &target.plan).collect::<Vec<_>>());
        order.start(connection, self.platform.clock.now().0)?;
        let count = targets.len();
        Ok(PushRun {
            helped: metadata::fact(connection, "helpers")?.as_deref() == Some("present"),
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

    pub(super) fn push_plan(&self, connection: &Connection, config: &TableSync, table: LocalTable) -> Result<Plan> {
        let mut plan = Plan::new(config, table, &metadata::missing(connection, &config.table)?)?;
        plan.know_structured(&metadata::structured(connection, &config.table)?);
        Ok(plan)
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
                let _turn = host.turn().await?;
                run.newest = unsent::newest(&*host.connection()?)?;
                continue;
            }
            if later.is_empty() {
                continue;
            }
            if run.moved == before {
                self.open_circles(host, push, run, &later).await?;
            }
            if run.moved > before {
                let behind = std::mem::take(&mut run.behind);
                run.skip.retain(|id| !behind.contains(id) && later.iter().all(|(job, _)| job.id != *id));
                run.order.try_again();
                continue;
            }
            let refused: Vec<_> = later.iter().filter(|(job, error)| !self.keeps(job.id, error)).collect();
            let _turn = host.turn().await?;
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
    async fn open_circles(
        &self,
        host: &dyn SyncHost,
        push: &Push<'_>,
        run: &mut PushRun,
        later: &[(Job, Error)],
    ) -> Result<()> {
        let fresh: Vec<&Job> = later.iter().map(|(job, _)| job).filter(|job| !run.opened.contains(&job.id)).collect();
        let plans: Vec<&Plan> = run.targets.iter().map(|target| &target.plan).collect();
        let openings = circle::openings(&plans, &run.order, &fresh);
        if openings.is_empty() {
            return Ok(());
        }
        run.opened.extend(openings.iter().map(|job| job.id));
        {
            let _turn = host.turn().await?;
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
                let _turn = host.turn().await?;
                let connection = host.connection()?;
                host.admit_write()?;
                let batches = connection.atomically(|connection| load(connection, push, run, work, tables))?;
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
            self.learn_lacking(host, push, run).await?;
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
        let settling = async {
            while let Some(outcomes) = batch.outcomes.next().await {
                if let Some(told) = run.told.iter_mut().find(|told| told.table == *self.reading.borrow()) {
                    told.bytes += push.take_sent_bytes();
                }
                let outcomes = outcomes.into_iter().map(|(at, outcome)| (&jobs[at], outcome)).collect();
                self.settle(host, push.skew_ms(), run, outcomes, progress).await?;
            }
            Ok(())
        };
        beside(Box::pin(batch.send()), Box::pin(settling)).await
    }

    async fn settle(
        &self,
        host: &dyn SyncHost,
        skew_ms: Option<i64>,
        run: &mut PushRun,
        outcomes: Vec<(&Job, JobOutcome)>,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            connection.atomically(|connection| {
                capture::silently(connection, |connection| {
                    outcomes.into_iter().try_for_each(|(job, outcome)| {
                        settle_one(connection, run, job, outcome, skew_ms.unwrap_or_default())
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
            let answers = self.answer_questions(host, &target.plan, &target.writer).await?;
            target.report.rejected += answers.rejected;
            changed |= answers.rejected > 0 || answers.failed.is_some();
            run.undecided = run.undecided.take().or(answers.failed);
        }
        if changed {
            let _turn = host.turn().await?;
            // Changes that began to wait during this push are held back in it, too.
            let began = run.targets.first().map_or(0, |target| target.now);
            run.order.start(&*host.connection()?, began)?;
        }
        Ok(())
    }

    /// Replaces the plans of tables for which the remote turned out to lack columns.
    async fn learn_lacking(&self, host: &dyn SyncHost, push: &Push<'_>, run: &mut PushRun) -> Result<()> {
        for at in 0..run.targets.len() {
            if !push.met_unknown_column(at) {
                continue;
            }
            let plan = &run.targets[at].plan;
            let lacks = match self.lacking(push.remote, plan, &but_the_key(plan)).await {
                // The table is held already, with its error.
                Err(refusal) if refusal.is_about_one_table() => continue,
                lacks => lacks.map_err(Refusal::into_error)?,
            };
            if lacks.is_empty() {
                continue;
            }
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            let config = run.targets[at].plan.options.clone();
            let plan = match self.leave_out(&connection, &config, lacks) {
                Err(error) if error.is(ErrorCode::SyncSchemaMismatch) => {
                    run.errors[at] = Some(error);
                    continue;
                }
                plan => plan?,
            };
            push.set_plan(at, plan.clone());
            run.targets[at].writer = RowWriter::new(&connection, &plan)?;
            run.targets[at].plan = plan;
            let plans: Vec<&Plan> = run.targets.iter().map(|target| &target.plan).collect();
            run.order = Order::new(&plans);
            run.order.start(&connection, self.platform.clock.now().0)?;
            run.errors[at] = None;
            let held = std::mem::take(&mut run.held[at]);
            run.skip.retain(|id| !held.contains(id));
        }
        Ok(())
    }

    async fn end_push(&self, host: &dyn SyncHost, run: &PushRun) -> Result<()> {
        let _turn = host.turn().await?;
        let connection = host.connection()?;
        let now = self.platform.clock.now();
        connection.atomically(|connection| {
            for (target, error) in run.targets.iter().zip(&run.errors) {
                metadata::save_pushed(connection, target.plan.name(), now, error.as_ref())?;
            }
            for (table, error) in &run.absent {
                metadata::save_pushed(connection, table, now, Some(error))?;
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

/// Returns the local table of an option. Fails with `sync_schema_mismatch` if it doesn't exist.
pub(super) fn local_table(connection: &Connection, config: &TableSync) -> Result<LocalTable> {
    LocalTable::read(connection, &config.table)?.ok_or_else(|| no_local_table(config))
}

/// Returns the error for a missing local table.
pub(super) fn no_local_table(config: &TableSync) -> Error {
    let text = format!("There is no local table {}", config.table);
    Error::new(ErrorCode::SyncSchemaMismatch, text)
        .hint("Create it in a migration, or take it out of remote.tables")
        .detail("table", config.table.clone())
}

/// Returns the columns that a remote may lack: all except the key's.
pub(super) fn but_the_key(plan: &Plan) -> Vec<String> {
    let columns = plan.columns.iter().enumerate().filter(|(at, _)| !plan.key.contains(at));
    columns.map(|(_, column)| column.name.clone()).collect()
}

/// Loads the next batches in the order in which they must be sent, and marks their changes as sent.
fn load(
    connection: &Connection,
    push: &Push<'_>,
    run: &mut PushRun,
    work: Work,
    tables: &[usize],
) -> Result<Vec<Vec<Job>>> {
    let mut ready = Vec::new();
    for &table in tables {
        let target = &run.targets[table];
        let skip = |id: i64| run.skip.contains(&id);
        let wanted = WantedJobs { work, newest: run.newest, skip: &skip, now: target.now };
        let mut jobs = unsent::load(connection, &target.plan, table, &target.writer.unpushed, wanted)?;
        // A job may wait for a later one, so holding one back may hold back earlier ones.
        loop {
            let count = jobs.len();
            let mut free = Vec::with_capacity(count);
            for job in jobs {
                run.skip.insert(job.id);
                if is_held(connection, run, &job)? {
                    run.order.hold_back(connection, &job)?;
                } else {
                    free.push(job);
                }
            }
            jobs = free;
            if jobs.len() == count {
                break;
            }
        }
        if work == Work::Delete {
            let (first, later) = run.order.childless(jobs);
            let later: Set<i64> = later.iter().map(|job| job.id).collect();
            run.skip.retain(|id| !later.contains(id));
            jobs = first;
        }
        for mut job in jobs {
            if work == Work::Insert {
                run.order.withhold(connection, &run.targets[table].plan, &mut job)?;
            }
            push.leave_out(&mut job);
            ready.push(job);
        }
    }
    let batches = match (work, tables) {
        (Work::Insert, [table]) => run.order.levels(&run.targets[*table].plan, ready),
        _ if ready.is_empty() => Vec::new(),
        _ => vec![ready],
    };
    for job in batches.iter().flatten() {
        unsent::mark(connection, &run.targets[job.table].plan, std::slice::from_ref(job))?;
    }
    Ok(batches)
}

/// Returns whether a job can't be sent, because it waits for another change or no remote could accept it.
fn is_held(connection: &Connection, run: &mut PushRun, job: &Job) -> Result<bool> {
    if let Some(other) = run.order.waits_for(connection, job)? {
        hold_back(connection, job.id, &format!("A change of table {other} must be sent first"))?;
        run.behind.push(job.id);
        return Ok(true);
    }
    let target = &mut run.targets[job.table];
    let Some(why) = write::unsendable(&target.plan, job) else { return Ok(false) };
    reject(connection, job.id, ChangeReason::Refused, &why)?;
    target.report.rejected += 1;
    Ok(true)
}

fn settle_one(connection: &Connection, run: &mut PushRun, job: &Job, outcome: JobOutcome, skew_ms: i64) -> Result<()> {
    let target = &mut run.targets[job.table];
    target.writer.unpushed.set_skew(skew_ms);
    let tried = run.tries.get(&job.id).copied().unwrap_or_default() + 1;
    // Leaving out one column after the other ends by itself.
    if outcome != JobOutcome::LeftOut {
        run.tries.insert(job.id, tried);
    }
    match target.settle(connection, job, outcome, tried >= TRIES)? {
        Remainder::Done => {
            run.moved += 1;
            run.done.push(job.id);
        }
        Remainder::Again => {
            run.moved += 1;
            if tried < TRIES {
                run.again = true;
                run.skip.retain(|id| *id != job.id);
            } else {
                run.order.hold_back(connection, job)?;
            }
        }
        Remainder::Rejected | Remainder::Waiting => run.order.hold_back(connection, job)?,
        Remainder::Later(error) => {
            if job.work == Work::Update {
                run.order.hold_back_for_now(job);
            }
            run.later.push((job.clone(), error));
        }
        Remainder::Held(error) => {
            run.order.hold_back(connection, job)?;
            run.held[job.table].push(job.id);
            run.errors[job.table].get_or_insert(error);
        }
    }
    Ok(())
}
