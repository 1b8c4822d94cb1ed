//! One pull, from the first request to the last row.

use super::{Host, Sync, push::local_table, reading::Sink};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::LocalFuture,
    sqlite::Connection,
    sync::{
        apply::{Keys, Writer},
        capture, compare,
        config::{Direction, Names, TableSync},
        gone,
        helpers::Helpers,
        jwt,
        plan::{Plan, Rows},
        pull::Pull,
        replace::{self, Limits},
        report::{PullMode, PullOptions, PullProgress, PullReport, TableReport},
        schema::parents_first,
        staged::{self, Target},
        state,
        steps::{Page, Reading, Source},
    },
    time::Timestamp,
};

/// What a pull carries from page to page.
pub(super) struct Run {
    targets: Vec<Target>,
    mode: PullMode,
    /// Of a replace: all rows read, by table.
    gathered: Vec<Vec<Rows>>,
    stored_missing: Vec<Vec<String>>,
    began: Vec<Option<f64>>,
    rows: Vec<u64>,
    nulls: Vec<u64>,
}

impl Run {
    /// Whether there is nothing to read.
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The same tables, begun anew after an attempt: what that one has applied is told too.
    pub(super) fn after(mut self, attempt: Run) -> Run {
        if self.mode == PullMode::Merge {
            for (target, before) in self.targets.iter_mut().zip(attempt.targets) {
                target.report = before.report;
            }
            self.began = attempt.began;
        }
        self
    }
}

/// Takes in the pages of a pull.
struct Taking<'a> {
    sync: &'a Sync,
    host: &'a dyn Host,
    run: &'a mut Run,
    progress: Option<&'a dyn Fn(PullProgress)>,
    /// When the last page was taken in.
    since: f64,
}

impl Sink for Taking<'_> {
    fn take(&mut self, page: Box<Page>) -> LocalFuture<'_, Result<()>> {
        Box::pin(async move {
            let at = page.table;
            self.run.began[at].get_or_insert(self.since);
            self.sync.take(self.host, self.run, page, self.progress).await?;
            self.since = self.sync.platform.clock.monotonic_ms();
            self.run.targets[at].report.ms = self.since - self.run.began[at].unwrap_or_default();
            Ok(())
        })
    }
}

impl Sync {
    pub(super) async fn pull_alone(
        &self,
        host: &dyn Host,
        options: PullOptions,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<PullReport> {
        let clock = &*self.platform.clock;
        let started = clock.monotonic_ms();
        host.admit_write()?;
        let token = if self.config.options.has_access_token { host.access_token().await? } else { None };
        let (pull, mut run) = self.read_helped(host, &options, token, progress).await?;
        if !run.is_empty() {
            *self.root.borrow_mut() = Some(pull.root().to_owned());
        }
        self.finish(host, &pull, &mut run, &options).await?;
        if let Some(stored) = host.stored() {
            stored.await?;
        }
        let tables = run.targets.into_iter().map(|target| target.report).collect();
        Ok(PullReport { mode: options.mode, tables, ms: clock.monotonic_ms() - started })
    }

    /// Checks whose data it is, and what is to be read; needs the turn.
    pub(super) fn begin(
        &self,
        connection: &Connection,
        options: &PullOptions,
        token: Option<String>,
        count: bool,
        helpers: Option<&Helpers>,
    ) -> Result<(Pull, Run)> {
        state::register(connection, &self.config.options.tables)?;
        self.check_owner(connection, token.as_deref())?;
        compare::begin(connection)?;
        let (mut tables, mut configs) = (Vec::new(), Vec::new());
        for config in self.selected(options)? {
            tables.push(local_table(connection, config)?);
            configs.push(config);
        }
        let order = parents_first(&tables.iter().collect::<Vec<_>>());
        let (mut sources, mut targets, mut stored_missing) = (Vec::new(), Vec::new(), Vec::new());
        for at in order {
            let config = configs[at];
            let stored = state::missing(connection, &config.table)?;
            let tried = self.tried.borrow().contains(&config.table) && !options.full;
            let missing = if tried { stored.clone() } else { Vec::new() };
            let mut plan = Plan::new(config, tables[at].clone(), &missing)?;
            plan.know_structured(&state::structured(connection, &config.table)?);
            if let Some(helpers) = helpers {
                helpers.apply(&mut plan);
            }
            let progress = state::progress(connection, &config.table)?;
            let full = options.full || options.mode == PullMode::Replace;
            if options.mode == PullMode::Merge && (full || config.cursor.is_none() && progress.started.is_none()) {
                // Every row comes again, those that waited too.
                staged::forget(connection, &plan)?;
            }
            let writer = Writer::new(connection, &plan)?;
            let report = TableReport { table: config.table.clone(), ..TableReport::default() };
            targets.push(Target { plan: plan.clone(), writer, report });
            sources.push(Source { plan, progress, missing });
            stored_missing.push(stored);
        }
        gone::begin(connection, &sources, helpers)?;
        if options.mode == PullMode::Replace && !options.discard_unpushed {
            replace::check_unpushed(connection, &targets)?;
        }
        let replacing = options.mode == PullMode::Replace;
        let reading = Reading { full: options.full || replacing, count, compare: !replacing, keys_only: false };
        let count = sources.len();
        let pull = Pull::new(&self.config, self.root.borrow().clone(), sources, reading, token);
        let run = Run {
            targets,
            mode: options.mode,
            gathered: vec![Vec::new(); count],
            stored_missing,
            began: vec![None; count],
            rows: vec![0; count],
            nulls: vec![0; count],
        };
        Ok((pull, run))
    }

    /// The tables of this pull; push-only ones are never read.
    fn selected(&self, options: &PullOptions) -> Result<Vec<&TableSync>> {
        let readable = |table: &&TableSync| table.direction != Direction::Push;
        let Some(names) = options.tables.clone().map(Names::into_vec) else {
            return Ok(self.config.options.tables.iter().filter(readable).collect());
        };
        let unknown = |name: &String| {
            Error::invalid(format!("Table {name} is not in remote.tables"))
                .hint("Add it there, or leave it out here")
                .detail("table", name.clone())
        };
        let tables = names.iter().map(|name| self.config.table(name).ok_or_else(|| unknown(name)));
        let mut tables = tables.collect::<Result<Vec<_>>>()?;
        tables.retain(readable);
        tables.dedup_by(|a, b| a.table == b.table);
        Ok(tables)
    }

    /// Reads what there is to read.
    pub(super) async fn read_all(
        &self,
        host: &dyn Host,
        pull: &mut Pull,
        run: &mut Run,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        let since = self.platform.clock.monotonic_ms();
        self.read(host, pull, Box::new(Taking { sync: self, host, run, progress, since })).await
    }

    /// A random number from 0 to 1.
    pub(super) fn chance(&self) -> f64 {
        let mut bytes = [0; 4];
        self.platform.entropy.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    }

    /// Takes in a page: a merge applies it, a replace keeps it for the end.
    async fn take(
        &self,
        host: &dyn Host,
        run: &mut Run,
        page: Box<Page>,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        let at = page.table;
        let report = &mut run.targets[at].report;
        report.resumed |= page.resumed;
        report.pages += u64::from(!page.rows.is_empty());
        report.bytes += page.bytes;
        if !page.rows.keys_only {
            run.rows[at] += page.rows.len() as u64;
            if page.progress.is_none() {
                run.nulls[at] += page.rows.len() as u64;
            }
        }
        if let (Some(tell), false) = (progress, page.rows.keys_only || page.rows.is_empty()) {
            let total = page.total.map(|total| total + run.nulls[at]);
            tell(PullProgress { table: report.table.clone(), rows: run.rows[at], total, bytes: report.bytes });
        }
        {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            self.learn_columns(&connection, run, &page)?;
            if run.mode == PullMode::Merge {
                host.admit_write()?;
                let wrote = merge_page(&connection, &mut run.targets[at], &page)?;
                let table = &*run.targets[at].plan.table.name;
                host.committed(if wrote { std::slice::from_ref(&table) } else { &[] });
            }
        }
        self.answer_questions(host, &run.targets[at].plan, &run.targets[at].writer).await?;
        if run.mode == PullMode::Replace {
            run.gathered[at].push(page.rows);
        }
        Ok(())
    }

    /// Remembers which columns the remote lacks, and captures accordingly; needs the turn.
    fn learn_columns(&self, connection: &Connection, run: &mut Run, page: &Page) -> Result<()> {
        let target = &mut run.targets[page.table];
        if let Some(plan) = &page.plan {
            target.plan = plan.clone();
            target.writer = Writer::new(connection, plan)?;
        }
        match &page.missing {
            Some(missing) => self.save_missing(connection, run, page.table, missing),
            None => Ok(()),
        }
    }

    fn save_missing(&self, connection: &Connection, run: &mut Run, at: usize, missing: &[String]) -> Result<()> {
        let table = run.targets[at].plan.name();
        self.tried.borrow_mut().insert(table.to_owned());
        if run.stored_missing[at] == missing {
            return Ok(());
        }
        connection.atomically(|connection| {
            state::save_missing(connection, table, missing)?;
            capture::resume(connection)
        })?;
        run.stored_missing[at] = missing.to_vec();
        Ok(())
    }

    /// What follows when all is read.
    async fn finish(&self, host: &dyn Host, pull: &Pull, run: &mut Run, options: &PullOptions) -> Result<()> {
        let _turn = host.turn().await?;
        let connection = host.connection()?;
        host.admit_write()?;
        let max_ratio = (!options.allow_empty).then_some(self.config.options.max_delete_ratio);
        let now = self.platform.clock.now();
        match run.mode {
            PullMode::Merge => {
                gone::apply(&connection, &mut run.targets)?;
                staged::resolve(&connection, &mut run.targets)?;
                connection.atomically(|connection| {
                    capture::silently(connection, |connection| {
                        compare::delete_vanished(connection, &mut run.targets, max_ratio)
                    })
                })?;
                connection.atomically(|connection| note_success(connection, &run.targets, now))?;
            }
            PullMode::Replace => {
                let limits = Limits { discard_unpushed: options.discard_unpushed, max_delete_ratio: max_ratio };
                replace::check_vanishing(&connection, &run.targets, &run.gathered, limits)?;
                host.safety_snapshot().await?;
                let names: Vec<String> = run.targets.iter().map(|target| target.plan.name().to_owned()).collect();
                let progress: Vec<_> = pull.sources().iter().map(|source| source.progress.clone()).collect();
                replace::apply(&connection, &mut run.targets, &run.gathered, limits, |connection| {
                    for (table, progress) in names.iter().zip(&progress) {
                        state::save_progress(connection, table, progress)?;
                        state::save_outcome(connection, table, Some(now), None)?;
                    }
                    Ok(())
                })?;
            }
        }
        let changed = |target: &&Target| {
            let report = &target.report;
            report.inserted + report.updated + report.deleted > 0
        };
        let tables: Vec<&str> = run.targets.iter().filter(changed).map(|target| &*target.plan.table.name).collect();
        host.committed(&tables);
        Ok(())
    }

    /// The database belongs to whoever synced it first.
    pub(super) fn check_owner(&self, connection: &Connection, token: Option<&str>) -> Result<()> {
        let user = self.config.options.user_id.clone().or_else(|| jwt::claim(token?, "sub"));
        match (state::owner(connection)?, user) {
            (None, None) => Ok(()),
            (None, Some(user)) => state::save_owner(connection, &user),
            (Some(owner), Some(user)) if owner == user => Ok(()),
            (Some(_), user) => {
                let signed_in = user.is_some();
                let who = if signed_in { "another user is signed in" } else { "nobody is signed in" };
                Err(Error::new(ErrorCode::SyncUserMismatch, format!("This database belongs to a user, and {who}"))
                    .hint("Open a database with another name for each user, or delete this one first")
                    .detail("signedIn", signed_in))
            }
        }
    }

    /// Writes down why a pull failed, as far as that is possible.
    pub(super) async fn note_failure(&self, host: &dyn Host, table: &str, error: &Error) {
        let Ok(_turn) = host.turn().await else { return };
        let Ok(connection) = host.connection() else { return };
        if host.admit_write().is_ok() && state::exists(&connection).unwrap_or(false) {
            // The call itself fails with the error that matters.
            let _ = state::save_outcome(&connection, table, None, Some(&error.message));
            host.committed(&[]);
        }
    }
}

/// One page and its progress in one transaction; whether rows changed.
fn merge_page(connection: &Connection, target: &mut Target, page: &Page) -> Result<bool> {
    let Target { plan, writer, report } = target;
    let mut counted = report.clone();
    connection.atomically(|connection| {
        capture::silently(connection, |connection| {
            if plan.learn_structured(&page.rows.structured) {
                state::save_structured(connection, plan.name(), &plan.structured())?;
            }
            if page.lists_keys {
                writer.note_keys(connection, &page.rows, Keys::Seen)?;
            }
            if !page.rows.keys_only {
                if plan.options.compares() {
                    writer.note_keys(connection, &page.rows, Keys::Known)?;
                }
                gone::seen(connection, plan, writer, &page.rows)?;
                writer.merge(connection, &page.rows, &mut counted)?;
            }
            match &page.progress {
                Some(progress) => state::save_progress(connection, plan.name(), progress),
                None => Ok(()),
            }
        })
    })?;
    let wrote = (counted.inserted, counted.updated, counted.deleted)
        != (report.inserted, report.updated, report.deleted)
        || counted.conflicts != report.conflicts;
    *report = counted;
    Ok(wrote)
}

fn note_success(connection: &Connection, targets: &[Target], now: Timestamp) -> Result<()> {
    targets.iter().try_for_each(|target| state::save_outcome(connection, target.plan.name(), Some(now), None))
}
