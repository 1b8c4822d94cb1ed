//! One push, from the outbox to the last answer.

use futures_util::future::{join_all, select_all};

use super::{Host, Sync};
use crate::{
    collections::{Map, Set},
    error::{Error, ErrorCode, Result},
    ports::LocalFuture,
    sqlite::Connection,
    sync::{
        apply::Writer,
        capture,
        config::{Direction, TableSync},
        job::{Job, Outcome, Work},
        order::Order,
        outbox,
        plan::Plan,
        push::{Event, Instruction, Push},
        report::{PullProgress, PushReport},
        schema::{Table, parents_first},
        settle::{Left, Patience, PushTarget, TablePushed},
        state,
        unpushed::{refuse, reject},
        unsent::{self, Wanted},
    },
};

/// How often a change is sent that keeps meeting newer rows.
const TRIES: u32 = 5;

/// What a push carries from batch to batch.
struct Run {
    push: Push,
    targets: Vec<PushTarget>,
    order: Order,
    /// The newest change when the push began.
    newest: i64,
    /// Changes that aren't to be loaded (again).
    skip: Set<i64>,
    tries: Map<i64, u32>,
    /// Refused, perhaps only for now.
    later: Vec<(Job, Error)>,
    held: Vec<Vec<i64>>,
    errors: Vec<Option<Error>>,
    /// Changes that got somewhere, and were done with.
    done: Vec<i64>,
    moved: u64,
    /// Some change is to be sent once more, on another base.
    again: bool,
    told: Vec<PullProgress>,
}

impl Sync {
    pub(super) async fn push_alone(
        &self,
        host: &dyn Host,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<PushReport> {
        let clock = &*self.platform.clock;
        let started = clock.monotonic_ms();
        host.admit_write()?;
        let token = if self.config.options.has_access_token { host.access_token().await? } else { None };
        let mut run = {
            let _turn = host.turn().await?;
            self.begin_push(&*host.connection()?, token)?
        };
        let nothing = run.told.iter().all(|table| table.total == Some(0));
        if !nothing {
            {
                let _accepting = Accepting::begin(self);
                self.rounds(host, &mut run, progress).await?;
            }
            *self.root.borrow_mut() = Some(run.push.root().to_owned());
        }
        self.end_push(host, &run).await?;
        if let Some(stored) = host.stored() {
            stored.await?;
        }
        if let Some(error) = run.errors.into_iter().flatten().next() {
            return Err(error);
        }
        let tables = run.targets.into_iter().map(|target| target.report).collect();
        Ok(PushReport { tables, ms: clock.monotonic_ms() - started })
    }

    /// Checks whose data it is, and what is to be sent; needs the turn.
    fn begin_push(&self, connection: &Connection, token: Option<String>) -> Result<Run> {
        state::register(connection, &self.config.options.tables)?;
        self.check_owner(connection, token.as_deref())?;
        let (mut tables, mut configs) = (Vec::new(), Vec::new());
        for config in self.config.options.tables.iter().filter(|table| table.direction != Direction::Pull) {
            tables.push(local_table(connection, config)?);
            configs.push(config);
        }
        let order = parents_first(&tables.iter().collect::<Vec<_>>());
        let (mut targets, mut told) = (Vec::new(), Vec::new());
        for at in order {
            let config = configs[at];
            let plan = self.push_plan(connection, config, tables[at].clone())?;
            let writer = Writer::new(connection, &plan)?;
            let (total, _) = outbox::counts(connection, Some(plan.name()))?;
            told.push(PullProgress { table: plan.name().to_owned(), rows: 0, total: Some(total), bytes: 0 });
            let report = TablePushed { table: plan.name().to_owned(), ..TablePushed::default() };
            targets.push(PushTarget { plan, writer, report, touched: false });
        }
        let plans: Vec<Plan> = targets.iter().map(|target| target.plan.clone()).collect();
        let mut order = Order::new(&plans.iter().collect::<Vec<_>>());
        order.start(connection)?;
        let count = targets.len();
        Ok(Run {
            push: Push::new(&self.config, self.root.borrow().clone(), plans, token),
            targets,
            order,
            newest: unsent::newest(connection)?,
            skip: Set::new(),
            tries: Map::default(),
            later: Vec::new(),
            held: vec![Vec::new(); count],
            errors: vec![None; count],
            done: Vec::new(),
            moved: 0,
            again: false,
            told,
        })
    }

    pub(super) fn push_plan(&self, connection: &Connection, config: &TableSync, table: Table) -> Result<Plan> {
        let mut plan = Plan::new(config, table, &state::missing(connection, &config.table)?)?;
        plan.know_structured(&state::structured(connection, &config.table)?);
        Ok(plan)
    }

    /// Everything in order; then once more what was refused because of something that came later, as long as that helps.
    async fn rounds(&self, host: &dyn Host, run: &mut Run, progress: Option<&dyn Fn(PullProgress)>) -> Result<()> {
        loop {
            let before = run.moved;
            let count = run.targets.len();
            let all: Vec<usize> = (0..count).collect();
            self.send_all(host, run, Work::Look, &all, progress).await?;
            for table in 0..count {
                self.send_all(host, run, Work::Insert, &[table], progress).await?;
            }
            self.send_all(host, run, Work::Update, &all, progress).await?;
            for table in (0..count).rev() {
                self.send_all(host, run, Work::Delete, &[table], progress).await?;
            }
            let later = std::mem::take(&mut run.later);
            let again = std::mem::take(&mut run.again);
            if later.is_empty() && !again {
                if !self.more.take() {
                    return Ok(());
                }
                // Whoever joined meanwhile wants what was changed since, too.
                let done = std::mem::take(&mut run.done);
                run.skip.retain(|id| !done.contains(id));
                let _turn = host.turn().await?;
                run.newest = unsent::newest(&*host.connection()?)?;
                continue;
            }
            if later.is_empty() {
                continue;
            }
            if run.moved > before {
                for (job, _) in &later {
                    run.skip.retain(|id| *id != job.id);
                }
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

    /// All changes of one kind, batch by batch.
    async fn send_all(
        &self,
        host: &dyn Host,
        run: &mut Run,
        work: Work,
        tables: &[usize],
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        loop {
            let batches = {
                let _turn = host.turn().await?;
                let connection = host.connection()?;
                host.admit_write()?;
                let batches = connection.atomically(|connection| load(connection, run, work, tables))?;
                host.committed(&[]);
                batches
            };
            if batches.is_empty() {
                return Ok(());
            }
            if let Some(&table) = tables.first() {
                self.reading.replace(run.targets[table].plan.name().to_owned());
            }
            // Whatever happens from here on: it is written down what is on its way.
            if let Some(stored) = host.stored() {
                stored.await?;
            }
            for batch in batches {
                self.drive(host, run, batch, progress).await?;
            }
            self.learn_lacking(host, run).await?;
        }
    }

    /// Runs the machine until a batch is done.
    async fn drive(
        &self,
        host: &dyn Host,
        run: &mut Run,
        batch: Vec<Job>,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        let mut under_way: Vec<LocalFuture<'_, Result<Event>>> = Vec::new();
        let mut instructions = run.push.begin(batch);
        loop {
            for instruction in instructions {
                match instruction {
                    Instruction::Send(id, request) => {
                        let sent = request.body.as_ref().map_or(0, Vec::len) as u64;
                        if let Some(told) = run.told.iter_mut().find(|told| told.table == *self.reading.borrow()) {
                            told.bytes += sent;
                        }
                        let answer = self.http.send(request);
                        under_way.push(Box::pin(async move {
                            let answer = answer.await;
                            Ok(Event::Answer { id, answer, now: self.platform.clock.now(), chance: self.chance() })
                        }));
                    }
                    Instruction::Wait(id, ms) => under_way.push(Box::pin(async move {
                        self.platform.clock.sleep(ms).await;
                        Ok(Event::Waited(id))
                    })),
                    Instruction::RefreshToken => {
                        under_way.push(Box::pin(async move { Ok(Event::Token(self.fresh_token(host).await?)) }))
                    }
                    Instruction::Settle(outcomes) => self.settle(host, run, outcomes, progress).await?,
                }
            }
            if under_way.is_empty() {
                return Ok(());
            }
            let (event, _, rest) = select_all(under_way).await;
            under_way = rest;
            instructions = run.push.handle(event?)?;
        }
    }

    async fn settle(
        &self,
        host: &dyn Host,
        run: &mut Run,
        outcomes: Vec<(usize, Outcome)>,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            let skew = run.push.skew_ms().unwrap_or_default();
            connection.atomically(|connection| {
                capture::silently(connection, |connection| {
                    for (at, outcome) in outcomes {
                        settle_one(connection, run, at, outcome, skew)?;
                    }
                    Ok(())
                })
            })?;
            let touched =
                |target: &mut PushTarget| std::mem::take(&mut target.touched).then(|| target.plan.table.name.clone());
            let names: Vec<String> = run.targets.iter_mut().filter_map(touched).collect();
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
        join_all(run.targets.iter().map(|target| self.answer_questions(host, &target.plan, &target.writer)))
            .await
            .into_iter()
            .collect()
    }

    /// Goes on without the columns that the remote turned out to lack.
    async fn learn_lacking(&self, host: &dyn Host, run: &mut Run) -> Result<()> {
        for at in 0..run.targets.len() {
            let lacks = run.push.take_lacking(at);
            if lacks.is_empty() {
                continue;
            }
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            let config = run.targets[at].plan.options.clone();
            let mut missing = state::missing(&connection, &config.table)?;
            missing.extend(lacks);
            connection.atomically(|connection| {
                state::save_missing(connection, &config.table, &missing)?;
                capture::resume(connection)
            })?;
            self.tried.borrow_mut().insert(config.table.clone());
            let plan = self.push_plan(&connection, &config, local_table(&connection, &config)?)?;
            run.push.set_plan(at, plan.clone());
            run.targets[at].writer = Writer::new(&connection, &plan)?;
            run.targets[at].plan = plan;
            let plans: Vec<&Plan> = run.targets.iter().map(|target| &target.plan).collect();
            run.order = Order::new(&plans);
            run.order.start(&connection)?;
            run.errors[at] = None;
            let held = std::mem::take(&mut run.held[at]);
            run.skip.retain(|id| !held.contains(id));
        }
        Ok(())
    }

    async fn end_push(&self, host: &dyn Host, run: &Run) -> Result<()> {
        let _turn = host.turn().await?;
        let connection = host.connection()?;
        let now = self.platform.clock.now();
        connection.atomically(|connection| {
            for (target, error) in run.targets.iter().zip(&run.errors) {
                let pushed_at = error.is_none().then_some(now);
                let error = error.as_ref().map(|error| error.message.as_str());
                state::save_pushed(connection, target.plan.name(), pushed_at, error)?;
            }
            Ok(())
        })?;
        host.committed(&[]);
        Ok(())
    }

    /// A token asked for anew, of the user whose data it is.
    pub(super) async fn fresh_token(&self, host: &dyn Host) -> Result<Option<String>> {
        let token = host.access_token().await?;
        let _turn = host.turn().await?;
        self.check_owner(&*host.connection()?, token.as_deref())?;
        Ok(token)
    }
}

/// While it lives, further calls join the push that is under way.
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

/// The local table of an option. Fails with `sync_schema_mismatch` when there is none.
pub(super) fn local_table(connection: &Connection, config: &TableSync) -> Result<Table> {
    Table::read(connection, &config.table)?.ok_or_else(|| {
        let text = format!("There is no local table {}", config.table);
        Error::new(ErrorCode::SyncSchemaMismatch, text)
            .hint("Create it in a migration, or take it out of remote.tables")
            .detail("table", config.table.clone())
    })
}

/// The next batches, in the order in which they have to be sent; marked as being on their way.
fn load(connection: &Connection, run: &mut Run, work: Work, tables: &[usize]) -> Result<Vec<Vec<Job>>> {
    let mut ready = Vec::new();
    for &table in tables {
        let target = &run.targets[table];
        let skip = |id: i64| run.skip.contains(&id);
        let wanted = Wanted { work, newest: run.newest, skip: &skip };
        let jobs = unsent::load(connection, &target.plan, table, &target.writer.unpushed, wanted)?;
        for mut job in jobs {
            run.skip.insert(job.id);
            if run.order.waits(connection, &job)? {
                run.order.hold_back(connection, &job)?;
                continue;
            }
            if let Some(column) = crate::sync::write::unsendable(&run.targets[table].plan, &job.row, &job.columns) {
                let text =
                    format!("{}.{column} is not the JSON that its type promises", run.targets[table].plan.name());
                reject(connection, job.id, "refused", &text)?;
                run.targets[table].report.rejected += 1;
                run.order.hold_back(connection, &job)?;
                continue;
            }
            if work == Work::Insert {
                run.order.withhold(connection, &run.targets[table].plan, &mut job)?;
            }
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

fn settle_one(connection: &Connection, run: &mut Run, at: usize, outcome: Outcome, skew_ms: i64) -> Result<()> {
    let job = run.push.job(at).clone();
    let target = &mut run.targets[job.table];
    target.writer.unpushed.set_skew(skew_ms);
    let tried = run.tries.get(&job.id).copied().unwrap_or_default() + 1;
    run.tries.insert(job.id, tried);
    let patience = Patience { may_heal: true, exhausted: tried >= TRIES };
    match target.settle(connection, &job, outcome, patience)? {
        Left::Done => {
            run.moved += 1;
            run.done.push(job.id);
        }
        Left::Again => {
            run.moved += 1;
            if tried < TRIES {
                run.again = true;
                run.skip.retain(|id| *id != job.id);
            } else {
                run.order.hold_back(connection, &job)?;
            }
        }
        Left::Rejected => run.order.hold_back(connection, &job)?,
        Left::Later(error) => run.later.push((job, error)),
        Left::Held(error) => {
            run.order.hold_back(connection, &job)?;
            run.held[job.table].push(job.id);
            run.errors[job.table].get_or_insert(error);
        }
    }
    Ok(())
}
